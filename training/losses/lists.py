"""Losses that see an anchor's similar and dissimilar images as two lists with a gap between.

Source: lifted structure (Song and others, 2016); ranked list (Wang and others, 2019); FastAP (Cakir
and others, 2019).
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


@dataclass(frozen=True)
class LiftedStructure:
    """The mean over similar pairs of ½ max(0, D + log Σ e^(margin − D'))².

    Attributes:
        margin: distance that dissimilar images are pushed beyond.

    The sum is over the dissimilar images of both images of the pair. Anchors are valid with a
    similar partner, where either of the two has a dissimilar one.

    Source: lifted structure (Song and others, 2016), eq. 4.
    """

    margin: float = 1.0

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """See `RelevanceLoss`."""
        partners, apart = known_partners(relevance), distances(embeddings)
        either = partners.with_dissimilar[:, None] | partners.with_dissimilar
        pairs = torch.triu(partners.similar & either, diagonal=1)
        anchors, alike = torch.nonzero(pairs, as_tuple=True)
        near = (self.margin - apart).masked_fill(~partners.dissimilar, -torch.inf)
        pushed = torch.logsumexp(torch.cat([near[anchors], near[alike]], dim=1), dim=1)
        terms = (apart[anchors, alike] + pushed).relu().square() / 2
        valid = (pairs | pairs.T).any(1)
        return LossValue(terms.sum() / max(len(anchors), 1), int(valid.sum()))


@dataclass(frozen=True)
class RankedList:
    """Similar images within a sphere, dissimilar ones outside a larger one.

    Attributes:
        alpha: distance that dissimilar images are pushed beyond.
        margin: similar images are drawn within alpha − margin.
        imbalance: share of the dissimilar images' part, 0…1.
        temperature: how much nearer dissimilar images weigh more; 0: all alike.

    Each part is a weighted mean over the images that violate it. An anchor is valid with a partner
    of any kind.

    Source: ranked list (Wang and others, 2019), eqs. 3-8, with similar images weighed alike.
    """

    alpha: float = 1.2
    margin: float = 0.4
    imbalance: float = 0.5
    temperature: float = 10.0

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """See `RelevanceLoss`."""
        partners, apart = known_partners(relevance), distances(embeddings)
        outside = (apart - (self.alpha - self.margin)).relu() * partners.similar
        inside = (self.alpha - apart).relu() * partners.dissimilar
        drawn = outside.sum(1) / (outside > 0).sum(1).clamp(min=1)
        # The largest weight is taken out, so that none overflows
        highest = functional.pad(inside.detach(), (0, 1)).amax(1, keepdim=True)
        weights = (self.temperature * (inside - highest)).exp() * (inside > 0)
        pushed = (weights * inside).sum(1) / weights.sum(1).clamp(min=1e-12)
        terms = (1 - self.imbalance) * drawn + self.imbalance * pushed
        return mean_over_anchors(terms, partners.with_similar | partners.with_dissimilar)


@dataclass(frozen=True)
class FastAP:
    """1 − the average precision of each row's histogram of squared distances.

    Attributes:
        bins: how many; a distance is shared out between the two nearest.

    An anchor is valid with a partner of each kind. Unknown images are in no histogram.

    Source: FastAP (Cakir and others, 2019), eqs. 5-8.
    """

    bins: int = 10

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """See `RelevanceLoss`."""
        partners = known_partners(relevance)
        places = (2 - 2 * cosines(embeddings)) * (self.bins / 4)
        edges = torch.arange(self.bins + 1, device=places.device, dtype=places.dtype)
        shares = (1 - (places[:, :, None] - edges).abs()).relu()  # [B, B, edges]
        similar = (shares * partners.similar[:, :, None]).sum(1)
        known = similar + (shares * partners.dissimilar[:, :, None]).sum(1)
        upto, known_upto = similar.cumsum(1), known.cumsum(1)
        precision = similar * upto / torch.where(known_upto > 0, known_upto, 1)
        counts = partners.similar.sum(1).clamp(min=1)
        return mean_over_anchors(1 - precision.sum(1) / counts, partners.with_both)
