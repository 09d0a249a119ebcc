"""How good retrieval is: rankings of a gallery and what they score.

Takes the embeddings of queries and of a gallery with class labels, gives the metrics of the
papers, each defined in its docstring, because the names are used differently elsewhere. Queries
and gallery are different images: nothing here takes a query out of its own gallery.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from domain.arrays import BoolArray, FloatArray, IntArray
from domain.errors import InputError
from domain.vectors import quantised, unit_rows

_BLOCK_ENTRIES = 4_000_000  # similarities held at a time: 32 MB


@dataclass(frozen=True)
class RetrievalScores:
    """Means over the queries that have a relevant image in the gallery; fractions 0…1.

    A mean is None where no query has one.

    Attributes:
        map_at_5_hits: divides by the hits among the 5 (the papers' convention; optimistic).
        map_at_5_min: divides by min(5, relevant in the gallery) (the honest one).
        map_at_5_rel: divides by all relevant in the gallery; at most 5 / relevant.
        map: over the full ranking.
        map_at_r: precision at the relevant ranks up to R = relevant in the gallery.
        p_at_5, p_at_10: share of relevant images among the first k.
        recall_at_1, recall_at_5: whether any of the first k is relevant.
        queries: how many the means are over.
        excluded: queries without a relevant image in the gallery.
    """

    map_at_5_hits: float | None
    map_at_5_min: float | None
    map_at_5_rel: float | None
    map: float | None
    map_at_r: float | None
    p_at_5: float | None
    p_at_10: float | None
    recall_at_1: float | None
    recall_at_5: float | None
    queries: int
    excluded: int

    def defined(self) -> dict[str, float]:
        """Name to value of the means that exist, as a run stores them."""
        means = {name: value for name, value in asdict(self).items() if name not in _COUNTS}
        return {name: float(value) for name, value in means.items() if value is not None}


_COUNTS = ("queries", "excluded")


def rank_gallery(queries: FloatArray, gallery: FloatArray) -> IntArray:
    """Gallery rows for each query, most similar first.

    Args:
        queries: [Q, D], any length; cosine is compared.
        gallery: [G, D].

    Returns:
        [Q, G]; equal similarities (to 1e-9) stand in the order of the gallery.

    Raises:
        InputError: the dimensions differ or a value is not finite.
    """
    _check_embeddings(queries, gallery)
    return np.argsort(-quantised(unit_rows(queries) @ unit_rows(gallery).T), axis=1, kind="stable")


def evaluate_retrieval(
    queries: FloatArray, gallery: FloatArray, query_labels: IntArray, gallery_labels: IntArray
) -> RetrievalScores:
    """The metrics of a gallery ranked for every query; relevant means the same label.

    Args:
        queries: [Q, D] embeddings of any length; cosine is compared.
        gallery: [G, D] embeddings.
        query_labels: [Q] classes.
        gallery_labels: [G] classes.

    Raises:
        InputError: shapes do not fit or a value is not finite.

    Corner cases: queries without a relevant image count as excluded, not as 0; an empty gallery
    excludes all.

    Source: ANNEAL, eq. 12 with the three readings of its divisor; OSAP-Loss, eqs. 17-19 (19
    with the missing relevance factor put in).
    """
    query_labels, gallery_labels = np.asarray(query_labels), np.asarray(gallery_labels)
    _check_embeddings(queries, gallery)
    _check_labels(queries, query_labels)
    _check_labels(gallery, gallery_labels)
    scored = [_scores_per_query(np.zeros((0, 1), dtype=bool))]  # so that no query is fine too
    for relevant in _relevance_blocks(queries, gallery, query_labels, gallery_labels):
        scored.append(_scores_per_query(relevant[relevant.any(axis=1)]))
    columns = {name: np.concatenate([block[name] for block in scored]) for name in scored[0]}
    count = len(columns["map"])
    means = {name: float(np.mean(column)) if count else None for name, column in columns.items()}
    return RetrievalScores(**means, queries=count, excluded=len(query_labels) - count)


def precision_at(relevant: BoolArray, k: int) -> FloatArray:
    """Share of relevant images among the first k of each ranking; [Q].

    Args:
        relevant: [Q, G] relevance in the order of the ranking.
        k: at least 1; beyond the gallery's size it still divides by k.

    Source: OSAP-Loss, eq. 17.
    """
    return np.asarray(relevant[:, :k].sum(axis=1) / k)


def recall_at(relevant: BoolArray, k: int) -> FloatArray:
    """1 for each ranking with a relevant image among its first k, else 0; [Q].

    Source: OSAP-Loss, eq. 18 (hit rate, not the share of relevant images found).
    """
    return np.asarray(np.any(relevant[:, :k], axis=1), dtype=np.float64)


def precision_sum(relevant: BoolArray, k: int | None = None) -> FloatArray:
    """Precision summed over the relevant ranks up to k (all: None); [Q].

    Divided by the number of relevant images, of hits, or of min(k, relevant), it is an average
    precision.

    Source: ANNEAL, eq. 12, before its divisor.
    """
    hits = relevant[:, :k]
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return np.asarray((precision * hits).sum(axis=1))


def _scores_per_query(relevant: BoolArray) -> dict[str, FloatArray]:
    """Each metric of each ranking [Q, G]; every ranking has a relevant image."""
    total = relevant.sum(axis=1)
    at_5 = precision_sum(relevant, 5)
    ranks = np.arange(relevant.shape[1])
    return {
        "map_at_5_hits": at_5 / np.maximum(relevant[:, :5].sum(axis=1), 1),
        "map_at_5_min": at_5 / np.minimum(total, 5),
        "map_at_5_rel": at_5 / total,
        "map": precision_sum(relevant) / total,
        "map_at_r": precision_sum(relevant & (ranks < total[:, None])) / total,
        "p_at_5": precision_at(relevant, 5),
        "p_at_10": precision_at(relevant, 10),
        "recall_at_1": recall_at(relevant, 1),
        "recall_at_5": recall_at(relevant, 5),
    }


def _relevance_blocks(
    queries: FloatArray, gallery: FloatArray, query_labels: IntArray, gallery_labels: IntArray
) -> Iterator[BoolArray]:
    """Relevance in ranking order, some queries at a time: [q, G]."""
    block = max(1, _BLOCK_ENTRIES // max(1, len(gallery)))
    for start in range(0, len(queries), block):
        ranking = rank_gallery(queries[start : start + block], gallery)
        labels = query_labels[start : start + block, None]
        yield gallery_labels[ranking] == labels


def _check_embeddings(queries: FloatArray, gallery: FloatArray) -> None:
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise InputError(
            f"Queries of shape {queries.shape} and a gallery of shape {gallery.shape} "
            "cannot be compared; both must be [images, dimensions] with equal dimensions.",
            "Embed both with the same model.",
        )
    if not (np.isfinite(queries).all() and np.isfinite(gallery).all()):
        raise InputError(
            "An embedding holds a value that is not a number.", "Embed the images again."
        )


def _check_labels(embeddings: FloatArray, labels: IntArray) -> None:
    if labels.shape != (len(embeddings),):
        raise InputError(
            f"{len(embeddings)} embeddings have labels of shape {labels.shape}; "
            "one label for each is needed.",
            "Pass the labels in the order of the embeddings.",
        )
