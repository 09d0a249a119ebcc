"""How good retrieval is where every image is a query against all others.

The papers that compare losses by class labels measure so: each test image queries the other test
images. Some of them leave the query in its own gallery, where it is always found first.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from domain.arrays import FloatArray, IntArray
from domain.errors import InputError
from retrieval.metrics import precision_at, precision_sum, rank_gallery

_BLOCK_ROWS = 1024  # queries ranked at a time


@dataclass(frozen=True)
class LeaveOneOut:
    """Means over the images that have another one of their class; fractions 0…1.

    Attributes:
        map: over the full ranking; None where no image has one.
        precision: P@k by k.
        map_by_class: mean over the queries of each class.
        queries: how many the means are over.
    """

    map: float | None
    precision: Mapping[int, float]
    map_by_class: Mapping[int, float]
    queries: int


def evaluate_leave_one_out(
    embeddings: FloatArray,
    labels: IntArray,
    *,
    depths: tuple[int, ...] = (5, 10, 20, 50, 100),
    include_self: bool = False,
) -> LeaveOneOut:
    """The metrics of each image ranked against all others; relevant means the same label.

    Args:
        embeddings: [N, D] of any length; cosine is compared.
        labels: [N] classes.
        depths: k of P@k; beyond the gallery's size it still divides by k.
        include_self: leave each query in the gallery, at its own distance, as DCL does.

    Raises:
        InputError: shapes do not fit or a value is not finite.

    Source: OSAP-Loss, eqs. 17-18 and its protocol; DCL's for the query in its gallery.
    """
    labels = np.asarray(labels)
    if labels.shape != (len(embeddings),):
        raise InputError(
            f"{len(embeddings)} embeddings have labels of shape {labels.shape}.",
            "Pass one label an image.",
        )
    precisions: list[FloatArray] = [np.empty((0, len(depths)))]
    averages: list[FloatArray] = [np.empty(0)]
    for start in range(0, len(embeddings), _BLOCK_ROWS):
        rows = np.arange(start, min(start + _BLOCK_ROWS, len(embeddings)))
        ranked = rank_gallery(embeddings[rows], embeddings)
        if not include_self:
            ranked = ranked[ranked != rows[:, None]].reshape(len(rows), -1)
        relevant = labels[ranked] == labels[rows][:, None]
        total = relevant.sum(axis=1)
        averages.append(np.where(total > 0, precision_sum(relevant) / np.maximum(total, 1), np.nan))
        precisions.append(np.stack([precision_at(relevant, k) for k in depths], axis=1))
    return _means(np.concatenate(averages), np.concatenate(precisions), labels, depths)


def _means(
    average: FloatArray, precision: FloatArray, labels: IntArray, depths: tuple[int, ...]
) -> LeaveOneOut:
    asked = ~np.isnan(average)
    if not asked.any():
        return LeaveOneOut(None, {}, {}, 0)
    of_class = {
        int(label): float(average[asked & (labels == label)].mean())
        for label in np.unique(labels[asked])
    }
    means = dict(zip(depths, precision[asked].mean(axis=0).tolist(), strict=True))
    return LeaveOneOut(float(average[asked].mean()), means, of_class, int(asked.sum()))
