"""What all losses take and give: embeddings and known relations in, a value and its anchors out.

A relevance matrix R [B, B] says of two rows of a batch: 1 similar, 0 dissimilar, NaN unknown. It is
symmetric, and its diagonal is ignored: no row is its own partner. Unknown is not dissimilar, and
takes no part: a row nobody compared with another may belong to it. An *anchor* is a row seen
against its partners; an anchor is *valid* for a loss when it has the partners the loss needs, and
losses are means over valid anchors, not over the batch.

Source: ours, after the class labels of the papers; distances as in DCL, eq. 1.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

_SMALLEST_SQUARE = 1e-12  # below it the gradient of a distance is taken as 0: it has none at 0


@dataclass(frozen=True)
class LossValue:
    """A loss of a batch.

    Attributes:
        value: a scalar to make small. Without valid anchors it is 0 with a gradient of zero.
        valid_anchors: how many rows of the batch the value speaks of. 0: skip the step.
    """

    value: Tensor
    valid_anchors: int


class RelevanceLoss(Protocol):
    """A loss: a frozen dataclass of its hyper-parameters, called with a batch."""

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """The loss of a batch.

        Args:
            embeddings: [B, D] of any length; a zero row has cosine 0 with every other.
            relevance: [B, B] symmetric: 1 similar, 0 dissimilar, NaN unknown; the diagonal is
                ignored. On the same device as the embeddings.
        """


@runtime_checkable
class WeightedLoss(RelevanceLoss, Protocol):
    """A loss that pairs can count more or less for."""

    def weighted(self, embeddings: Tensor, relevance: Tensor, weights: Tensor) -> LossValue:
        """The loss of a batch; with equal weights that of `RelevanceLoss`.

        Args:
            embeddings, relevance: see there.
            weights: [B, B] symmetric, 0 or more; what stands at unknown pairs is ignored.
        """


def taught_loss(
    loss: RelevanceLoss, embeddings: Tensor, taught: Tensor, *, trust: Tensor, sure: Tensor
) -> LossValue:
    """The loss of known and guessed pairs, as far as it can tell them apart.

    Args:
        loss: that weighs pairs, or any other, for which all pairs that are sure count alike.
        embeddings: [B, D].
        taught: [B, B] a relevance matrix.
        trust: [B, B] how much each pair of it counts.
        sure: [B, B] bool, whether it is beyond doubt.

    Source: ours.
    """
    if isinstance(loss, WeightedLoss):
        return loss.weighted(embeddings, taught, trust)
    return loss(embeddings, taught.masked_fill(~sure, torch.nan))


@dataclass(frozen=True)
class Partners:
    """Who is known to be similar and dissimilar to whom.

    Attributes:
        similar: [B, B] bool, False on the diagonal.
        dissimilar: [B, B] bool, False on the diagonal. What is in neither is unknown.
    """

    similar: Tensor
    dissimilar: Tensor

    @property
    def with_similar(self) -> Tensor:
        """[B] rows with a similar partner."""
        return self.similar.any(1)

    @property
    def with_dissimilar(self) -> Tensor:
        """[B] rows with a dissimilar partner."""
        return self.dissimilar.any(1)

    @property
    def with_both(self) -> Tensor:
        """[B] rows with a partner of each kind."""
        return self.with_similar & self.with_dissimilar


def known_partners(relevance: Tensor) -> Partners:
    """The known relations of a batch, without those of rows with themselves.

    Args:
        relevance: [B, B]: 1 similar, 0 dissimilar, NaN unknown.
    """
    others = ~torch.eye(len(relevance), dtype=torch.bool, device=relevance.device)
    return Partners((relevance == 1) & others, (relevance == 0) & others)


def relevance_of_classes(labels: Tensor) -> Tensor:
    """The relevance matrix [B, B] of images whose class is known.

    Args:
        labels: [B] whole numbers; negative where the class is unknown.

    Returns:
        float32: 1 for the same class, 0 for different ones, NaN where either is unknown and on
        the diagonal.
    """
    relevance = (labels[:, None] == labels).to(torch.float32)
    unknown = (labels < 0)[:, None] | (labels < 0)
    return relevance.masked_fill(unknown, torch.nan).fill_diagonal_(torch.nan)


def unit_rows(embeddings: Tensor) -> Tensor:
    """[B, D] the rows at length 1, in single precision at least; a zero row stays zero."""
    rows = embeddings if embeddings.dtype == torch.float64 else embeddings.float()
    return functional.normalize(rows, dim=1, eps=1e-12)


def cosines(embeddings: Tensor) -> Tensor:
    """[B, B] in [−1, 1]; a zero row has cosine 0 with every other.

    Never in half precision, whatever the network is computed in: ranks depend on differences of
    thousandths.
    """
    with torch.autocast(embeddings.device.type, enabled=False):
        unit = unit_rows(embeddings)
        return unit @ unit.T


def distances(embeddings: Tensor) -> Tensor:
    """[B, B] Euclidean distances of the rows at length 1, in [0, 2].

    Corner cases: copies have a distance of 1e-6 and a gradient of zero, not NaN.
    """
    return (2 - 2 * cosines(embeddings)).clamp(min=_SMALLEST_SQUARE).sqrt()


def mean_over_anchors(terms: Tensor, valid: Tensor) -> LossValue:
    """The mean of the valid anchors' losses.

    Args:
        terms: [B] one loss an anchor; what stands at invalid ones must be finite, and is ignored.
        valid: [B] bool.

    Corner cases: no valid anchor gives 0 with a gradient of zero.
    """
    count = int(valid.sum())
    return LossValue(torch.where(valid, terms, 0).sum() / max(count, 1), count)
