"""Retrieval quality where folders are classes: validation queries against the test gallery."""

import numpy as np

from domain.arrays import FloatArray, IntArray
from domain.images import ImageRecord, Part
from retrieval.metrics import evaluate_retrieval


def retrieval_quality(records: tuple[ImageRecord, ...], embeddings: FloatArray) -> dict[str, float]:
    """Metrics by name, those that are defined; empty where images have no classes.

    Args:
        records: the images.
        embeddings: [N, D] of the images, in the same order.

    Images outside of every class folder take no part. These figures are for reporting only: no
    choice in training may depend on them.
    """
    names = sorted({record.class_name for record in records if record.class_name is not None})
    if len(names) < 2:
        return {}
    number = {name: label for label, name in enumerate(names)}
    labels = np.array([number.get(record.class_name or "", -1) for record in records])
    queries = _rows(records, Part.VALIDATION, labels)
    gallery = _rows(records, Part.TEST, labels)
    if len(queries) == 0 or len(gallery) == 0:
        return {}
    scores = evaluate_retrieval(
        embeddings[queries], embeddings[gallery], labels[queries], labels[gallery]
    )
    return scores.defined()


def _rows(records: tuple[ImageRecord, ...], part: Part, labels: IntArray) -> IntArray:
    inside = [record.part is part for record in records]
    return np.flatnonzero(np.array(inside, dtype=bool) & (labels >= 0))
