"""Average precision of each row of a batch, with any steps for its ranks, in little memory.

Every row is a query, and the images whose relation to it is known are its gallery; the query itself
is not in it. The naive form holds a number for each triple of images: half a gigabyte and more
for 512. Here the triples are visited a block at a time, and the gradient is computed with the
value, since that of a row's precision reaches only the row's own scores.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from training.losses.relevance import (
    LossValue,
    Partners,
    cosines,
    known_partners,
    mean_over_anchors,
)
from training.losses.steps import HardStep, SigmoidStep, Step, SupStep

_BLOCK = {"cpu": 2**17, "cuda": 2**22}  # triples at a time: they stay in the cache of a core


def row_average_precisions(
    scores: Tensor, partners: Partners, *, positive: Step, negative: Step, shift: float = 0.0
) -> Tensor:
    """The average precision of each row's ranking of its known partners.

    Args:
        scores: [B, B]; higher ranks first.
        partners: the known relations; unknown ones are in nobody's ranking.
        positive: the step that counts similar images before a similar one.
        negative: the step that counts dissimilar images before a similar one.
        shift: added to the scores of dissimilar images.

    Returns:
        [B] in 0…1; 0 with a gradient of zero for rows without a partner of each kind.

    Source: OSAP, eqs. 4-6 (the denominator of eq. 6 as rank among all).
    """
    values, gradient = _precisions(scores.detach(), partners, positive, negative, shift)
    return with_gradient(scores, values, gradient)


@dataclass(frozen=True)
class ExactAP:
    """1 − the mean average precision of the batch; it has no gradient, for comparison only.

    An anchor is valid with a partner of each kind. Unknown images are in no ranking.

    Source: OSAP, eqs. 4-6; ties count against.
    """

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """See `RelevanceLoss`."""
        return ranking_loss(embeddings, relevance, positive=HardStep(), negative=HardStep())


@dataclass(frozen=True)
class SmoothAP:
    """1 − the mean average precision with sigmoids as steps.

    Attributes:
        tau: width of the sigmoids.

    An anchor is valid with a partner of each kind. Unknown images are in no ranking.

    Differs from the paper, which counts the query among its own similar images.

    Source: Smooth-AP (Brown and others, 2020), eqs. 5-7.
    """

    tau: float = 0.01

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """See `RelevanceLoss`."""
        step = SigmoidStep(self.tau)
        return ranking_loss(embeddings, relevance, positive=step, negative=step)


@dataclass(frozen=True)
class SupAP:
    """1 − an average precision that is never above the exact one, steep where the order is wrong.

    Attributes:
        tau, rho, margin, offset: see `SupStep`.

    An anchor is valid with a partner of each kind. Unknown images are in no ranking.

    Source: ROADMAP (Ramzi and others, 2021), eqs. 4-6.
    """

    tau: float = 0.01
    rho: float = 100.0
    margin: float = 0.05
    offset: float = 1.44

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """See `RelevanceLoss`."""
        step = SupStep(self.tau, self.rho, self.margin, self.offset)
        return ranking_loss(embeddings, relevance, positive=HardStep(), negative=step)


def ranking_loss(
    embeddings: Tensor, relevance: Tensor, *, positive: Step, negative: Step, shift: float = 0.0
) -> LossValue:
    """1 − the mean average precision of the valid rows; see `row_average_precisions`."""
    partners = known_partners(relevance)
    precisions = row_average_precisions(
        cosines(embeddings), partners, positive=positive, negative=negative, shift=shift
    )
    return mean_over_anchors(1 - precisions, partners.with_both)


def with_gradient(scores: Tensor, values: Tensor, gradient: Tensor) -> Tensor:
    """Values [B] whose gradient is known.

    Args:
        scores: [B, B] what the values are made of; a value only of its own row.
        values: [B] without a graph.
        gradient: [B, B] of each value with respect to the row's scores.
    """
    found: Tensor = _WithGradient.apply(scores, values, gradient)
    return found


class _WithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, values: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return values.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return upstream[:, None] * gradient, None, None


def blocks(counted: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The rows and columns [K] of what is counted in [B, B], in blocks with K × B bounded."""
    places = torch.nonzero(counted)
    size = _BLOCK.get(counted.device.type, _BLOCK["cpu"]) // max(len(counted), 1)
    for block in torch.split(places, max(size, 1)):
        yield block[:, 0], block[:, 1]


def _precisions(
    scores: Tensor, partners: Partners, positive: Step, negative: Step, shift: float
) -> tuple[Tensor, Tensor]:
    """[B] the precisions and [B, B] their gradients."""
    weights = 1 / partners.similar.sum(1).clamp(min=1).to(scores)
    values, gradient = scores.new_zeros(len(scores)), torch.zeros_like(scores)
    for queries, ranked in blocks(partners.similar & partners.with_both[:, None]):
        differences = scores[queries] - scores[queries, ranked][:, None]  # [K, B]
        similar = partners.similar[queries]
        similar[torch.arange(len(ranked), device=ranked.device), ranked] = False  # not to itself
        dissimilar = partners.dissimilar[queries]
        apart = differences + shift
        before = 1 + (positive.height(differences) * similar).sum(1)
        wrongly = (negative.height(apart) * dissimilar).sum(1)
        weight = weights[queries]
        values.index_add_(0, queries, weight * before / (before + wrongly))
        scale = weight / (before + wrongly).square()
        slopes = positive.slope(differences) * similar * (scale * wrongly)[:, None]
        slopes -= negative.slope(apart) * dissimilar * (scale * before)[:, None]
        gradient.index_add_(0, queries, slopes)
        gradient[queries, ranked] -= slopes.sum(1)
    return values, gradient
