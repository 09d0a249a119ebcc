"""What a pair classifier says of all pairs, by products of bytes, with a bound of its error.

Processors multiply 8-bit integers two to four times faster than float32, and what they read is
smaller, but 8 bits of a projection tell too little. So a projection becomes a number of 12 bits in
two bytes: 16 * large + small. The maximum of two such numbers is that of 16-bit integers; the
product reads the result as twice as many bytes, and adds without rounding. What is lost comes
almost only from the second layer's weights, which have 8 bits.

Source: ours; the classifier is that of ANNEAL, eq. 9.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from annealing.classifier_floats import TANH_ERROR, Logits
from annealing.pair_classifier import PairClassifier
from domain.arrays import FloatArray, IntArray

_CHUNK = (16, 128)  # first and second images that go through the layers together: 1 MB in all
_STEPS = 2**12 - 1  # of a projection, from its least to its largest
_SMALL = 16  # steps in one of the larger digit
_LARGEST = 127  # of a weight
_BALANCING = 4  # weights of a column that are rounded the other way, at most
_MOST_UNITS = 2**22  # of a second layer's value, which float32 then holds exactly
_UNIT = 2.0**-24  # rounding of float32
_MARGIN = 1.01  # over first-order bounds


@dataclass(frozen=True)
class _Digits:
    """Projections [N, H1] as `base + step * (16 * large + small - 8)` and a rest.

    Attributes:
        large: -128…127.
        small: 0…15.
        rest: what rounding took.
    """

    large: IntArray
    small: IntArray
    rest: FloatArray

    def codes(self) -> Tensor:
        """[N, H1] int16 of which each byte is a digit; they sort as the projections do."""
        return _padded(self.large * 256 + self.small, torch.int16)


@dataclass(frozen=True)
class _Grid:
    """The numbers that stand for the projections of each first-layer unit.

    Attributes:
        base, step: [H1].
    """

    base: FloatArray
    step: FloatArray

    @classmethod
    def over(cls, first: FloatArray, second: FloatArray) -> "_Grid":
        """The grid on which both kinds of projections lie."""
        least = np.minimum(first.min(axis=0), second.min(axis=0))
        width = np.maximum(first.max(axis=0), second.max(axis=0)) - least
        step = np.where(width > 0, width, 1.0) / _STEPS
        return cls(least + step * (128 * _SMALL + _SMALL // 2), step)

    def digits(self, values: FloatArray) -> _Digits:
        """The digits of [N, H1] projections."""
        steps = (values - self.base) / self.step
        whole = np.rint(steps).astype(np.int32) + _SMALL // 2
        large = np.minimum(whole >> 4, 127)
        return _Digits(large, whole - _SMALL * large, (steps - whole + _SMALL // 2) * self.step)


@dataclass(frozen=True)
class _Weights:
    """The second layer [H2, H1] for both digits.

    Attributes:
        scale: [H2] what one unit of a sum is worth.
        large, small: integers from -127 to 127.
        large_error, small_error: exact ones less these, for one of the digit.
    """

    scale: FloatArray
    large: FloatArray
    small: FloatArray
    large_error: FloatArray
    small_error: FloatArray

    @classmethod
    def of(cls, classifier: PairClassifier, grid: _Grid, hidden: FloatArray) -> "_Weights":
        """Weights for a grid; `hidden` [N, H2] is what sums are compared with, in the end."""
        second = classifier.second.astype(np.float64)
        large, small = second * grid.step * _SMALL, second * grid.step
        size = np.abs(hidden + second @ grid.base).max(axis=0) / _MOST_UNITS
        scale = np.maximum(np.abs(large).max(axis=1) / _LARGEST, size)
        scale = np.where(scale > 0, scale, 1.0)[:, None]
        of_large = _balanced(large / scale, classifier.last * scale[:, 0])
        of_small = np.rint(small / scale)
        return cls(
            scale[:, 0], of_large, of_small, large - scale * of_large, small - scale * of_small
        )


class IntegerClassifier:
    """A classifier and the projections of all images, ready for products of bytes.

    Attributes:
        first, second: [N, H1] int16, the projection of an image as first, minus that as second.
        below: [N, H2] int32, what sums of the second layer are at least, by the second image.
        logit: [N] what the second image adds to the logit, halved, so that its tanh is 2 P - 1.
        weights: [2 H1, H2] int8.
        last: [H2] of units of the sums.
    """

    def __init__(self, classifier: PairClassifier, first: FloatArray, second: FloatArray) -> None:
        """Take float64 projections [N, H1] of images as first and as second, N above 0."""
        hidden = second @ classifier.second.T + classifier.second_bias
        grid = _Grid.over(first, -second)
        one, other = grid.digits(first), grid.digits(-second)
        middle = (one.large.mean(axis=0) + other.large.mean(axis=0)) / 2
        weights = _Weights.of(classifier, grid, hidden)
        # What every sum lacks: the base, the weights' error at the middle, the 8 of each digit
        lacking = classifier.second @ grid.base + weights.large_error @ middle
        added = (hidden + lacking) / weights.scale - _SMALL // 2 * weights.small.sum(axis=1)
        self.first, self.second = one.codes(), other.codes()
        self.below = _padded(-np.rint(added), torch.int32)
        last = classifier.last * weights.scale / 2
        self.last = torch.from_numpy(last.astype(np.float32))
        logit = np.rint(added) @ last + classifier.last_bias / 2
        self.logit = _padded(logit[:, None], torch.float32)[:, 0].contiguous()
        both = np.stack([weights.small, weights.large], axis=2).reshape(len(weights.large), -1)
        self.weights = torch.from_numpy(both.T.astype(np.int8).copy())
        self._errors = _Errors(classifier, weights, (one, other), middle, added)

    def error(self, rows: slice, columns: slice) -> float:
        """How far P can be off for images in these rows as first and in these columns as second."""
        return _MARGIN * self._errors.of_logit(rows, columns) / 4 + TANH_ERROR


class IntegerLane:
    """Puts blocks through the layers, chunk by chunk, with buffers of its own."""

    def __init__(self, classifier: IntegerClassifier) -> None:
        self._classifier, pairs = classifier, _CHUNK[0] * _CHUNK[1]
        self.error = classifier.error
        units = classifier.first.shape[1], classifier.below.shape[1]
        self._codes = torch.empty(*_CHUNK, units[0], dtype=torch.int16)
        self._bytes = self._codes.view(pairs, -1).view(torch.int8)
        self._sums = torch.empty(pairs, units[1], dtype=torch.int32)
        self._by_pair = self._sums.view(*_CHUNK, -1)
        self._floats = torch.empty(pairs, units[1])
        self._logits = Logits(_CHUNK, classifier.logit)

    def certainty(self, rows: slice, columns: slice) -> Tensor:
        """[R, C] 2 P - 1 of images in these rows as first and in these columns as second."""
        classifier, (height, width) = self._classifier, _CHUNK
        logits = self._logits.of(rows, columns)
        bottom = rows.start + logits.shape[1] * height
        firsts = torch.split(classifier.first[rows.start : bottom, None], height)
        for number, strip in enumerate(logits):
            left = columns.start + number * width
            here = slice(left, left + width)
            self._classify(firsts, classifier.second[here], classifier.below[here], strip)
        return self._logits.certainty(rows, columns)

    def _classify(
        self, firsts: tuple[Tensor, ...], second: Tensor, below: Tensor, logits: Tensor
    ) -> None:
        """Halved logits of chunks of first images with some second ones, without what these add.

        Args:
            firsts: of each chunk [16, 1, H1] codes.
            second: [128, H1] codes.
            below: [128, H2].
            logits: [chunks, 16, 128], are written.
        """
        for first, out in zip(firsts, logits.flatten(1).unbind(), strict=True):
            torch.maximum(first, second, out=self._codes)
            torch._int_mm(self._bytes, self._classifier.weights, out=self._sums)
            torch.maximum(self._by_pair, below, out=self._by_pair)
            self._floats.copy_(self._sums)
            torch.mv(self._floats, self._classifier.last, out=out)


class _Errors:
    """How far logits can be off, by what rounding is known to have taken from each image.

    A ReLU passes between none and all of an error, and each part of it is a product of weights
    with a vector whose length is bounded: Cauchy-Schwarz.
    """

    def __init__(
        self,
        classifier: PairClassifier,
        weights: _Weights,
        digits: tuple[_Digits, _Digits],
        middle: FloatArray,
        added: FloatArray,
    ) -> None:
        """Digits of images as first and as second; what is added to sums [N, H2]."""
        last = classifier.last[:, None].astype(np.float64)
        self._reach = [
            _reach(last * each)
            for each in (weights.large_error, weights.small_error, classifier.second)
        ]
        self._first, self._second = (_squares(each, middle) for each in digits)
        largest = np.abs(weights.large).sum(axis=1) * 128 + np.abs(weights.small).sum(axis=1) * 15
        sizes = np.abs(classifier.last) * weights.scale * np.maximum(largest, np.abs(added).max(0))
        rounded = np.abs(classifier.last) @ weights.scale / 2  # of what is added, to whole units
        of_floats = (len(sizes) + 5) * _UNIT * float(sizes.sum())
        self._always = float(rounded) + of_floats + 3 * _UNIT * abs(classifier.last_bias)

    def of_logit(self, rows: slice, columns: slice) -> float:
        """For images in these rows as first and in these columns as second."""
        lengths = np.sqrt(self._first[rows].max(axis=0) + self._second[columns].max(axis=0))
        return float(self._reach @ lengths) + self._always


def _squares(digits: _Digits, middle: FloatArray) -> FloatArray:
    """[N, 3] of which the sum for two images bounds the square of a length.

    That of the larger of two digits less its middle, of a small digit less 8, and of a rest. Where
    both large digits are below the middle, the square of the larger is the lesser one, and at most
    the mean of both.
    """
    large = digits.large - middle
    squares = np.square(large) * np.where(large < 0, 0.5, 1.0)
    small = np.square(digits.small - _SMALL // 2)
    return np.stack([each.sum(axis=1) for each in (squares, small, np.square(digits.rest))], axis=1)


def _balanced(exact: FloatArray, worth: FloatArray) -> FloatArray:
    """[H2, H1] whole numbers near exact ones, whose errors hardly add up over the units.

    Of each column some that are nearly halves are rounded the other way, until the sum of errors,
    each as much as its unit is worth [H2], is about 0: a third less can come of them.
    """
    rounded, columns = np.rint(exact), np.arange(exact.shape[1])
    for _ in range(_BALANCING):
        errors = exact - rounded
        step = np.where(errors < 0, -1.0, 1.0)
        total = worth @ errors
        less = total**2 - (total - worth[:, None] * step) ** 2
        dearer = worth[:, None] ** 2 * (1 - 2 * np.abs(errors))
        gain = np.where(np.abs(rounded + step) > _LARGEST, -np.inf, less - dearer)
        best = gain.argmax(axis=0)
        helps = gain[best, columns] > 0
        rounded[best[helps], columns[helps]] += step[best[helps], columns[helps]]
    return rounded


def _reach(errors: FloatArray) -> float:
    """How much errors [H2, H1] of weights change a sum over ReLUs at most, for length 1.

    A ReLU passes between none and all of what changes, so that the sum is one half of all, and
    one half of any signs.
    """
    lengths = np.linalg.norm(errors, axis=1)
    directions = errors / np.where(lengths > 0, lengths, 1.0)[:, None]
    any_signs = np.linalg.norm(lengths) * np.linalg.norm(directions, 2)
    return float(np.linalg.norm(errors.sum(axis=0)) + any_signs) / 2


def fast_integers(device: torch.device) -> bool:
    """Whether a device multiplies bytes faster than float32."""
    return device.type == "cpu" and bool(torch.cpu.get_capabilities().get("avx512_vnni"))


def _padded(rows: FloatArray | IntArray, dtype: torch.dtype) -> Tensor:
    """The rows, and zeros for chunks that reach beyond them."""
    return torch.from_numpy(np.pad(rows, ((0, max(_CHUNK)), (0, 0)))).to(dtype)
