"""The network behind a pair classifier, while it is trained together with a head.

Source: ANNEAL, section on BCGUE: three fully connected layers, the last with one neuron, over the
concatenated features of two images. The paper gives no widths; 128 and 32 are ours.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from annealing.pair_classifier import PairClassifier
from domain.arrays import FloatArray
from training.head import empty_linear, set_random

HIDDEN = (128, 32)


class PairNetwork(nn.Module):
    """Logits of pairs from the embeddings [B, D] of a batch's images; weights are not set."""

    def __init__(self, width: int) -> None:
        """A network for embeddings of length `width`."""
        super().__init__()
        self.first = empty_linear(2 * width, HIDDEN[0])
        self.second = empty_linear(HIDDEN[0], HIDDEN[1])
        self.last = empty_linear(HIDDEN[1], 1)

    def forward(self, embeddings: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """[P] the logits of pairs, in this order of their images.

        Args:
            embeddings: [B, D] unit vectors.
            first, second: [P] rows of them.
        """
        left, right = self.first.weight.chunk(2, dim=1)
        sides = (embeddings @ left.T)[first] + (embeddings @ right.T)[second]
        hidden = functional.relu(sides + self.first.bias)
        hidden = functional.relu(self.second(hidden))
        logits: Tensor = self.last(hidden)[:, 0]
        return logits

    def classifier(self, *, symmetric: bool) -> PairClassifier:
        """What was learnt, to ask of any pairs."""
        left, right = self.first.weight.chunk(2, dim=1)
        return PairClassifier(
            left=_array(left),
            right=_array(right),
            first_bias=_array(self.first.bias),
            second=_array(self.second.weight),
            second_bias=_array(self.second.bias),
            last=_array(self.last.weight[0]),
            last_bias=float(self.last.bias.detach()[0]),
            symmetric=symmetric,
        )


def new_pair_network(width: int, *, generator: torch.Generator) -> PairNetwork:
    """A network with random weights, drawn from the generator only."""
    network = PairNetwork(width)
    set_random((network.first, network.second, network.last), generator)
    return network


def _array(tensor: Tensor) -> FloatArray:
    return np.ascontiguousarray(tensor.detach().cpu().numpy())
