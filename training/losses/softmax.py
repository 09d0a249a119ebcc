"""Losses that pick the similar image out of the dissimilar ones, as a classifier picks a class.

Source: N-pair (Sohn, 2016); NT-Xent (Chen and others, 2020); Proxy-NCA (Movshovitz-Attias and
others, 2017).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.losses.pairwise import log_one_and_sum
from training.losses.relevance import (
    LossValue,
    Partners,
    cosines,
    distances,
    known_partners,
    mean_over_anchors,
    unit_rows,
)
from training.losses.selection import linked_groups, nearest_of_each_group


@dataclass(frozen=True)
class NTXent:
    """The mean over similar pairs of −log of the similar image's softmax among dissimilar ones.

    Attributes:
        temperature: how soft the choice is.

    An anchor is valid with a partner of each kind.

    Source: NT-Xent (Chen and others, 2020), eq. 1, with known partners for augmented copies.
    """

    temperature: float = 0.07

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """See `RelevanceLoss`."""
        partners = known_partners(relevance)
        return _picked(cosines(embeddings) / self.temperature, partners, partners.dissimilar)


@dataclass(frozen=True)
class NPair:
    """The same among one image of each other kind: the most alike.

    Attributes:
        scale: of the cosines; the paper bounds the embeddings' length instead.

    A kind is a must-link group of the batch. An anchor is valid with a partner of each kind.

    Source: N-pair (Sohn, 2016), eq. 7, as in NPL: one negative a class.
    """

    scale: float = 10.0

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """See `RelevanceLoss`."""
        partners = known_partners(relevance)
        nearest = nearest_of_each_group(
            distances(embeddings).detach(), partners.dissimilar, linked_groups(partners.similar)
        )
        return _picked(self.scale * cosines(embeddings), partners, nearest)


@dataclass(frozen=True)
class ProxyNCA:
    """−log of the softmax of each image's own group among the groups it does not belong to.

    Attributes:
        scale: of the squared distances to the groups' proxies.

    A group is a must-link group of the batch; its proxy is the mean direction of its images, and
    for one of its own images that of the others: else two images alone would be near their proxy
    wherever they are. An image sees its own proxy and those of groups with an image known to be
    dissimilar to it. Anchors are valid with a partner of each kind.

    Differs from the paper, whose proxies are learnt and outlive the batch: which groups there are
    changes with every answer. As in the library, the own proxy stands in the denominator too.

    Source: Proxy-NCA (Movshovitz-Attias and others, 2017), eq. 5.
    """

    scale: float = 3.0

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """See `RelevanceLoss`."""
        partners = known_partners(relevance)
        own = _members(partners.similar)  # [B, C]
        other = (partners.dissimilar[:, :, None] & own).any(1) & ~own
        with torch.autocast(embeddings.device.type, enabled=False):
            unit = unit_rows(embeddings)
            sums = own.to(unit).T @ unit  # [C, D]
            apart = 2 - 2 * unit @ unit_rows(sums).T  # [B, C]
            rest = unit_rows(own.to(unit) @ sums - unit)
            nearer = (2 - 2 * (unit * rest).sum(1, keepdim=True)) - apart
        return mean_over_anchors(log_one_and_sum(self.scale * nearer, other), partners.with_both)


def _picked(logits: Tensor, partners: Partners, against: Tensor) -> LossValue:
    """The mean over similar pairs of a valid anchor, each against the same images [B, B]."""
    valid = partners.with_both
    anchors, alike = torch.nonzero(partners.similar & valid[:, None], as_tuple=True)
    # [B]; where there is nothing to sum, any finite number
    rest = torch.logsumexp(logits.masked_fill(~(against | ~valid[:, None]), -torch.inf), dim=1)
    terms = functional.softplus(rest[anchors] - logits[anchors, alike])
    return LossValue(terms.sum() / max(len(anchors), 1), int(valid.sum()))


def _members(similar: Tensor) -> Tensor:
    """[B, C] bool, of which must-link group each image is."""
    groups = linked_groups(similar)
    found: Tensor = groups[:, None] == torch.unique(groups)
    return found
