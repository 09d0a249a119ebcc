"""A classifier of pairs: the probability that two images are similar, from their embeddings.

Takes two embeddings, gives one number. Its first layer reads both embeddings side by side, which
is the sum of one projection of each: over all pairs of an archive every image is projected once,
and only the small layers behind run for each pair. Training it is not done here.

Source: ANNEAL, "binary classifier guided uncertainty estimation", eqs. 9-11.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from annealing.lanes import work_through
from domain.arrays import FloatArray, IntArray

_CHUNK_PAIRS = 512  # pairs at a time: the first layer in float64 stays in a core's cache


@dataclass(frozen=True)
class PairClassifier:
    """Three fully connected layers with ReLU between them; the last has one output.

    Attributes:
        left, right: [H1, D] the first layer's weights of the first and of the second image.
        first_bias: [H1].
        second: [H2, H1] and second_bias: [H2].
        last: [H2] and last_bias.
        symmetric: the mean of both orders of a pair counts. The paper joins the embeddings in one
            order, though similarity has none; False does as it says, with the lower row first.
    """

    left: FloatArray
    right: FloatArray
    first_bias: FloatArray
    second: FloatArray
    second_bias: FloatArray
    last: FloatArray
    last_bias: float
    symmetric: bool = True

    def probabilities(self, embeddings: FloatArray, pairs: IntArray) -> NDArray[np.float64]:
        """[P] the probability of each pair [P, 2] of rows of embeddings [N, D] to be similar.

        Source: ANNEAL, eq. 9; the mean of both orders is ours.
        """
        return 0.5 + self._signed(embeddings, pairs)

    def uncertainties(self, embeddings: FloatArray, pairs: IntArray) -> NDArray[np.float64]:
        """[P] |P - 0.5| of each pair, 0…0.5; 0 is the most uncertain.

        It comes from the logits, so that nothing is lost where the classifier is sure.

        Source: ANNEAL, section on BCGUE.
        """
        return np.abs(self._signed(embeddings, pairs))

    def projections(
        self, embeddings: FloatArray
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """[N, H1] twice: what each image adds to the first layer, as first and as second."""
        rows = embeddings.astype(np.float64)
        return rows @ self.left.astype(np.float64).T + self.first_bias, rows @ self.right.T

    def _signed(self, embeddings: FloatArray, pairs: IntArray) -> NDArray[np.float64]:
        """P - 0.5, as tanh(z / 2) / 2 is exactly sigmoid(z) - 0.5."""
        pairs = np.sort(np.asarray(pairs, dtype=np.int64).reshape(-1, 2), axis=1)
        rows, places = np.unique(pairs, return_inverse=True)
        first, second = (torch.from_numpy(each) for each in self.projections(embeddings[rows]))
        low, high = torch.from_numpy(places.reshape(-1, 2).T.copy())
        signed = torch.empty(len(pairs), dtype=torch.float64)
        logits, starts = _LaterLayers.of(self), range(0, len(pairs), _CHUNK_PAIRS)

        def take(numbers: Iterator[int]) -> Iterator[None]:
            for number in numbers:
                part = slice(starts[number], starts[number] + _CHUNK_PAIRS)
                value = logits(first, second, low[part], high[part]).div_(2).tanh_()
                if self.symmetric:
                    back = logits(first, second, high[part], low[part]).div_(2).tanh_()
                    value.add_(back).div_(2)
                signed[part] = value.div_(2)
                yield

        work_through(range(len(starts)), take)
        return np.asarray(signed.numpy())


@dataclass(frozen=True)
class _LaterLayers:
    """The layers behind the first one, in float64; by torch, which keeps to the core of a lane."""

    weights: Tensor
    bias: Tensor
    last: Tensor
    last_bias: float

    @classmethod
    def of(cls, classifier: PairClassifier) -> "_LaterLayers":
        weights, bias, last = (
            torch.tensor(each, dtype=torch.float64)
            for each in (classifier.second, classifier.second_bias, classifier.last)
        )
        return cls(weights, bias, last, classifier.last_bias)

    def __call__(self, first: Tensor, second: Tensor, one: Tensor, other: Tensor) -> Tensor:
        """[P] logits of pairs of rows of the projections as first and as second."""
        wide = first.index_select(0, one).add_(second.index_select(0, other)).relu_()
        narrow = torch.mm(wide, self.weights.T).add_(self.bias).relu_()
        return torch.mv(narrow, self.last).add_(self.last_bias)
