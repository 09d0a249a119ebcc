"""The first questions, where no pair has an answer yet.

Of 100 random pairs some 95 are dissimilar, so that random questions would waste the start. Half
of the questions are near neighbours in the frozen features, each from another cluster of images
(mostly similar, spread over the archive); half are pairs about as alike as only the expected
share of similar pairs is (where the features do not tell). No image is asked often, and copies
of one image do not fill the round.

Source: ours; the paper starts from images with class labels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from annealing.diversity import cluster_rows, pick_diverse
from annealing.mining import most_uncertain_pairs, similarity_quantile
from annealing.pool import (
    Keys,
    draw_pairs,
    joined,
    keys_within,
    pair_keys,
    pair_similarities,
)
from domain.arrays import BoolArray, FloatArray, IntArray
from domain.jobs import Progress, part_of, silent
from domain.vectors import quantised, unit_rows

MAX_USES = 3  # questions an image is in, while other images are left
COPY_SIMILARITY = 0.99  # above it two images are most likely one place taken twice
MAX_ROWS = 20_000  # of a larger archive a sample starts the work: seconds instead of hours
_CORE_IMAGES = 256  # of a large cluster, its centre is searched for near neighbours
_CANDIDATES = 8  # border pairs looked at for each one asked, to choose different ones from


@dataclass(frozen=True)
class FirstQuestions:
    """Pairs to start with, in the order to ask them.

    Attributes:
        pairs: [h, 2] rows, a < b, each pair once.
        near: [h] whether the pair is a near neighbour; else it is at the border.
        cluster: [h] cluster of images (near) or of pairs (border, numbered after the others).
        alpha: the similarity of the border: the (1 - similar share) quantile of the pool's pairs
            that are no copies.
    """

    pairs: IntArray
    near: BoolArray
    cluster: IntArray
    alpha: float


def first_questions(
    embeddings: FloatArray,
    count: int,
    *,
    rng: np.random.Generator,
    similar_share: float = 0.05,
    excluded: Keys | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> FirstQuestions:
    """Questions for an archive of which nothing is known; near and border pairs in turn.

    Args:
        embeddings: [N, D] frozen features of any length, at least one pair in the pool.
        count: h; all pairs are returned if there are fewer.
        rng: decides the clusters, and the sample of an archive above `MAX_ROWS`.
        similar_share: the expected share of similar pairs.
        excluded: sorted keys of pairs that must not be asked.
        device: where similarities are computed.
        progress: told while all pairs are looked at; what it raises ends the work.

    Raises:
        InputError: no pair is left, or the embeddings are not finite.

    Corner cases: an image is in more than `MAX_USES` questions only where the round could not be
    filled otherwise, and the same holds for pairs above `COPY_SIMILARITY`.
    """
    known, rows = joined(excluded, None), np.arange(len(embeddings))
    if len(embeddings) > MAX_ROWS:
        rows = np.sort(rng.choice(len(embeddings), MAX_ROWS, replace=False))
        known = keys_within(known, len(embeddings), rows)
    alpha = similarity_quantile(
        embeddings[rows],
        1 - similar_share,
        below=COPY_SIMILARITY,
        excluded=known,
        device=device,
        progress=part_of(progress, 0.0, 0.5),
    )
    border = _Border(alpha, device, part_of(progress, 0.5, 1.0))
    found = _choose(embeddings[rows], count, border, known, rng)
    return replace(found, pairs=rows[found.pairs])


@dataclass(frozen=True)
class _Border:
    """Where pairs are that the features do not tell apart, and how they are searched for."""

    alpha: float
    device: str
    progress: Progress


def _choose(
    embeddings: FloatArray, count: int, border: _Border, known: Keys, rng: np.random.Generator
) -> FirstQuestions:
    near, near_cluster = near_neighbours(embeddings, (count + 1) // 2, excluded=known, rng=rng)
    taken = joined(known, pair_keys(near, len(embeddings)))
    others, other_cluster = _at_border(embeddings, border, count - len(near), near, taken, rng=rng)
    order = _in_turn(len(near), len(others))
    clusters = np.concatenate([near_cluster, other_cluster + near_cluster.max(initial=-1) + 1])
    is_near = np.arange(len(order)) < len(near)
    pairs = np.concatenate([near, others])
    return FirstQuestions(pairs[order], is_near[order], clusters[order], border.alpha)


def near_neighbours(
    embeddings: FloatArray, count: int, *, excluded: Keys, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Close pairs from different clusters of images: the closest of each, then the next of each.

    Returns:
        Pairs [≤ count, 2] with a < b, no image in two of them, and the cluster of each. Fewer
        where the clusters hold no more pairs below `COPY_SIMILARITY`.
    """
    unit = unit_rows(embeddings)
    clusters = max(1, min(count, len(unit) // 3))  # three images hold a pair and a choice
    member = cluster_rows(unit, clusters, rng=rng)
    found = []
    for cluster in np.unique(member):
        rows = _core(unit, np.flatnonzero(member == cluster))
        for turn, (a, b, similarity) in enumerate(_matched(unit, rows, excluded)):
            found.append((turn, -similarity, a, b, cluster))
    found.sort()
    best = np.array([(a, b, cluster) for _, _, a, b, cluster in found[:count]], dtype=np.int64)
    best = best.reshape(-1, 3)
    return best[:, :2], best[:, 2]


def _core(unit: FloatArray, rows: IntArray) -> IntArray:
    """The images of a cluster that are nearest to its centre, in row order."""
    if len(rows) <= _CORE_IMAGES:
        return rows
    typical = quantised(unit[rows] @ unit[rows].mean(axis=0))
    return np.sort(rows[np.argsort(-typical, kind="stable")[:_CORE_IMAGES]])


def _matched(unit: FloatArray, rows: IntArray, excluded: Keys) -> Iterator[tuple[int, int, float]]:
    """Disjoint pairs of these rows, closest first, without copies."""
    first, second = np.triu_indices(len(rows), 1)
    a, b = rows[first], rows[second]
    similarity = quantised((unit[rows] @ unit[rows].T)[first, second])
    allowed = (similarity < COPY_SIMILARITY) & ~np.isin(a * len(unit) + b, excluded)
    used: set[int] = set()
    for place in np.lexsort((b, a, -similarity)):
        pair = int(a[place]), int(b[place])
        if allowed[place] and not used.intersection(pair):
            used.update(pair)
            yield *pair, float(similarity[place])


def _at_border(
    embeddings: FloatArray,
    border: _Border,
    count: int,
    near: IntArray,
    taken: Keys,
    *,
    rng: np.random.Generator,
) -> tuple[IntArray, IntArray]:
    """Different pairs at the border, and their clusters; random pairs where that is not enough."""
    mined = most_uncertain_pairs(
        embeddings,
        border.alpha,
        _CANDIDATES * count,
        excluded=taken,
        device=border.device,
        progress=border.progress,
    )
    picked = pick_diverse(embeddings, mined.pairs, mined.score, count, rng=rng)
    others = np.setdiff1d(np.arange(len(mined.pairs)), picked.rows)
    spare = draw_pairs(len(embeddings), _CANDIDATES * count, taken, rng)
    pairs = np.concatenate([mined.pairs[picked.rows], mined.pairs[others], spare])
    cluster = np.full(len(pairs), count, dtype=np.int64)
    cluster[: len(picked.rows)] = picked.cluster
    copies_last = np.argsort(_are_copies(embeddings, pairs), kind="stable")
    pairs, cluster = pairs[copies_last], cluster[copies_last]
    chosen = spread(pairs, count, np.bincount(near.ravel(), minlength=len(embeddings)))
    return pairs[chosen], cluster[chosen]


def _are_copies(embeddings: FloatArray, pairs: IntArray) -> BoolArray:
    return np.asarray(pair_similarities(embeddings, pairs) >= COPY_SIMILARITY)


def spread(pairs: IntArray, count: int, uses: IntArray) -> IntArray:
    """Positions of the first pairs that keep every image at a few questions.

    Args:
        pairs: [P, 2] in the order of preference; a pair that comes twice is taken once.
        count: h.
        uses: [N] in how many questions each image already is.

    Returns:
        [min(h, different pairs)] positions in the order of preference. The limit is `MAX_USES`
        and is doubled while the round cannot be filled.
    """
    uses, limit = uses.copy(), MAX_USES
    chosen: dict[tuple[int, int], int] = {}
    different = len(np.unique(pairs, axis=0))
    while len(chosen) < min(count, different):
        for position, (a, b) in enumerate(pairs.tolist()):
            if len(chosen) == count:
                break
            if (a, b) not in chosen and max(uses[a], uses[b]) < limit:
                chosen[a, b] = position
                uses[a] += 1
                uses[b] += 1
        limit *= 2
    return np.array(sorted(chosen.values()), dtype=np.int64)


def _in_turn(first: int, second: int) -> IntArray:
    """An order that takes the next of the first group, then of the second, and so on."""
    place = np.concatenate([np.arange(first) * 2, np.arange(second) * 2 + 1])
    return np.argsort(place, kind="stable")
