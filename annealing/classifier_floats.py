"""What a pair classifier is unsure of, block by block by products of torch: for GPUs.

The first layer is a sum of two projections, made once an image; for each pair remain one
maximum, a small product, another maximum and a dot product. Both ReLUs are written as
max(a, -b) + b, whose second part belongs to one image and leaves the loop.

Source: ANNEAL, eq. 9; how it is computed is ours.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from annealing.classifier_error import float32_error
from annealing.pair_classifier import PairClassifier
from domain.arrays import FloatArray

_CHUNK = (256, 1024)  # rows and columns that go through the layers together: 134 MB at 128 units


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
        symmetric: whether both orders of a pair count.
        sides: see there.
        weights, last: of the layers.
        error: how far |P - 0.5| can be off, for any pair.
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
        self._device, self.symmetric = device, classifier.symmetric
        hidden = second @ classifier.second.T + classifier.second_bias
        self.sides = _Sides(
            self._padded(first.T),
            self._padded(-second.T),
            self._padded(-hidden.T),
            self._padded((hidden @ classifier.last + classifier.last_bias)[None] / 2)[0],
        )
        self.weights = self._tensor(classifier.second)
        self.last = self._tensor(classifier.last / 2)
        self.error = float32_error(classifier, first, second)

    def lane(self) -> "FloatLane":
        """What makes blocks, for one thread."""
        return FloatLane(self)

    def _padded(self, columns: FloatArray) -> Tensor:
        """The columns, and zeros for chunks that reach beyond them."""
        return self._tensor(np.pad(columns, ((0, 0), (0, max(_CHUNK)))))

    def _tensor(self, values: FloatArray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(self._device)


class FloatLane:
    """Puts blocks through the layers, chunk by chunk, with buffers of its own."""

    def __init__(self, classifier: FloatClassifier) -> None:
        self._classifier, sides = classifier, classifier.sides
        self._wide = sides.first.new_empty(len(sides.first), *_CHUNK)
        self._narrow = sides.first.new_empty(len(sides.hidden), *_CHUNK)

    def distance(self, rows: slice, columns: slice) -> Tensor:
        """[R, C] |P - 0.5| of pairs of rows with columns."""
        forth = self._certainty(rows, columns)
        if not self._classifier.symmetric:
            return forth.abs_().mul_(0.5)
        back = forth if rows == columns else self._certainty(columns, rows)
        return (forth + back.T).abs_().mul_(0.25)

    def _certainty(self, rows: slice, columns: slice) -> Tensor:
        """[R, C] 2 P - 1 of images in these rows as first and in these columns as second."""
        sides, (height, width) = self._classifier.sides, _CHUNK
        wanted = rows.stop - rows.start, columns.stop - columns.start
        logits = sides.logit.new_empty(wanted)
        for top in range(0, wanted[0], height):
            for left in range(0, wanted[1], width):
                chunk = self._logits(rows.start + top, columns.start + left)
                part = logits[top : top + height, left : left + width]
                part.copy_(chunk[: len(part), : part.shape[1]])
        return logits.add_(sides.logit[columns]).tanh_()

    def _logits(self, top: int, left: int) -> Tensor:
        """Halved logits of a chunk of pairs, without what second images add."""
        sides, (height, width) = self._classifier.sides, _CHUNK
        torch.maximum(
            sides.first[:, top : top + height, None],
            sides.second[:, None, left : left + width],
            out=self._wide,
        )
        narrow = self._narrow.flatten(1)
        torch.mm(self._classifier.weights, self._wide.flatten(1), out=narrow)
        torch.maximum(self._narrow, sides.hidden[:, None, left : left + width], out=self._narrow)
        return torch.mv(narrow.T, self._classifier.last).view(height, width)
