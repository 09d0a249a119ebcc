"""How much of the frozen features an embedding of groups keeps, decided on answered images.

Each answered image is embedded as if nobody had been asked about it, and looked for among the
others: the better its group is found with more of the frozen features, the more of them the
embedding keeps. Few answers decide little, so what they leave open is averaged over, instead of
taking what happens to come out best. Nothing but training images is looked at.

Source: ours; weights of a normal likelihood of paired differences.
"""

import numpy as np

from annealing.components.beliefs import Beliefs
from annealing.components.space import Space
from domain.arrays import FloatArray, IntArray
from domain.vectors import unit_rows

LENGTHS = (0.3, 0.6, 1.0, 2.0)  # of the frozen part, the groups' part having length 1
ALONE = 4.0  # counts for the frozen features alone: a longer part changes hardly any order
_HARDLY_GROUPS = 3.0  # a length from which on the frozen features may as well stand alone
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
        least: a length below which it never is.

    Returns:
        The geometric mean of `least`, the `LENGTHS` above it and `ALONE` for the frozen features
        by themselves, each weighted by how far its embedding finds answered images worse than the
        best does, in standard errors. None where little is left of the groups: the frozen features
        alone are to be used.

    Corner cases: `least` where no group has two images, as nothing can be looked for.
    """
    rows = _sample(found)
    group = found.group[found.known[rows]]
    if not (np.bincount(group) > 1).any():
        return least
    scores = unit_rows(np.sqrt(found.by_looks[rows]) @ likeness)
    frozen = space.unit[found.known[rows]]
    lengths = [least, *(each for each in LENGTHS if each > least)]
    embedded = [_quality(np.hstack([scores, each * frozen]), group) for each in lengths]
    weight = _weights(np.stack([*embedded, _quality(frozen, group)]))
    length = float(np.exp(np.average(np.log([*lengths, max(ALONE, least)]), weights=weight)))
    return None if length > max(_HARDLY_GROUPS, least) else length


def _sample(found: Beliefs) -> IntArray:
    """Places among the known images: all, or some at equal distances."""
    step = -(-len(found.known) // _MOST_IMAGES)
    return np.arange(0, len(found.known), step)


def _weights(quality: FloatArray) -> FloatArray:
    """[E] of embeddings with these qualities [E, images], 1 of the best."""
    best = quality[quality.mean(axis=1).argmax()]
    behind = best - quality
    error = behind.std(axis=1) / np.sqrt(behind.shape[1])
    errors_behind = behind.mean(axis=1) / np.maximum(error, 1e-12)
    return np.asarray(np.exp(-(errors_behind**2) / 2))


def _quality(vectors: FloatArray, group: IntArray) -> FloatArray:
    """[images] mean of both average precisions at 5: by the hits, and by min(5, its others).

    Of images whose group has others. To ask for both to rise was tried: the first is so noisy that
    good embeddings were refused.
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
    return np.asarray((by_hits + by_least)[asked] / 2)
