"""What answers say nothing about: cosines stay as they were, neighbours come closer.

Without it a head trained on a few hundred answers is free to put all other images anywhere, and
retrieves worse than the frozen features did. Ours; close relatives are relational knowledge
distillation and learning without forgetting.
"""

import torch
from torch import Tensor

from training.losses.relevance import cosines


def structure_loss(embeddings: Tensor, frozen: Tensor, relevance: Tensor) -> Tensor:
    """The mean squared change of the cosines of pairs whose relation is unknown, a scalar.

    Args:
        embeddings: [B, D] of any length.
        frozen: [B, C] the features they are made from, of any length.
        relevance: [B, B] symmetric; NaN marks unknown pairs. The diagonal is ignored.

    Corner cases: no unknown pair gives 0 with a gradient of zero.
    """
    unknown = torch.triu(torch.isnan(relevance), diagonal=1)
    change = (cosines(embeddings) - cosines(frozen)).square()
    return (change * unknown).sum() / unknown.sum().clamp(min=1)


def neighbour_loss(embeddings: Tensor, neighbours: Tensor) -> Tensor:
    """The mean of 1 − cosine over neighbours, a scalar in [0, 2].

    Args:
        embeddings: [B, D] of any length.
        neighbours: [B, B] bool, symmetric; the diagonal is ignored.

    Corner cases: no neighbours give 0 with a gradient of zero.
    """
    pairs = torch.triu(neighbours, diagonal=1)
    return ((1 - cosines(embeddings)) * pairs).sum() / pairs.sum().clamp(min=1)
