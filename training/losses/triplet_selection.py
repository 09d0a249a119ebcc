"""Which triplets of a batch are worth learning from: diverse anchors, relevant hard diverse images.

Takes embeddings and how similar images are, graded in [0, 1], NaN where unknown: the cosine of
label sets, or answers as 1 and 0. Gives a few anchors that lie far from one another, and of each
a few similar images that are far away and a few others that are near, each chosen to be far from
those already chosen. Nothing here has a gradient.

Source: DAS-RHDIS, eqs. 1-5.
"""

from typing import Literal

import torch
from torch import Tensor

from training.losses.relevance import distances
from training.losses.selection import lowest_columns, sort_keys

# "min" keeps chosen images apart from all others; "max", as printed, from one of them only.
Apart = Literal["min", "max"]
_ROUNDING = 1e-9
_FALLBACK_SHARE = 0.2  # of the least similar, where no image of the batch shares nothing


def label_similarity(labels: Tensor) -> Tensor:
    """[B, B] float64 cosines of label sets: 1 for equal ones, 0 where none is shared.

    Args:
        labels: [B, L] 1 where an image has a label, else 0.

    Corner cases: an image without labels has similarity 0 with every image, and with itself.

    Source: DAS-RHDIS, section on the similarity of label sets.
    """
    sets = labels.to(torch.float64)
    sizes = sets.sum(1)
    largest = (sizes[:, None] * sizes).sqrt().clamp(min=1)  # exact for equal sets: 1, not almost
    return (sets @ sets.T) / largest


def relative_distances(embeddings: Tensor) -> Tensor:
    """[B, B] distances of unit vectors, stretched so that those between two rows span [0, 1].

    Corner cases: 0 everywhere where all are equal; the diagonal is 0.

    Source: DAS-RHDIS, section on anchors.
    """
    found = distances(embeddings.detach())
    others = ~torch.eye(len(found), dtype=torch.bool, device=found.device)
    if len(found) < 2:
        return torch.zeros_like(found)
    least, most = found[others].aminmax()
    if sort_keys(most) == sort_keys(least):
        return torch.zeros_like(found)
    return torch.where(others, (found - least) / (most - least), 0)


def diverse_anchors(
    apart: Tensor, usable: Tensor, count: int, first: int, *, among: Apart = "min"
) -> Tensor:
    """[H] rows far from one another, in the order they were found; ties go to the lower row.

    Args:
        apart: [B, B] distances.
        usable: [B] bool, the rows to choose from.
        count: how many; all usable ones where there are fewer.
        first: the row to begin with; usable.
        among: see `Apart`.

    Differs from the paper: eq. 1 prints the largest distance to a chosen anchor. After two
    opposite anchors every row is far from one of them; we take the distance to the nearest.

    Source: DAS-RHDIS, eq. 1; farthest-first traversal (Gonzalez, 1985).
    """
    chosen, left, spread = [first], usable.clone(), apart[first]
    left[first] = False
    for _ in range(min(count, int(usable.sum())) - 1):
        best = int(sort_keys(spread).masked_fill(~left, -torch.inf).argmax())
        chosen.append(best)
        left[best] = False
        spread = _spread(spread, apart[best], among)
    return torch.tensor(chosen, device=apart.device)


def hard_diverse(
    scores: Tensor,
    allowed: Tensor,
    apart: Tensor,
    count: int,
    *,
    score_weight: float = 0.1,
    among: Apart = "min",
) -> tuple[Tensor, Tensor]:
    """For each anchor images with high scores, far from one another; ties go to the lower row.

    Args:
        scores: [H, B] how relevant and hard each image is for each anchor.
        allowed: [H, B] bool, the images to choose from.
        apart: [B, B] distances of images.
        count: images of each anchor; all allowed ones where there are fewer.
        score_weight: γ; how much the score counts from the second image on, beside the distance
            to those already chosen.
        among: see `Apart`.

    Returns:
        [H, K] columns in the order they were found and [H, K] bool whether there is one.

    Source: DAS-RHDIS, eqs. 3 and 5; the distance to the nearest chosen one is ours (eq. 1).
    """
    left, gain = allowed.clone(), scores
    spread: Tensor | None = None
    columns, present = [], []
    for _ in range(min(count, allowed.shape[1])):
        best = sort_keys(gain).masked_fill(~left, -torch.inf).argmax(1, keepdim=True)  # [H, 1]
        columns.append(best)
        present.append(left.gather(1, best))
        left.scatter_(1, best, False)
        found = apart[best[:, 0]]
        spread = found if spread is None else _spread(spread, found, among)
        gain = score_weight * scores + (1 - score_weight) * spread
    if not columns:
        return allowed.new_zeros((len(allowed), 0), dtype=torch.int64), allowed[:, :0]
    return torch.cat(columns, 1), torch.cat(present, 1)


def allowed_negatives(similarity: Tensor, positives: Tensor) -> Tensor:
    """[H, B] bool: the images that share nothing with the anchor; else the least similar fifth.

    Args:
        similarity: [H, B] graded, NaN where unknown and at the anchor itself.
        positives: [H, B] bool, images already chosen as similar.

    Differs from the paper, whose equations would let any image be similar and dissimilar at once.

    Source: DAS-RHDIS, eqs. 4-5.
    """
    nothing = similarity == 0
    known = (~similarity.isnan()).sum(1, keepdim=True)
    most = (known * _FALLBACK_SHARE).ceil().clamp(min=1)
    columns, present = lowest_columns(
        similarity, (similarity < 1) & ~positives, similarity.shape[1]
    )
    place = torch.arange(similarity.shape[1], device=similarity.device)
    least = torch.zeros_like(nothing).scatter_(1, columns, present & (place < most))
    return torch.where(nothing.any(1, keepdim=True), nothing, least)


def triplets_until(triplets: list[int], scores: list[float], *, share: float = 0.9) -> int | None:
    """How many triplets a training had seen when its score first reached a share of its last.

    Args:
        triplets: total number after each evaluation, growing.
        scores: at each evaluation, higher is better.
        share: of the last score.

    Returns:
        None where nothing was evaluated, or the last score is 0 or less.

    Source: DAS-RHDIS, comparison of triplet selections.
    """
    if not scores or scores[-1] <= 0:
        return None
    wanted = share * scores[-1] - _ROUNDING
    return next(count for count, score in zip(triplets, scores, strict=True) if score >= wanted)


def _spread(spread: Tensor, found: Tensor, among: Apart) -> Tensor:
    return torch.minimum(spread, found) if among == "min" else torch.maximum(spread, found)
