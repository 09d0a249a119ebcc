"""Losses of pairs, each by itself or weighed by the other pairs of its anchor.

Source: Hadsell and others (2006), as in CBMIR; Yi and others (2014), as in DCL, eq. 5; multi-
similarity (Wang and others, 2019).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.losses.relevance import (
    LossValue,
    cosines,
    distances,
    known_partners,
    mean_over_anchors,
)

_LEAST_WEIGHT = 1e-12  # of pairs together: with less there is nothing to divide by


@dataclass(frozen=True)
class DistanceContrastive:
    """The mean over known pairs of ½D² if similar, ½ max(0, margin − D)² if not.

    Attributes:
        margin: the distance D beyond which a dissimilar pair is left alone.

    An anchor is valid with a partner of any kind.

    Source: CBMIR's loss, after Hadsell and others (2006), eq. 4.
    """

    margin: float = 1.0

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """See `RelevanceLoss`."""
        return self.weighted(embeddings, relevance, torch.ones_like(relevance))

    def weighted(self, embeddings: Tensor, relevance: Tensor, weights: Tensor) -> LossValue:
        """See `WeightedLoss`."""
        partners, apart = known_partners(relevance), distances(embeddings)
        near = (self.margin - apart).relu()
        terms = apart.square() * partners.similar + near.square() * partners.dissimilar
        known = partners.similar | partners.dissimilar
        total = 2 * (weights * known).sum().clamp(min=_LEAST_WEIGHT)
        return LossValue((weights * terms).sum() / total, int(known.any(1).sum()))


@dataclass(frozen=True)
class BinomialDeviance:
    """Logistic costs of each pair: log(1 + e^(α(λ − s))) if similar, log(1 + e^(β(s − λ))) if not.

    Attributes:
        alpha, beta: how steep for similar and for dissimilar pairs.
        threshold: λ, the cosine between both kinds.

    Of each anchor the mean over similar and the mean over dissimilar partners; it is valid with a
    partner of any kind.

    Source: DCL, eq. 5, after Yi and others (2014).
    """

    alpha: float = 2.0
    beta: float = 50.0
    threshold: float = 0.5

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """See `RelevanceLoss`."""
        return self.weighted(embeddings, relevance, torch.ones_like(relevance))

    def weighted(self, embeddings: Tensor, relevance: Tensor, weights: Tensor) -> LossValue:
        """See `WeightedLoss`; each anchor counts as much as another, whatever its pairs do."""
        partners, above = known_partners(relevance), cosines(embeddings) - self.threshold
        alike, different = weights * partners.similar, weights * partners.dissimilar
        terms = _row_means(functional.softplus(-self.alpha * above), alike)
        terms = terms + _row_means(functional.softplus(self.beta * above), different)
        return mean_over_anchors(terms, partners.with_similar | partners.with_dissimilar)


@dataclass(frozen=True)
class MultiSimilarity:
    """Pairs weighed by the other pairs of their anchor: the hardest of each kind count most.

    Attributes:
        alpha, beta: how steep for similar and for dissimilar pairs.
        threshold: λ, the cosine between both kinds.

    An anchor is valid with a partner of any kind. The paper's mining of pairs is left out: all
    known pairs take part.

    Source: multi-similarity (Wang and others, 2019), eq. 16.
    """

    alpha: float = 2.0
    beta: float = 50.0
    threshold: float = 0.5

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """See `RelevanceLoss`."""
        return self.weighted(embeddings, relevance, torch.ones_like(relevance))

    def weighted(self, embeddings: Tensor, relevance: Tensor, weights: Tensor) -> LossValue:
        """See `WeightedLoss`: a pair of weight two counts as two pairs."""
        partners, above = known_partners(relevance), cosines(embeddings) - self.threshold
        size = weights.clamp(min=_LEAST_WEIGHT).log()
        terms = log_one_and_sum(size - self.alpha * above, partners.similar) / self.alpha
        terms = terms + log_one_and_sum(size + self.beta * above, partners.dissimilar) / self.beta
        return mean_over_anchors(terms, partners.with_similar | partners.with_dissimilar)


def log_one_and_sum(exponents: Tensor, counted: Tensor) -> Tensor:
    """log(1 + Σ e^x) of each row over what is counted; 0 where nothing is.

    Args:
        exponents: [K, B].
        counted: [K, B] bool.

    Returns:
        [K], however large the exponents are.
    """
    terms = exponents.masked_fill(~counted, -torch.inf)
    return torch.logsumexp(functional.pad(terms, (1, 0)), dim=1)


def _row_means(terms: Tensor, weights: Tensor) -> Tensor:
    return (terms * weights).sum(1) / weights.sum(1).clamp(min=_LEAST_WEIGHT)
