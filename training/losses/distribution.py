"""Distribution consistency: each anchor against its farthest similar images and the nearest kinds.

An anchor takes its five farthest similar images, all weighed alike by how many of all its similar
images are hard, and the nearest image of each of the five nearest other kinds. Similar ones are
drawn within τ − m, others pushed beyond a boundary just below τ, the nearer the kind the lower, so
that kinds keep their order around the anchor.

A kind is a class where there are classes. From answers it is a must-link group: images joined by
chains of similar pairs within the batch.

Source: DCL, eqs. 14-19. The paper does not print the weight of negatives: `negative_boundaries`
is DERIVED from what it says of them, and results with it are "DCL (derived weight)".
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.losses.relevance import (
    LossValue,
    Partners,
    cosines,
    distances,
    known_partners,
    mean_over_anchors,
)
from training.losses.selection import (
    linked_groups,
    lowest_columns,
    nearest_of_each_group,
    sort_keys,
)


@dataclass(frozen=True)
class Tuples:
    """The images that each of B anchors is compared with, as rows of the batch.

    Attributes:
        positives: [B, P] the farthest similar images, farthest first.
        negatives: [B, N] the nearest images of other kinds, nearest first.
        has_positive: [B, P] and has_negative: [B, N] bool; False where there are no more.
    """

    positives: Tensor
    has_positive: Tensor
    negatives: Tensor
    has_negative: Tensor


@dataclass(frozen=True)
class DistributionConsistency:
    """The loss of distribution consistency.

    Attributes:
        tau: distance that images of other kinds are pushed beyond.
        margin: similar images are drawn within tau − margin.
        positives, negatives: at most so many of an anchor.
        hard_margin: μ; a similar image is hard if no more than this more alike than the most
            alike image of another kind, as cosines.
        hardness: ϑ; how strongly the share of hard images raises the weight of similar ones.
        sharpness: β, and
        relaxation: ρ, of the derived boundary; at ρ = 0 every boundary is tau.
        distinct: take one image of a kind only.
        lone_anchors: count anchors without a similar image, too.
    """

    tau: float = 1.25
    margin: float = 1.2
    positives: int = 5
    negatives: int = 5
    hard_margin: float = 0.1
    hardness: float = 1.0
    sharpness: float = 50.0
    relaxation: float = 0.2
    distinct: bool = True
    lone_anchors: bool = False

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """The mean over anchors with a similar image; see `RelevanceLoss`.

        Corner cases: an anchor without an image of another kind counts with its similar ones. A
        distance of 0 has a gradient of zero.

        Differs from the paper: in eq. 14 hard images are told by the anchor's negatives, as in
        multi-similarity mining, for by its positives all would be hard, always. And tuples are
        mined in the batch, by the network of the step, not in the whole training set once an epoch.

        Source: DCL, eqs. 14-19.
        """
        partners = known_partners(relevance)
        found, similarity = distances(embeddings), cosines(embeddings).detach()
        chosen = self._tuples(found.detach(), partners)
        weight = positive_weights(
            similarity, partners, chosen, hard_margin=self.hard_margin, hardness=self.hardness
        )
        boundary = negative_boundaries(
            similarity.gather(1, chosen.negatives),
            chosen.has_negative,
            tau=self.tau,
            sharpness=self.sharpness,
            relaxation=self.relaxation,
        )
        too_far = functional.relu(found.gather(1, chosen.positives) - (self.tau - self.margin))
        too_near = functional.relu(boundary - found.gather(1, chosen.negatives))
        terms = weight * (too_far.square() * chosen.has_positive).sum(1) / 2
        terms = terms + (too_near.square() * chosen.has_negative).sum(1) / 2
        valid = chosen.has_positive.any(1)
        if self.lone_anchors:
            valid = valid | chosen.has_negative.any(1)
        return mean_over_anchors(terms, valid)

    def _tuples(self, found: Tensor, partners: Partners) -> Tuples:
        return mine_tuples(
            found,
            partners,
            positives=self.positives,
            negatives=self.negatives,
            distinct=self.distinct,
        )


def mine_tuples(
    found: Tensor,
    partners: Partners,
    *,
    positives: int = 5,
    negatives: int = 5,
    distinct: bool = True,
) -> Tuples:
    """The similar images farthest from each row, and the nearest of others.

    Args:
        found: [B, B] distances.
        partners: known relations; what is unknown is never chosen.
        positives, negatives: at most so many of each row.
        distinct: no two negatives of a row are of one must-link group.

    Corner cases: ties go to the lower row. Where there are fewer, all are taken.

    Source: DCL, section on tuple mining; must-link groups for classes are ours.
    """
    candidates = partners.dissimilar
    if distinct:
        groups = linked_groups(partners.similar)
        candidates = nearest_of_each_group(found, candidates, groups)
    farthest, has_positive = lowest_columns(-found, partners.similar, positives)
    nearest, has_negative = lowest_columns(found, candidates, negatives)
    return Tuples(farthest, has_positive, nearest, has_negative)


def positive_weights(
    similarity: Tensor, partners: Partners, chosen: Tuples, *, hard_margin: float, hardness: float
) -> Tensor:
    """[B] w⁺, how much each chosen similar image of an anchor counts: from 1 / P to exp(ϑ) / P.

    Args:
        similarity: [B, B] cosines, without gradient.
        partners: known relations; all similar images are counted, not only the chosen ones.
        chosen: P similar images of each anchor.
        hard_margin, hardness: μ and ϑ, see `DistributionConsistency`.

    Corner cases: without a dissimilar image none is hard.

    Source: DCL, eqs. 14-15; in eq. 14 the largest similarity is that to dissimilar images.
    """
    keys = sort_keys(similarity)
    others = keys.masked_fill(~partners.dissimilar, -torch.inf)
    nearest = functional.pad(others, (0, 1), value=-torch.inf).amax(1, keepdim=True)
    hard = partners.similar & (keys < nearest + hard_margin)
    share = hard.sum(1).to(similarity) / partners.similar.sum(1).clamp(min=1)
    return torch.exp(hardness * share) / chosen.has_positive.sum(1).clamp(min=1)


def negative_boundaries(
    similarity: Tensor, present: Tensor, *, tau: float, sharpness: float, relaxation: float
) -> Tensor:
    """The distance beyond which each negative of an anchor is left alone. DERIVED, not printed.

    w⁻ τ with w⁻ = 1 − ρ (1 − E) p: p is the softmax of β times the similarities, E its entropy as
    a share of the largest possible. Where all negatives are equally near, the boundary is τ for
    all; the more one of them stands out, the nearer it may stay, by ρτ at most.

    Args:
        similarity: [A, N] cosines of anchors and their negatives.
        present: [A, N] bool, where there is a negative.
        tau, sharpness, relaxation: τ, β and ρ.

    Returns:
        [A, N] in [(1 − ρ) τ, τ], without gradient; the more alike, the lower.

    Corner cases: a single negative has τ.

    Source: ours, from what DCL says of its negative weight (eq. 18 uses it, no equation gives it).
    """
    logits = (sharpness * similarity.detach()).masked_fill(~present, -torch.inf)
    share = torch.softmax(logits, dim=1).nan_to_num(0.0)  # no negative at all: NaN
    most = present.sum(1, keepdim=True).clamp(min=2).to(share).log()
    order = torch.special.entr(share).sum(1, keepdim=True) / most
    order = torch.where(present.sum(1, keepdim=True) > 1, order, 1.0)
    return tau * (1 - relaxation * (1 - order) * share)
