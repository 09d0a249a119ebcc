"""Which of many uncertain pairs to ask, so that no two questions are alike.

Takes scored candidate pairs, gives h of them: the pairs are clustered by what they show, and
the most uncertain pair of each cluster is asked. Clustering and picking are apart, so that a
pick can be checked by hand. Nothing here knows labels or models.

Source: ANNEAL, section on the diversity of the selected pairs (k-means with k = h).
"""

import warnings
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from annealing.pool import Keys
from domain.arrays import FloatArray, IntArray
from domain.vectors import quantised, unit_rows

_MAX_ITERATIONS = 50  # with more, no assignment of 1,476 pairs changed the picks


@dataclass(frozen=True)
class DiversePick:
    """Which candidates to ask, the most uncertain first.

    Attributes:
        rows: [≤ h] positions in the candidates, each once.
        cluster: [≤ h] the cluster each came from.
    """

    rows: IntArray
    cluster: IntArray


def pick_diverse(
    embeddings: FloatArray,
    pairs: IntArray,
    score: FloatArray,
    count: int,
    *,
    rng: np.random.Generator,
) -> DiversePick:
    """The most uncertain pair of each of h clusters of pairs.

    Args:
        embeddings: [N, D] rows of any length.
        pairs: [P, 2] candidates.
        score: [P], higher means ask first.
        count: h.
        rng: decides where k-means starts.

    Returns:
        min(h, P) candidates, sorted by score; equal scores (to 1e-9) by pair.

    Corner cases: P <= h takes all; h = 1 takes the most uncertain; where fewer than h pairs
    differ, the rest is filled with the most uncertain that were not picked. Copies of one pair
    fall into one cluster.

    Source: ANNEAL, section on diversity; the filling is ours.
    """
    keys = _keys(pairs)
    if len(pairs) <= count or count <= 1:
        return pick_per_cluster(score, keys, np.zeros(len(pairs), np.int64), count)
    # Sorted, so that the order in which candidates come does not move the clusters
    order = np.lexsort((keys, -quantised(score)))
    cluster = np.empty(len(pairs), np.int64)
    cluster[order] = cluster_rows(pair_descriptors(embeddings, pairs[order]), count, rng=rng)
    return pick_per_cluster(score, keys, cluster, count)


def pair_descriptors(embeddings: FloatArray, pairs: IntArray) -> FloatArray:
    """What a pair shows, whatever its order: [v_a + v_b, |v_a - v_b|] of the unit vectors.

    Args:
        embeddings: [N, D] rows of any length.
        pairs: [P, 2].

    Returns:
        [P, 2 D] float64.

    Source: ours; the paper does not say what vector stands for a pair.
    """
    left, right = unit_rows(embeddings[pairs[:, 0]]), unit_rows(embeddings[pairs[:, 1]])
    return np.concatenate([left + right, np.abs(left - right)], axis=1)


def cluster_rows(vectors: FloatArray, clusters: int, *, rng: np.random.Generator) -> IntArray:
    """The k-means cluster [P] of each vector [P, D]; fewer clusters where fewer vectors differ.

    Source: k-means++ (Arthur and Vassilvitskii, 2007), one start, at most 50 iterations.
    """
    from sklearn.cluster import KMeans  # takes seconds to import: not for every start of a worker
    from sklearn.exceptions import ConvergenceWarning

    means = KMeans(
        n_clusters=max(1, min(clusters, _different(vectors))),
        n_init=1,
        max_iter=_MAX_ITERATIONS,
        random_state=int(rng.integers(2**31)),
    )
    with threadpool_limits(1), warnings.catch_warnings():  # sums in the same order everywhere
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly equal vectors are no error
        return np.asarray(means.fit_predict(vectors.astype(np.float64)), dtype=np.int64)


def _different(vectors: FloatArray) -> int:
    """How many vectors differ, told by one projection: equal vectors have equal ones."""
    direction = np.cos(np.arange(vectors.shape[1]))  # any fixed one without a pattern
    return len(np.unique(quantised(vectors @ direction)))


def pick_per_cluster(
    score: FloatArray, keys: IntArray, cluster: IntArray, count: int
) -> DiversePick:
    """The best of each cluster, filled up to h with the best that are left.

    Args:
        score: [P], higher means ask first.
        keys: [P] decide between equal scores (to 1e-9): lower first.
        cluster: [P] the cluster of each.
        count: h; with more clusters than h, the h best winners stay.

    Returns:
        min(h, P) candidates, sorted by score, then key.

    Source: ANNEAL, section on diversity; the filling is ours.
    """
    order = np.lexsort((keys, -quantised(score)))
    _, first = np.unique(cluster[order], return_index=True)
    is_winner = np.zeros(len(order), dtype=bool)
    is_winner[first] = True
    winners, rest = order[is_winner], order[~is_winner]
    chosen = np.concatenate([winners, rest])[: max(0, count)]
    rows = chosen[np.lexsort((keys[chosen], -quantised(score[chosen])))]
    return DiversePick(rows, cluster[rows])


def _keys(pairs: IntArray) -> Keys:
    """Numbers that sort as the pairs do."""
    pairs = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    return np.asarray(pairs[:, 0] * (int(pairs.max(initial=0)) + 1) + pairs[:, 1])
