"""What a pair classifier is unsure of, over all pairs, one block of the upper triangle at a time.

The first layer is a sum of two projections, made once an image; for each pair remain one
maximum, a small product, another maximum and a dot product. Both ReLUs are written as
max(a, -b) + b, whose second part belongs to one image and leaves the loop: what is left costs
little more than the products.

Source: ANNEAL, eq. 9 over the whole pool.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from annealing.pair_classifier import PairClassifier
from annealing.shortlist import Block
from annealing.tiles import tile_corners, tile_count
from domain.arrays import FloatArray

BLOCK_ROWS = 256  # enough blocks for all cores, large enough that handing them out costs nothing
# Rows and columns that go through the layers together. On a CPU the first layer, 1 MB, then stays
# in a core's cache; of 20 shapes tried this was among the quickest.
_CHUNK = {"cpu": (16, 128), "cuda": (256, 1024)}
_UNIT = 2.0**-24  # rounding of float32
_TANH_ERROR = 8 * _UNIT  # of a tanh, halved; libraries promise half of it


@dataclass(frozen=True)
class _Side:
    """Per image: what the layers need of it, as first or as second of a pair.

    Attributes:
        first: [H1, N] its projection as first image.
        second: [H1, N] minus its projection as second image.
        hidden: [H2, N] minus what its second projection adds to the second layer.
        logit: [N] what that adds to the logit.
    """

    first: Tensor
    second: Tensor
    hidden: Tensor
    logit: Tensor


class _Layers:
    """The layers behind the projections, for a few first and some second images at a time."""

    def __init__(self, weights: Tensor, last: Tensor, rows: int, columns: int) -> None:
        """Second weights [H2, H1], last ones [H2]; buffers for [R, C] pairs, used again."""
        self._weights, self._last = weights, last
        self._wide = weights.new_empty(weights.shape[1], rows, columns)
        self._narrow = weights.new_empty(len(weights), rows, columns)
        self._logits = weights.new_empty(rows, columns)
        self._flat = self._wide.flatten(1), self._narrow.flatten(1), self._logits.flatten()

    def logits(self, first: Tensor, second: Tensor, hidden: Tensor) -> Tensor:
        """[R, C] logits, without what a second image adds itself; overwritten by the next call.

        Args:
            first: [H1, R, 1] projections.
            second: [H1, 1, C] negative projections.
            hidden: [H2, 1, C] minus what these add to the second layer.
        """
        wide, narrow, logits = self._flat
        torch.maximum(first, second, out=self._wide)
        torch.mm(self._weights, wide, out=narrow)
        torch.maximum(self._narrow, hidden, out=self._narrow)
        torch.mv(narrow.T, self._last, out=logits)
        return self._logits


class ClassifierBlocks:
    """|P - 0.5| of all pairs as blocks for a shortlist."""

    def __init__(
        self,
        classifier: PairClassifier,
        embeddings: FloatArray,
        *,
        device: str | torch.device = "cpu",
        block_rows: int = BLOCK_ROWS,
    ) -> None:
        """Blocks of embeddings [N, D], which are used as they are."""
        self._rows, self._size = len(embeddings), block_rows
        self._device = torch.device(device)
        self._symmetric = classifier.symmetric
        first, second = classifier.projections(embeddings)
        hidden = second @ classifier.second.T + classifier.second_bias
        self._side = _Side(
            self._tensor(first.T),
            self._tensor(-second.T),
            self._tensor(-hidden.T),
            self._tensor(hidden @ classifier.last + classifier.last_bias),
        )
        self._weights = self._tensor(classifier.second), self._tensor(classifier.last)
        self._error = _error(classifier, first, second, hidden)

    @property
    def count(self) -> int:
        """How many blocks there are."""
        return tile_count(self._rows, self._size)

    def blocks(self, numbers: Iterable[int]) -> Iterator[Block]:
        """Blocks with these numbers; threads may take some each, with an iterator of their own."""
        lane = _Lane(self._side, self._weights, _CHUNK[self._device.type])
        for rows, columns in tile_corners(self._rows, self._size, numbers):
            signed = lane.signed(rows, columns)
            if self._symmetric:
                back = signed if rows == columns else lane.signed(columns, rows)
                signed = (signed + back.T).div_(2)
            yield Block(rows.start, columns.start, signed.abs_(), self._error)

    def _tensor(self, values: FloatArray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(self._device)


class _Lane:
    """Puts blocks through the layers, chunk by chunk, with buffers of its own."""

    def __init__(self, side: _Side, weights: tuple[Tensor, Tensor], chunk: tuple[int, int]) -> None:
        self._side, self._weights, self._chunk = side, weights, chunk
        self._of_shape: dict[torch.Size, _Layers] = {}  # one for most chunks, others at the edges

    def signed(self, rows: slice, columns: slice) -> Tensor:
        """[R, C] P - 0.5 of images in these rows as first and in these columns as second."""
        side, (height, width) = self._side, self._chunk
        out = side.logit[columns].repeat(rows.stop - rows.start, 1)
        for left in range(columns.start, columns.stop, width):
            here = slice(left, min(left + width, columns.stop))
            second = side.second[:, None, here].contiguous()
            hidden = side.hidden[:, None, here].contiguous()
            part = out[:, here.start - columns.start : here.stop - columns.start]
            firsts = torch.split(side.first[:, rows, None], height, 1)
            for chunk, first in zip(torch.split(part, height), firsts, strict=True):
                chunk += self._layers(chunk.shape).logits(first, second, hidden)
        return out.div_(2).tanh_().div_(2)

    def _layers(self, shape: torch.Size) -> _Layers:
        if shape not in self._of_shape:
            self._of_shape[shape] = _Layers(*self._weights, *shape)
        return self._of_shape[shape]


def _error(
    classifier: PairClassifier, first: FloatArray, second: FloatArray, hidden: FloatArray
) -> float:
    """How far a float32 result can be from the exact one, over all pairs.

    Every sum of n products is off by (n + 2) roundings of the sum of magnitudes at most, and a
    maximum by no more than what goes into it; the tanh changes by a quarter of its argument.
    """
    if not len(first):
        return 0.0
    weights, last = np.abs(classifier.second), np.abs(classifier.last)
    largest = np.maximum(np.abs(first).max(axis=0), np.abs(second).max(axis=0))  # of a maximum
    in_hidden = weights @ largest * (len(largest) + 3) * _UNIT
    in_hidden += np.abs(hidden).max(axis=0) * _UNIT
    size = np.maximum(weights @ largest, np.abs(hidden).max(axis=0))
    in_logit = last @ (in_hidden + size * (len(last) + 3) * _UNIT)
    in_logit += (last @ np.abs(hidden).max(axis=0) + abs(classifier.last_bias)) * 3 * _UNIT
    in_logit += last @ size * _UNIT  # the last sum
    return float(in_logit) * 1.01 / 4 + _TANH_ERROR
