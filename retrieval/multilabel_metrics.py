"""How good retrieval is where images have several labels: shared labels of what is retrieved.

Takes embeddings of queries and of a gallery with their label sets. Queries and gallery are
different images: nothing here takes a query out of its own gallery.

Source: DAS-RHDIS, section on evaluation.
"""

from dataclasses import dataclass

import numpy as np

from domain.arrays import BoolArray, FloatArray
from domain.errors import InputError
from retrieval.metrics import rank_gallery

_BLOCK_ENTRIES = 4_000_000  # labels of retrieved images held at a time


@dataclass(frozen=True)
class MultilabelScores:
    """Means over the images retrieved for a query, then over the queries; fractions 0…1.

    Attributes:
        accuracy: labels of both images, of the labels of either.
        precision: labels of both, of the retrieved image's.
        recall: labels of both, of the query's.
        f1_macro: the harmonic mean of the mean precision and the mean recall, the papers' F1.
        f1_pairwise: the mean over pairs of the harmonic mean of their precision and recall.
        queries: how many there are.
    """

    accuracy: float
    precision: float
    recall: float
    f1_macro: float
    f1_pairwise: float
    queries: int


def evaluate_multilabel(
    queries: FloatArray,
    gallery: FloatArray,
    query_labels: BoolArray,
    gallery_labels: BoolArray,
    *,
    k: int,
) -> MultilabelScores:
    """How far the labels of the first k of the gallery agree with those of each query.

    Args:
        queries: [Q, D] embeddings of any length; cosine is compared.
        gallery: [G, D] embeddings.
        query_labels: [Q, L] whether an image has a label.
        gallery_labels: [G, L].
        k: how many are retrieved, the whole gallery where it is smaller; 10 for UC Merced and 30
            for BigEarthNet in the paper.

    Raises:
        InputError: shapes do not fit, there is no query or no gallery, k is below 1, or a value
            is not finite.

    Corner cases: two images without labels agree wholly; where only one has none, accuracy,
    precision and recall are 0.

    Source: DAS-RHDIS, section on evaluation; the paper prints no formula of F1, `f1_macro`
    reproduces its tables.
    """
    query_labels = _checked(queries, query_labels)
    gallery_labels = _checked(gallery, gallery_labels)
    if k < 1 or query_labels.shape[1] != gallery_labels.shape[1]:
        raise InputError(
            f"k = {k} with {query_labels.shape[1]} labels of queries and "
            f"{gallery_labels.shape[1]} of the gallery; k must be at least 1, the labels the same.",
            "Use the same list of labels for both.",
        )
    nearest = rank_gallery(queries, gallery)[:, :k]
    step = max(1, _BLOCK_ENTRIES // max(1, nearest.shape[1] * query_labels.shape[1]))
    blocks = [
        agreement(query_labels[start : start + step, None], gallery_labels[rows])
        for start in range(0, len(nearest), step)
        for rows in [nearest[start : start + step]]
    ]
    accuracy, precision, recall, f1 = (
        float(np.concatenate([block[part].mean(axis=1) for block in blocks]).mean())
        for part in range(4)
    )
    macro = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return MultilabelScores(accuracy, precision, recall, macro, f1, len(queries))


def agreement(query: BoolArray, retrieved: BoolArray) -> FloatArray:
    """Accuracy, precision, recall and F1 of pairs of label sets; [4, …].

    Args:
        query: […, L] whether the query has a label.
        retrieved: […, L], of a shape that fits the query's.

    Corner cases: two empty sets agree wholly (1); where only one is empty, all four are 0.

    Source: DAS-RHDIS, section on evaluation.
    """
    shared = (query & retrieved).sum(axis=-1)
    accuracy = _share(shared, (query | retrieved).sum(axis=-1))
    none = ~(query.any(axis=-1) | retrieved.any(axis=-1))
    precision = np.where(none, 1.0, shared / np.maximum(retrieved.sum(axis=-1), 1))
    recall = np.where(none, 1.0, shared / np.maximum(query.sum(axis=-1), 1))
    total = precision + recall
    f1 = 2 * precision * recall / np.where(total > 0, total, 1.0)
    return np.stack(np.broadcast_arrays(accuracy, precision, recall, f1))


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    """1 where there is nothing to share."""
    return np.where(whole > 0, part / np.maximum(whole, 1), 1.0)


def _checked(embeddings: FloatArray, labels: BoolArray) -> BoolArray:
    found = np.asarray(labels, dtype=bool)
    if not len(embeddings) or found.ndim != 2 or len(found) != len(embeddings):
        raise InputError(
            f"{len(embeddings)} embeddings have labels of shape {found.shape}; one row of labels "
            "for each, and at least one image, are needed.",
            "Pass the labels in the order of the embeddings.",
        )
    return found
