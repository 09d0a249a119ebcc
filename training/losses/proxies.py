"""Proxies: each image near the point that stands for its group, far from those of other groups.

And rotation: an image and the same image turned should lie together, apart from other images.
A group is a class, or a must-link group: images joined by chains of similar pairs. Two groups may
be of one kind without anybody having said so; a proxy counts against an image only where the two
groups are known to be different.

Source: PEDC, eqs. 4-10; groups and what is not known between them are ours.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.losses.relevance import LossValue, known_partners, mean_over_anchors
from training.losses.selection import linked_groups


@dataclass(frozen=True)
class ProxyDistance:
    """The proxy loss with the means of the batch's groups for proxies.

    A group's proxy is the mean direction of its images in the batch; for an image of the group
    itself, of its other images. Nothing is learnt beside the embedding, so it works on any batch.

    Attributes:
        alpha: how sharply distances are told apart.
        smallest: images that a group needs in the batch to have a proxy.
    """

    alpha: float = 16.0
    smallest: int = 2

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """See `RelevanceLoss`.

        An image is valid if others of its group, and a group known to be different, are there.

        Source: PEDC, eqs. 4-6, with the start of the proxies, eq. 4, in place of learnt ones.
        """
        partners = known_partners(relevance)
        groups = linked_groups(partners.similar)
        member = groups[:, None] == torch.arange(len(groups), device=groups.device)  # [B, B]
        unit = functional.normalize(embeddings, dim=1, eps=1e-12)
        weights = member.to(unit)
        sums, sizes = weights.T @ unit, member.sum(0)
        usable = sizes >= max(self.smallest, 2)
        differ = (weights.T @ partners.dissimilar.to(unit) @ weights) > 0  # [groups, groups]
        allowed = (differ[groups] & usable) | member
        own = functional.normalize(sums[groups] - unit, dim=1, eps=1e-12)
        logits = 2 * self.alpha * (unit @ functional.normalize(sums, dim=1, eps=1e-12).T)
        logits = torch.where(member, 2 * self.alpha * (unit * own).sum(1, keepdim=True), logits)
        terms = -_chosen(_log_shares(logits, allowed), groups)
        others = (allowed & ~member).any(1)
        return mean_over_anchors(terms, usable[groups] & others)


def proxy_loss(
    embeddings: Tensor,
    groups: Tensor,
    proxies: Tensor,
    *,
    allowed: Tensor | None = None,
    alpha: float = 16.0,
    normalised: bool = True,
) -> LossValue:
    """The mean of −log of the share that each image's own proxy has of all, by distance.

    Args:
        embeddings: [B, D].
        groups: [B] row of each image's proxy; below 0: the image belongs to none, and has no part.
        proxies: [C, D].
        allowed: [B, C] bool, the proxies that an image is compared with; its own always is. None
            allows all.
        alpha: the share falls with exp(−alpha · squared distance).
        normalised: bring images and proxies to length 1 first.

    An image is valid if it is compared with a proxy beside its own; without one its loss is 0.

    Differs from the paper, which leaves alpha and the lengths open: at length 1, 16 makes the
    logits 32 times the cosine; with 1 the loss could not fall below 0.3 with 21 classes.

    Source: PEDC, eqs. 5-6.
    """
    if normalised:
        embeddings = functional.normalize(embeddings, dim=1, eps=1e-12)
        proxies = functional.normalize(proxies, dim=1, eps=1e-12)
    apart = (embeddings[:, None] - proxies).square().sum(2)  # [B, C]
    return group_loss(-alpha * apart, groups, allowed=allowed)


def group_loss(logits: Tensor, groups: Tensor, *, allowed: Tensor | None = None) -> LossValue:
    """The cross-entropy of groups, each image among those that it may be compared with.

    Args:
        logits: [B, C].
        groups: [B] right one of each image; below 0 it has none, and no part.
        allowed: [B, C] bool; the right one always is. None allows all.

    Source: PEDC, the cross-entropy part of eq. 10; what is not allowed is ours.
    """
    inside = groups.clamp(min=0)
    own = functional.one_hot(inside, logits.shape[1]).bool()
    seen = own if allowed is None else own | allowed
    if allowed is None:
        seen = torch.ones_like(own)
    terms = -_chosen(_log_shares(logits, seen), inside)
    return mean_over_anchors(terms, (groups >= 0) & (seen & ~own).any(1))


def rotation_loss(
    embeddings: Tensor,
    rotated: Tensor,
    *,
    temperature: float = 0.1,
    similar: Tensor | None = None,
    among: Tensor | None = None,
) -> LossValue:
    """How much more alike an image is to itself turned than to other images turned.

    Args:
        embeddings: [B, D] of any length.
        rotated: [B, D] of the same images, each turned by a right angle.
        temperature: cosines are divided by it.
        similar: [B, B] bool, known similar images: they do not count as others. None: none.
        among: [B, B] bool, the images that may count as others, such as those known to be
            different. None: all, on the guess that most images are.

    Returns:
        Its value may be negative: the others' sum does not include the image itself. It is not
        below −2 / temperature + log(B − 1).

    Corner cases: an image without others gives 0 and is not valid.

    Source: PEDC, eqs. 7-8; leaving known similar images out is ours.
    """
    unit = functional.normalize(embeddings, dim=1, eps=1e-12)
    turned = functional.normalize(rotated, dim=1, eps=1e-12)
    logits = unit @ turned.T / temperature
    others = ~torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    if similar is not None:
        others = others & ~similar
    if among is not None:
        others = others & among
    valid = others.any(1)
    # the whole row where there are no others: finite, and not counted
    masked = logits.masked_fill(~others & valid[:, None], -torch.inf)
    return mean_over_anchors(masked.logsumexp(1) - logits.diagonal(), valid)


def pedc_total(
    proxy: Tensor,
    rotation: Tensor,
    classes: Tensor,
    *,
    proxy_weight: float = 0.5,
    rotation_weight: float = 1.0,
    class_weight: float = 1.0,
) -> Tensor:
    """The sum of the three parts, λ (L_PED + δ L_C) + ξ L_CE, a scalar.

    Args:
        proxy: L_PED.
        rotation: L_C; may be negative.
        classes: L_CE.
        proxy_weight: λ.
        rotation_weight: δ.
        class_weight: ξ.

    Source: PEDC, eqs. 9-10.
    """
    return proxy_weight * (proxy + rotation_weight * rotation) + class_weight * classes


def _log_shares(logits: Tensor, allowed: Tensor) -> Tensor:
    """[B, C] log-softmax over the allowed columns; each row has one."""
    return logits.masked_fill(~allowed, -torch.inf).log_softmax(1)


def _chosen(values: Tensor, columns: Tensor) -> Tensor:
    """[B] the value of one column of each row."""
    return values.gather(1, columns[:, None])[:, 0]
