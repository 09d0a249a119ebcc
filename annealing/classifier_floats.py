"""What a pair classifier says of all pairs, in float32, with a bound of its error.

The first layer is a sum of two projections, made once an image; for each pair remain one
maximum, a small product, another maximum and a dot product. Both ReLUs are written as
max(a, -b) + b, whose second part belongs to one image and leaves the loop: what is left costs
little more than the products.

Source: ANNEAL, eq. 9; how it is computed is ours.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from annealing.pair_classifier import PairClassifier
from domain.arrays import FloatArray

TANH_ERROR = 8 * 2.0**-24  # of a tanh, halved; libraries promise half of it
# Rows and columns that go through the layers together. On a CPU the first layer, 1 MB, then stays
# in a core's cache; of 20 shapes tried this was among the quickest.
_CHUNK = {"cpu": (16, 128), "cuda": (256, 1024)}
_SINGLE_PAIRS = 1024  # single pairs that go through the layers together
_UNIT = 2.0**-24  # rounding of float32


@dataclass(frozen=True)
class _Sides:
    """Per image: what the layers need of it, as first or as second of a pair.

    Behind the images stand zeros. Logits are halved, so that their tanh is 2 P - 1.

    Attributes:
        first: [H1, N] its projection as first image.
        second: [H1, N] minus its projection as second image.
        hidden: [H2, N] minus what its second projection adds to the second layer.
        logit: [N] what that adds to the logit, halved.
    """

    first: Tensor
    second: Tensor
    hidden: Tensor
    logit: Tensor


class FloatClassifier:
    """A classifier and the projections of all images, in float32.

    Attributes:
        sides: see there.
        weights, last: of the layers.
        error: how far P can be off, for any pair.
    """

    def __init__(
        self,
        classifier: PairClassifier,
        first: FloatArray,
        second: FloatArray,
        *,
        device: torch.device,
    ) -> None:
        """Take float64 projections [N, H1] of images as first and as second."""
        self._device, self.chunk = device, _CHUNK[device.type]
        hidden = second @ classifier.second.T + classifier.second_bias
        self.sides = _Sides(
            self._padded(first.T),
            self._padded(-second.T),
            self._padded(-hidden.T),
            self._padded((hidden @ classifier.last + classifier.last_bias)[None] / 2)[0],
        )
        self.weights = self._tensor(classifier.second)
        self.last = self._tensor(classifier.last / 2)
        self.error = _error(classifier, first, second, hidden)

    @cached_property
    def by_row(self) -> tuple[Tensor, ...]:
        """The first three of the sides, [N, units]."""
        sides = self.sides
        return tuple(each.T.contiguous() for each in (sides.first, sides.second, sides.hidden))

    def _padded(self, columns: FloatArray) -> Tensor:
        """The columns, and zeros for chunks that reach beyond them."""
        return self._tensor(np.pad(columns, ((0, 0), (0, max(self.chunk)))))

    def _tensor(self, values: FloatArray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(self._device)


class FloatLane:
    """Puts blocks through the layers, chunk by chunk, with buffers of its own."""

    def __init__(self, classifier: FloatClassifier) -> None:
        self._classifier, sides = classifier, classifier.sides
        self._wide = sides.first.new_empty(len(sides.first), *classifier.chunk)
        self._narrow = sides.first.new_empty(len(sides.hidden), *classifier.chunk)
        self._flat = self._wide.flatten(1), self._narrow.flatten(1)
        self._logits = Logits(classifier.chunk, sides.logit)

    def certainty(self, rows: slice, columns: slice) -> Tensor:
        """[R, C] 2 P - 1 of images in these rows as first and in these columns as second."""
        sides, (height, width) = self._classifier.sides, self._classifier.chunk
        logits = self._logits.of(rows, columns)
        bottom = rows.start + logits.shape[1] * height
        firsts = torch.split(sides.first[:, rows.start : bottom, None], height, 1)
        for number, strip in enumerate(logits):
            left = columns.start + number * width
            second = sides.second[:, None, left : left + width].contiguous()
            hidden = sides.hidden[:, None, left : left + width].contiguous()
            self._classify(firsts, second, hidden, strip)
        return self._logits.certainty(rows, columns)

    def _classify(
        self, firsts: tuple[Tensor, ...], second: Tensor, hidden: Tensor, logits: Tensor
    ) -> None:
        """Halved logits of chunks of first images with some second ones, without what these add.

        Args:
            firsts: of each chunk [H1, 16, 1] projections.
            second: [H1, 1, 128] negative projections.
            hidden: [H2, 1, 128] minus what these add to the second layer.
            logits: [chunks, 16, 128], are written.
        """
        wide, narrow = self._flat
        for first, out in zip(firsts, logits.flatten(1).unbind(), strict=True):
            torch.maximum(first, second, out=self._wide)
            torch.mm(self._classifier.weights, wide, out=narrow)
            torch.maximum(self._narrow, hidden, out=self._narrow)
            torch.mv(narrow.T, self._classifier.last, out=out)


class FloatPairs:
    """Puts single pairs through the layers, in memory of its own, as new memory is dear."""

    def __init__(self, classifier: FloatClassifier) -> None:
        sides = classifier.sides
        (self._first, self._second, self._hidden), self._logit = classifier.by_row, sides.logit
        self._weights, self._last = classifier.weights.T.contiguous(), classifier.last
        self._wide = self._first.new_empty(2, _SINGLE_PAIRS, self._first.shape[1])
        self._narrow = self._first.new_empty(2, _SINGLE_PAIRS, self._hidden.shape[1])

    def certainty(self, first: Tensor, second: Tensor) -> Tensor:
        """[K] 2 P - 1 of pairs, given the rows [K] of their images."""
        logits = self._logit.new_empty(len(first))
        parts = (torch.split(each, _SINGLE_PAIRS) for each in (first, second, logits))
        for one, other, out in zip(*parts, strict=True):
            self._classify(one, other, out)
        return logits.add_(self._logit.index_select(0, second)).tanh_()

    def _classify(self, first: Tensor, second: Tensor, logits: Tensor) -> None:
        """Write [K] halved logits without what second images add."""
        wide, other = self._wide[:, : len(first)]
        narrow, hidden = self._narrow[:, : len(first)]
        torch.index_select(self._first, 0, first, out=wide)
        torch.index_select(self._second, 0, second, out=other)
        torch.maximum(wide, other, out=wide)
        torch.mm(wide, self._weights, out=narrow)
        torch.index_select(self._hidden, 0, second, out=hidden)
        torch.maximum(narrow, hidden, out=narrow)
        torch.mv(narrow, self._last, out=logits)


class Logits:
    """The halved logits of a block as chunks of pairs, in memory that the next block overwrites."""

    def __init__(self, chunk: tuple[int, int], own: Tensor) -> None:
        """Chunks of that many first and second images; `own` [N] is what second images add."""
        self._chunk, self._own = chunk, own
        self._memory = own.new_empty(0)

    def of(self, rows: slice, columns: slice) -> Tensor:
        """[strips of columns, bands of rows, chunk] to be written."""
        height, width = self._chunk
        strips = -(-(columns.stop - columns.start) // width)
        bands = -(-(rows.stop - rows.start) // height)
        if len(self._memory) < strips * bands * height * width:
            self._memory = self._own.new_empty(strips * bands * height * width)
        return self._memory[: strips * bands * height * width].view(strips, bands, height, width)

    def certainty(self, rows: slice, columns: slice) -> Tensor:
        """[R, C] 2 P - 1 of what was written last, for these rows and columns."""
        by_row = self.of(rows, columns).permute(1, 2, 0, 3)
        strips, width = by_row.shape[2:]
        own = self._own[columns.start : columns.start + strips * width].view(strips, width)
        whole = torch.add(by_row, own, out=torch.empty(by_row.shape, device=own.device))
        square = whole.tanh_().view(-1, strips * width)
        return square[: rows.stop - rows.start, : columns.stop - columns.start]


def _error(
    classifier: PairClassifier, first: FloatArray, second: FloatArray, hidden: FloatArray
) -> float:
    """How far a float32 result can be from the exact one, over all pairs.

    Every sum of n products is off by (n + 2) roundings of the sum of magnitudes at most, and a
    maximum by no more than what goes into it; the tanh changes by a quarter of its argument.
    """
    if not len(first):
        return 0.0
    last = np.abs(classifier.last).astype(np.float64)
    # Of a pair's first layer: its length, then all magnitudes that reach the logit
    squares = np.square(first).sum(axis=1).max() + np.square(second).sum(axis=1).max()
    wide = float(np.linalg.norm(last @ np.abs(classifier.second)) * np.sqrt(squares))
    narrow = float((np.abs(hidden) @ last).max())  # the same of what hidden adds
    roundings = wide * (first.shape[1] + 3) + narrow  # in the second layer
    roundings += (wide + narrow) * (len(last) + 4)  # in its product with the last
    roundings += (narrow + abs(classifier.last_bias)) * 3  # of what images add themselves
    return float(roundings) * _UNIT * 1.01 / 4 + TANH_ERROR
