"""The contrastive loss on cosines: similar pairs together, dissimilar ones below a margin.

Takes pairs with their cosines, or embeddings with a relevance matrix in which unknown relations
are NaN and take no part. The two kinds are balanced by weights: the sampler's, or those of the
relevance matrix itself.

Source: ANNEAL, eq. 1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.losses.relevance import LossValue, cosines, known_partners


@dataclass(frozen=True)
class Contrastive:
    """The mean over known pairs of 1 − s if similar, max(0, s − margin) if not.

    Attributes:
        margin: the cosine s below which a dissimilar pair is left alone.
        balanced: whether both kinds of pairs weigh the same, however rare one is.

    An anchor is valid with a partner of any kind.

    Corner cases: no known pair gives 0 with a gradient of zero.

    Source: ANNEAL, eq. 1; the balance does what repeating the rarer kind does on average.
    """

    margin: float = 0.5
    balanced: bool = True

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """See `RelevanceLoss`."""
        return self.weighted(embeddings, relevance, torch.ones_like(relevance))

    def weighted(self, embeddings: Tensor, relevance: Tensor, weights: Tensor) -> LossValue:
        """See `WeightedLoss`; each kind weighs as much as the other, whatever its pairs do."""
        partners = known_partners(relevance)
        known = partners.with_similar | partners.with_dissimilar
        if self.balanced:
            kinds = [weights * kind for kind in (partners.similar, partners.dissimilar)]
            weights = torch.stack([each / _sum_or_one(each) for each in kinds]).sum(0)
        value = contrastive_loss(embeddings, relevance, margin=self.margin, weights=weights)
        return LossValue(value, int(known.sum()))


def contrastive_terms(cosines: Tensor, similar: Tensor, *, margin: float = 0.5) -> Tensor:
    """The loss of each pair: 1 − s if similar, max(0, s − margin) if not.

    Args:
        cosines: [P] in [−1, 1].
        similar: [P] bool.
        margin: the cosine below which a dissimilar pair is left alone.

    Returns:
        [P]; similar pairs in [0, 2], dissimilar ones in [0, 1 − margin]. At the margin itself
        the loss and its gradient are 0.

    Source: ANNEAL, eq. 1.
    """
    return torch.where(similar, 1 - cosines, functional.relu(cosines - margin))


def pair_contrastive_loss(
    cosines: Tensor, similar: Tensor, *, margin: float = 0.5, weights: Tensor | None = None
) -> Tensor:
    """The weighted mean of the pairs' losses, a scalar.

    Args:
        cosines: [P] in [−1, 1].
        similar: [P] bool.
        margin: the cosine below which a dissimilar pair is left alone.
        weights: [P], 0 or more; None weighs all pairs alike.

    Corner cases: no pair, or only pairs of weight 0, gives 0 with a gradient of zero, not NaN.

    Differs from the paper: it gives no reduction; we take the mean over the pairs.

    Source: ANNEAL, eq. 1.
    """
    terms = contrastive_terms(cosines, similar, margin=margin)
    weights = torch.ones_like(terms) if weights is None else weights.to(terms)
    return (terms * weights).sum() / _sum_or_one(weights)


def contrastive_loss(
    embeddings: Tensor,
    relevance: Tensor,
    *,
    margin: float = 0.5,
    weights: Tensor | None = None,
) -> Tensor:
    """The mean loss of all known pairs of a batch, each unordered pair once.

    Args:
        embeddings: [B, D] of any length; a zero row has cosine 0 with every other.
        relevance: [B, B] symmetric: 1 similar, 0 dissimilar, NaN unknown; the diagonal is ignored.
        margin: the cosine below which a dissimilar pair is left alone.
        weights: [B, B] symmetric, 0 or more; None weighs all known pairs alike.

    Corner cases: no known pair gives 0 with a gradient of zero.

    Source: ANNEAL, eq. 1.
    """
    rows, columns = torch.nonzero(_known_above_diagonal(relevance), as_tuple=True)
    return pair_contrastive_loss(
        cosines(embeddings)[rows, columns],
        relevance[rows, columns] == 1,
        margin=margin,
        weights=None if weights is None else weights[rows, columns],
    )


def _sum_or_one(weights: Tensor) -> Tensor:
    total = weights.sum()
    return torch.where(total > 0, total, torch.ones_like(total))


def _known_above_diagonal(relevance: Tensor) -> Tensor:
    return torch.triu(~torch.isnan(relevance), diagonal=1)
