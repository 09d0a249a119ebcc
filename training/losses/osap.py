"""OSAP: average precision with a step that never loses its slope, and a look behind the positives.

SRF-AP bounds the exact loss from above, and gives images a gradient however far they are from being
ranked right. OSP spreads similar images from the dissimilar ones that follow them closely. OSAP is
their mix.

Source: OSAP, eqs. 7-16.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.losses.average_precision import blocks, ranking_loss, with_gradient
from training.losses.relevance import (
    LossValue,
    Partners,
    cosines,
    known_partners,
    mean_over_anchors,
)
from training.losses.steps import HardStep, SoftsignStep, SRFVariant


@dataclass(frozen=True)
class SRFAP:
    """1 − an average precision with smooth ranks among the dissimilar images.

    Attributes:
        gamma, delta, variant: see `SoftsignStep`. With δ ≥ ½ the loss is never below the exact
            one, and with 0.65 a wrongly ranked image counts at most 1.65.

    An anchor is valid with a partner of each kind. Unknown images are in no ranking.

    Corner cases: no valid anchor gives 0 with a gradient of zero. Ties count against.

    Source: OSAP, eqs. 8-11.
    """

    gamma: float = 0.001
    delta: float = 0.65
    variant: SRFVariant = "paper"

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """See `RelevanceLoss`."""
        step = SoftsignStep(self.gamma, self.delta, self.variant)
        return ranking_loss(embeddings, relevance, positive=HardStep(), negative=step)


@dataclass(frozen=True)
class OSP:
    """Similar images alike, and dissimilar ones behind them by more than a margin.

    Attributes:
        epsilon: ε, by how much scores of dissimilar images are raised against similar ones.
        margin: m, how far behind a similar image a dissimilar one must stay; ε comes to it.
        scale: T, how steep the loss is.
        detach_upper: of two similar images only the worse one is moved, not the better one too.

    An anchor is valid with a similar partner. Unknown images are in no sum. The weights of the
    images are held fixed in the gradient: they say how it is shared out.

    Corner cases: no valid anchor gives 0 with a gradient of zero. Where nothing is violated the
    loss is log 2, not 0.

    Differs from the paper in what it leaves open: weights add up to 1 for each ranked image.

    Source: OSAP, eqs. 12-15; T = 65 after its table of margins.
    """

    epsilon: float = 0.2
    margin: float = 0.25
    scale: float = 65.0
    detach_upper: bool = False

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """See `RelevanceLoss`."""
        partners = known_partners(relevance)
        spread = row_spreads(
            cosines(embeddings),
            partners,
            behind=self.margin + self.epsilon,
            detach_upper=self.detach_upper,
        )
        return mean_over_anchors(functional.softplus(self.scale * spread), partners.with_similar)


@dataclass(frozen=True)
class OSAP:
    """(1 − ω) of SRF-AP and ω of OSP.

    Attributes:
        omega: ω.
        gamma, delta, variant: see `SRFAP`.
        epsilon, margin, scale, detach_upper: see `OSP`.
        shift_in_ap: whether ε raises the scores of dissimilar images in SRF-AP too.

    Each part is the mean over its own valid anchors; those of OSP, with a similar partner, are
    counted.

    Source: OSAP, eq. 16.
    """

    omega: float = 0.2
    gamma: float = 0.001
    delta: float = 0.65
    variant: SRFVariant = "paper"
    epsilon: float = 0.2
    margin: float = 0.25
    scale: float = 65.0
    detach_upper: bool = False
    shift_in_ap: bool = False

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """See `RelevanceLoss`."""
        precision = ranking_loss(
            embeddings,
            relevance,
            positive=HardStep(),
            negative=SoftsignStep(self.gamma, self.delta, self.variant),
            shift=self.epsilon if self.shift_in_ap else 0.0,
        )
        spread = OSP(self.epsilon, self.margin, self.scale, self.detach_upper)(
            embeddings, relevance
        )
        value = (1 - self.omega) * precision.value + self.omega * spread.value
        return LossValue(value, spread.valid_anchors)


def row_spreads(
    scores: Tensor, partners: Partners, *, behind: float, detach_upper: bool = False
) -> Tensor:
    """How far the images of each row are from similar ones alike and dissimilar ones behind.

    Args:
        scores: [B, B]; higher ranks first.
        partners: the known relations; unknown ones take no part.
        behind: how far behind a similar image a dissimilar one must stay.
        detach_upper: no gradient into the better of two similar images.

    Returns:
        [B] 0 or more, the argument of eq. 15 without T; its gradient holds the weights fixed.
        0 with a gradient of zero for rows without a similar partner.

    Source: OSAP, eqs. 12-15.
    """
    scores_now, gradient = scores.detach(), torch.zeros_like(scores)
    values = scores_now.new_zeros(len(scores))
    weights = 1 / partners.similar.sum(1).clamp(min=1).to(scores_now)
    for queries, ranked in blocks(partners.similar):
        ahead = scores_now[queries, ranked][:, None] - scores_now[queries]  # [K, B]
        similar = partners.similar[queries]
        similar[torch.arange(len(ranked), device=ranked.device), ranked] = False  # not itself
        above, above_share = _violations(ahead, similar)
        near, near_share = _violations(behind - ahead, partners.dissimilar[queries])
        weight = weights[queries][:, None]
        values.index_add_(0, queries, (weight * (above_share * above + near_share * near)).sum(1))
        near_slopes, above_slopes = weight * near_share * (near > 0), weight * above_share
        above_slopes *= above > 0
        gradient.index_add_(0, queries, near_slopes - above_slopes)
        raised = near_slopes.sum(1)
        gradient[queries, ranked] -= raised if detach_upper else raised - above_slopes.sum(1)
    return with_gradient(scores, values, gradient)


def _violations(excess: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """[K, B] how far something is above 0, and the share it has among what is counted."""
    violation = excess.relu() * counted
    powers = violation.exp() * counted  # at most e^(2 + behind): cosines are bounded
    return violation, powers / powers.sum(1, keepdim=True).clamp(min=1)
