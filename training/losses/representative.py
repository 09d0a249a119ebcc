"""Triplets of informative and representative images, and the choices they are compared with.

Source: DAS-RHDIS, eqs. 1-6. DAS picks diverse anchors, RAS random ones, BAS takes every image;
RHDIS picks relevant, hard and diverse images, RIS random ones, BIS takes all.
"""

import zlib
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from training.losses.relevance import LossValue, distances
from training.losses.selection import lowest_columns
from training.losses.triplet_selection import (
    Apart,
    allowed_negatives,
    diverse_anchors,
    hard_diverse,
    relative_distances,
)


@dataclass(frozen=True)
class Triplets:
    """Anchors with similar and dissimilar images; a triplet is any one of each of an anchor.

    Attributes:
        anchors: [H] rows of the batch, each with an image of both kinds.
        positives, negatives: [H, B] bool.
    """

    anchors: Tensor
    positives: Tensor
    negatives: Tensor

    @property
    def count(self) -> int:
        """How many triplets that are."""
        return int((self.positives.sum(1) * self.negatives.sum(1)).sum())


@dataclass(frozen=True)
class RepresentativeTriplets:
    """The triplet loss of chosen triplets.

    Attributes:
        margin: α; how much nearer the similar image must be, as a distance of unit vectors.
        anchors: how anchors are chosen: diverse, at random, or all ("das", "ras", "bas").
        images: how their images are: relevant, hard and diverse, at random, or all ("rhdis",
            "ris", "bis").
        anchor_share: of the images that can be an anchor, for "das" and "ras".
        count: C, similar and dissimilar images of each anchor, for "rhdis" and "ris".
        similarity_weight: β; how much similarity counts against distance in a score.
        score_weight: γ; how much the score counts against distance to what is chosen.
        among: "min" keeps chosen images apart from all others; "max" is the printed form.
        reduction: "violated" is the mean over triplets with a loss, "sum" the printed form.
        distance: in the loss: of unit vectors, or stretched to [0, 1] over the batch, "minmax".
        seed: of all that is drawn. What is drawn depends on the batch, not on earlier ones.
    """

    margin: float = 0.2
    anchors: Literal["das", "ras", "bas"] = "das"
    images: Literal["rhdis", "ris", "bis"] = "rhdis"
    anchor_share: float = 0.1
    count: int = 5
    similarity_weight: float = 0.5
    score_weight: float = 0.1
    among: Apart = "min"
    reduction: Literal["violated", "sum"] = "violated"
    distance: Literal["euclidean", "minmax"] = "euclidean"
    seed: int = 0

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """The loss of the chosen triplets; see `RelevanceLoss`.

        Args:
            embeddings: [B, D] of any length.
            relevance: [B, B] as for every loss, or graded in [0, 1] (`label_similarity`).

        An anchor is valid with a similar image and one that is less similar than any other can
        be. Corner cases: no triplet with a loss gives 0 with a gradient of zero.

        Source: DAS-RHDIS, eq. 6.
        """
        return self.of(embeddings, self.select(embeddings, relevance))

    def of(self, embeddings: Tensor, chosen: Triplets) -> LossValue:
        """The loss of triplets that `select` chose among the same images."""
        apart = distances(embeddings)
        if self.distance == "minmax":
            apart = _stretched(apart)
        total, violated = triplet_total(
            apart[chosen.anchors], chosen.positives, chosen.negatives, margin=self.margin
        )
        value = total if self.reduction == "sum" else total / max(violated, 1)
        return LossValue(value, len(chosen.anchors))

    @torch.no_grad()
    def select(self, embeddings: Tensor, similarity: Tensor) -> Triplets:
        """The triplets of a batch, of which the loss is made; arguments as for the loss."""
        itself = torch.eye(len(embeddings), dtype=torch.bool, device=embeddings.device)
        graded = similarity.masked_fill(itself, torch.nan)
        usable = (graded > 0).any(1) & (graded < 1).any(1)
        if not usable.any():
            none = torch.zeros_like(graded[:0], dtype=torch.bool)
            return Triplets(usable.nonzero()[:, 0], none, none)
        apart = relative_distances(embeddings)
        draws = _draws(embeddings, ~graded.isnan().all(1), self.seed)
        anchors = self._anchors(apart, usable, draws)
        graded, found = graded[anchors], apart[anchors]
        weight, drawn = self.similarity_weight, draws[anchors]
        positives = self._images(weight * graded + (1 - weight) * found, graded > 0, apart, drawn)
        negatives = self._images(
            weight * (1 - graded) + (1 - weight) * (1 - found),
            allowed_negatives(graded, positives),
            apart,
            drawn,
        )
        both = positives.any(1) & negatives.any(1)
        return Triplets(anchors[both], positives[both], negatives[both])

    def _anchors(self, apart: Tensor, usable: Tensor, draws: Tensor) -> Tensor:
        """[H] rows."""
        if self.anchors == "bas":
            return usable.nonzero()[:, 0]
        count = max(round(self.anchor_share * int(usable.sum())), 1)
        drawn, _ = lowest_columns(draws.diagonal()[None], usable[None], count)  # [1, H]
        if self.anchors == "ras":
            return drawn[0]
        return diverse_anchors(apart, usable, count, int(drawn[0, 0]), among=self.among)

    def _images(self, scores: Tensor, allowed: Tensor, apart: Tensor, drawn: Tensor) -> Tensor:
        """[H, B] bool, the chosen ones of the allowed."""
        if self.images == "bis":
            return allowed
        if self.images == "ris":
            columns, present = lowest_columns(drawn, allowed, self.count)
        else:
            columns, present = hard_diverse(
                scores,
                allowed,
                apart,
                self.count,
                score_weight=self.score_weight,
                among=self.among,
            )
        return torch.zeros_like(allowed).scatter_(1, columns, present)


def triplet_total(
    apart: Tensor, positives: Tensor, negatives: Tensor, *, margin: float
) -> tuple[Tensor, int]:
    """The sum of max(0, D(a, p) − D(a, n) + margin) over triplets, and how many have a loss.

    It takes memory of the distances' size, however many triplets there are: each distance is
    weighed by the number of triplets with a loss that it is in.

    Args:
        apart: [H, B] distances from anchors.
        positives, negatives: [H, B] bool; each pair of the two of an anchor is a triplet.
        margin: of each triplet.

    Source: DAS-RHDIS, eq. 6.
    """
    if not apart.numel():
        return apart.sum(), 0
    held = apart.detach()
    reach = torch.where(positives, held + margin, -torch.inf).contiguous()
    near = torch.where(negatives, held, torch.inf).contiguous()
    # a triplet has a loss where near < reach: the same comparison from both sides
    of_positive = torch.searchsorted(near.sort(1).values, reach)
    of_negative = reach.shape[1] - torch.searchsorted(reach.sort(1).values, near, right=True)
    violated = int(of_positive.sum())
    balance = (of_positive - of_negative).to(apart)
    return (apart * balance).sum() + margin * violated, violated


def _stretched(apart: Tensor) -> Tensor:
    """Distances over [0, 1], as `relative_distances`, with a gradient through the distances."""
    others = ~torch.eye(len(apart), dtype=torch.bool, device=apart.device)
    if len(apart) < 2:
        return apart * 0
    least, most = apart.detach()[others].aminmax()
    return torch.where(others, (apart - least) / (most - least).clamp(min=1e-9), 0)


def _draws(embeddings: Tensor, known: Tensor, seed: int) -> Tensor:
    """[B, B] uniform random numbers in [0, 1), the same for the same known images in any order.

    The known rows take their numbers in the order of their projections on a random direction,
    from a generator that these projections seed: no state is kept, so a training that goes on
    after a crash draws what it would have drawn. Other rows have no numbers (1).
    """
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(embeddings.shape[1], generator=generator, dtype=torch.float64)
    unit = functional.normalize(embeddings.detach().double(), dim=1)[known]
    along = unit @ direction.to(unit.device)
    order = along.argsort(stable=True)
    seen = (along[order].round(decimals=3) + 0.0).cpu().numpy()
    generator.manual_seed(seed ^ zlib.crc32(seen.tobytes()))
    numbers = torch.rand(len(order), len(order), generator=generator, dtype=torch.float64)
    rows = known.nonzero()[:, 0][order]
    drawn = torch.ones(len(known), len(known), dtype=torch.float64, device=unit.device)
    drawn[rows[:, None], rows] = numbers.to(unit.device)
    return drawn
