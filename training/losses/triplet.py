"""Triplets: a similar image must be nearer than a dissimilar one, by a margin.

Source: FaceNet (Schroff and others, 2015), eqs. 1-4; hardest of a batch: Hermans and others (2017),
eq. 5; both similar images as anchors: DATL (derived).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from training.losses.relevance import LossValue, Partners, distances, known_partners


@dataclass(frozen=True)
class Triplet:
    """The mean of max(0, D(a, p) − D(a, n) + margin) over triplets with a loss.

    Attributes:
        margin: how much nearer, as a distance of unit vectors (0…2).
        mining: "all" takes every triplet of a known similar and a known dissimilar partner,
            "hardest" each anchor's farthest similar and nearest dissimilar one.

    An anchor is valid with a partner of each kind. Triplets without a loss do not count in the
    mean: late in training they are nearly all, and the step would fade.

    Corner cases: no triplet with a loss gives 0 with a gradient of zero.
    """

    margin: float = 0.2
    mining: Literal["all", "hardest"] = "all"

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """See `RelevanceLoss`."""
        partners, apart = known_partners(relevance), distances(embeddings)
        terms = (
            _terms_of_all(apart, partners, self.margin)
            if self.mining == "all"
            else _terms_of_hardest(apart, partners, self.margin)
        )
        violated = (terms > 0).sum().clamp(min=1)
        return LossValue(terms.sum() / violated, int(partners.with_both.sum()))


@dataclass(frozen=True)
class DualAnchorTriplet:
    """Triplets of which both similar images must be nearer to each other than to the third.

    Attributes:
        margin: how much nearer, as a distance of unit vectors (0…2).

    Each known similar pair takes the first image's nearest dissimilar one. max(0, D(a, p) − D(a, n)
    + margin) and, where n is known to be dissimilar to p too, the same with D(p, n) are added; the
    mean is over pairs with a loss. An anchor is valid with a partner of each kind.

    Source: DATL (derived): no formula of it was to be had.
    """

    margin: float = 0.2

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """See `RelevanceLoss`."""
        partners, apart = known_partners(relevance), distances(embeddings)
        anchors, alike = torch.nonzero(
            partners.similar & partners.with_both[:, None], as_tuple=True
        )
        others = _lowest_padded(apart.detach(), partners.dissimilar).argmin(1)[anchors]
        width = apart[anchors, alike] + self.margin
        second = (width - apart[alike, others]).relu() * partners.dissimilar[alike, others]
        terms = (width - apart[anchors, others]).relu() + second
        violated = (terms > 0).sum().clamp(min=1)
        return LossValue(terms.sum() / violated, int(partners.with_both.sum()))


def _terms_of_all(apart: Tensor, partners: Partners, margin: float) -> Tensor:
    """[K, B] of K anchors with a similar partner and all others; 0 where it is no triplet."""
    anchors, alike = torch.nonzero(partners.similar, as_tuple=True)
    terms = (apart[anchors, alike][:, None] - apart[anchors] + margin).relu()
    return torch.where(partners.dissimilar[anchors], terms, 0)


def _terms_of_hardest(apart: Tensor, partners: Partners, margin: float) -> Tensor:
    """[B]; 0 where an anchor is not valid."""
    farthest = -_lowest_padded(-apart, partners.similar).amin(1)
    nearest = _lowest_padded(apart, partners.dissimilar).amin(1)
    return torch.where(partners.with_both, (farthest - nearest + margin).relu(), 0)


def _lowest_padded(values: Tensor, counted: Tensor) -> Tensor:
    """[B, B + 1], high where nothing is counted, so that a lowest one is there in any batch."""
    return functional.pad(values.masked_fill(~counted, 9), (0, 1), value=9)
