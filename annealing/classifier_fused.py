"""What a pair classifier is unsure of, block by block on a CPU, in one go through all layers.

The first layer is a sum of two projections, made once an image. Its ReLU is written as
max(a, -b) + b, whose second part belongs to one image and goes into what sums start with; what is
left of a pair is one maximum a unit and the small layers, in machine code.

Source: ANNEAL, eq. 9; how it is computed is ours.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from annealing.classifier_error import float32_error
from annealing.machine_code import Layers, Shape, best_shape, compiled
from annealing.pair_classifier import PairClassifier
from domain.arrays import FloatArray


class FusedClassifier:
    """A classifier and what its small layers need of all images, in float32.

    Attributes:
        error: how far |P - 0.5| can be off, for any pair.
    """

    def __init__(
        self,
        classifier: PairClassifier,
        first: FloatArray,
        second: FloatArray,
        *,
        shape: Shape | None = None,
    ) -> None:
        """Take float64 projections [N, H1] of images as first and as second.

        `shape` is None for what suits this processor.
        """
        self._layers = compiled(shape or best_shape())
        self._small = _GroupedLayers.of(classifier, self._layers.shape)
        self._forth = self._small.order(classifier, first, second)
        self._back = self._small.order(classifier, second, first) if classifier.symmetric else None
        self.error = float32_error(classifier, first, second)

    def lane(self) -> "FusedLane":
        """What makes blocks, for one thread."""
        return FusedLane(self._layers, self._small, self._forth, self._back)


class FusedLane:
    """Makes blocks with buffers of its own."""

    def __init__(
        self, layers: Layers, small: "_GroupedLayers", forth: "_Order", back: "_Order | None"
    ) -> None:
        self._layers, self._small = layers, small
        self._orders = (forth,) if back is None else (forth, back)
        self._hidden = torch.empty(forth.single.shape[1] * layers.shape.tile)
        self._tiles = torch.empty(0)
        self._logits = [torch.empty(0) for _ in self._orders]

    def distance(self, rows: slice, columns: slice) -> Tensor:
        """[R, C] |P - 0.5| of pairs of rows with columns; the next block may overwrite it."""
        forth = self._certainty(0, rows, columns)
        if len(self._orders) == 1:
            return forth.abs_().mul_(0.5).contiguous()
        both = forth + forth.T if rows == columns else forth.add_(self._certainty(1, rows, columns))
        return both.abs_().mul_(0.25).contiguous()

    def _certainty(self, number: int, rows: slice, columns: slice) -> Tensor:
        """[R, C] 2 P - 1, with one image of each pair first or the other."""
        order, small = self._orders[number], self._small
        tiles = self._packed(order.others, columns)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        self._logits[number] = _enough(self._logits[number], height * len(tiles) * tiles.shape[2])
        arrays = (
            order.single[rows],
            order.start[rows],
            tiles,
            small.weights,
            small.last,
            self._hidden,
            self._logits[number],
        )
        counts = (height, len(tiles), tiles.shape[1], len(small.weights))
        self._layers.run(*(each.data_ptr() for each in arrays), *counts)
        logits = self._logits[number][: height * len(tiles) * tiles.shape[2]].view(height, -1)
        return logits[:, :width].add_(small.bias).tanh_()

    def _packed(self, others: Tensor, columns: slice) -> Tensor:
        """[T, H1, tile] of the second images, and zeros up to a whole tile."""
        tile = self._layers.shape.tile
        count = -(-(columns.stop - columns.start) // tile)
        self._tiles = _enough(self._tiles, len(others) * count * tile)
        tiles = self._tiles[: len(others) * count * tile].view(count, len(others), tile)
        here = others[:, columns.start : columns.start + count * tile]
        return tiles.copy_(here.view(len(others), count, tile).transpose(0, 1))


@dataclass(frozen=True)
class _Order:
    """What layers need of images in one order of pairs.

    Attributes:
        single: [N, H1] minus the projections of one image.
        start: [N, H2] what those add to the second layer, with its bias.
        others: [H1, N + tile] the projections of the other, and zeros.
    """

    single: Tensor
    start: Tensor
    others: Tensor


@dataclass(frozen=True)
class _GroupedLayers:
    """The small layers, in groups of units of which the last is filled up with zeros.

    Logits are halved, so that their tanh is 2 P - 1.

    Attributes:
        shape: see there.
        weights: [groups, H1, group].
        last: [groups * group].
        bias: of the logit.
    """

    shape: Shape
    weights: Tensor
    last: Tensor
    bias: float

    @classmethod
    def of(cls, classifier: PairClassifier, shape: Shape) -> "_GroupedLayers":
        missing = -len(classifier.last) % shape.group
        weights = np.pad(classifier.second, ((0, missing), (0, 0)))
        grouped = weights.reshape(-1, shape.group, weights.shape[1]).transpose(0, 2, 1)
        last = np.pad(classifier.last, (0, missing)) / 2
        return cls(shape, _tensor(grouped), _tensor(last), classifier.last_bias / 2)

    def order(self, classifier: PairClassifier, one: FloatArray, other: FloatArray) -> _Order:
        """For projections [N, H1] of the single images and of those in tiles."""
        start = one @ classifier.second.T + classifier.second_bias
        missing = len(self.last) - start.shape[1]
        return _Order(
            _tensor(-one),
            _tensor(np.pad(start, ((0, 0), (0, missing)))),
            _tensor(np.pad(other.T, ((0, 0), (0, self.shape.tile)))),
        )


def _tensor(values: FloatArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _enough(memory: Tensor, size: int) -> Tensor:
    """Memory that is large enough: this, or new one."""
    return memory if len(memory) >= size else torch.empty(size)
