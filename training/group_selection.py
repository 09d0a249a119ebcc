"""How much of the frozen features an embedding of groups keeps, decided on answered images.

Each answered image is embedded as if nobody had been asked about it, and looked for among the
others: where its group is found better with more of the frozen features, or by these alone, the
embedding keeps more. Nothing but training images is looked at.

Source: ours.
"""

import numpy as np

from annealing.components.beliefs import Beliefs
from annealing.components.space import Space
from domain.arrays import FloatArray, IntArray
from domain.vectors import unit_rows

LENGTHS = (0.3, 0.6, 1.0, 2.0)  # of the frozen part, the groups' part having length 1
_DEPTH = 5
_MOST_IMAGES = 2000  # that are looked for; the quality of more is no other


def frozen_length(
    space: Space, found: Beliefs, likeness: FloatArray, *, least: float
) -> float | None:
    """The length of the frozen part beside the groups' part, which has length 1.

    Args:
        space: of the training images.
        found: their groups.
        likeness: [C, C] root of the groups' likeness.
        least: a length below which it is never chosen.

    Returns:
        `least` or the entry of `LENGTHS` above it whose embedding finds answered images best; at
        equal quality the longer. None where the frozen features alone do no worse.

    Corner cases: `least` where no group has two images, as nothing can be looked for.
    """
    rows = _sample(found)
    group = found.group[found.known[rows]]
    if not (np.bincount(group) > 1).any():
        return least
    scores = unit_rows(np.sqrt(found.by_looks[rows]) @ likeness)
    frozen = space.unit[found.known[rows]]
    lengths = [least, *(each for each in LENGTHS if each > least)]
    quality = {each: _quality(np.hstack([scores, each * frozen]), group) for each in lengths}
    best = max(quality.values())
    if best <= _quality(frozen, group):
        return None
    return max(each for each in lengths if quality[each] == best)


def _sample(found: Beliefs) -> IntArray:
    """Places among the known images: all, or some at equal distances."""
    step = -(-len(found.known) // _MOST_IMAGES)
    return np.arange(0, len(found.known), step)


def _quality(vectors: FloatArray, group: IntArray) -> float:
    """Mean of both mAP@5: divided by the hits, and by min(5, others of the group).

    To ask for both to rise was tried: the first is so noisy that good embeddings were refused.
    """
    unit = unit_rows(vectors)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    depth = min(_DEPTH, len(unit) - 1)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :depth]
    relevant = group[nearest] == group[:, None]
    precision = relevant.cumsum(axis=1) / np.arange(1, depth + 1)
    total = (precision * relevant).sum(axis=1)
    others = np.bincount(group)[group] - 1
    asked = others > 0
    by_hits = total / np.maximum(relevant.sum(axis=1), 1)
    by_least = total / np.maximum(np.minimum(others, depth), 1)
    return float((by_hits + by_least)[asked].mean() / 2)
