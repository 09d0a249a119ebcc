"""CAL, the compared class-label active learning: which images to label next.

Source: ANNEAL, section on the compared methods: least confidence and clustering.
"""

import numpy as np

from annealing.diversity import cluster_rows, pick_per_cluster
from domain.arrays import FloatArray, IntArray
from domain.errors import InputError


def least_confident_images(
    probabilities: FloatArray,
    embeddings: FloatArray,
    labelled: IntArray,
    count: int,
    *,
    rng: np.random.Generator,
    candidate_factor: int = 4,
) -> IntArray:
    """The least confident image of each of b clusters of the 4 b least confident ones.

    Args:
        probabilities: [N, C] of the classes of each image.
        embeddings: [N, D], what is clustered.
        labelled: [L] rows that have a label already.
        count: b.
        rng: decides where k-means starts.
        candidate_factor: the 4.

    Returns:
        min(b, N - L) rows, the least confident first; equal ones in the order of the rows.

    Raises:
        InputError: shapes do not fit, or a negative count.

    Source: ANNEAL, CAL; the paper cites least confidence and gives neither factor nor space.
    """
    if len(probabilities) != len(embeddings) or count < 0:
        raise InputError(
            f"{len(probabilities)} rows of probabilities, {len(embeddings)} embeddings, {count} "
            "images wanted; the first two must be equal, the last 0 or more.",
            "Pass one row of each for every image.",
        )
    open_rows = np.setdiff1d(np.arange(len(embeddings)), labelled)
    doubt = 1 - probabilities[open_rows].max(axis=1, initial=0.0)
    order = np.lexsort((open_rows, -np.round(doubt, 9)))[: candidate_factor * count]
    candidates = open_rows[order]
    if not len(candidates) or not count:
        return candidates[:0]
    cluster = cluster_rows(embeddings[candidates], count, rng=rng)
    return candidates[pick_per_cluster(doubt[order], candidates, cluster, count).rows]
