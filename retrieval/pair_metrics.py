"""How well similarity tells similar from dissimilar pairs: metrics that need no ranking.

They work without class labels, on the answers people gave; each is None where one of the two
kinds of pairs is absent, because it then has no meaning.
"""

import numpy as np

from domain.arrays import BoolArray, FloatArray, IntArray
from domain.errors import InputError
from domain.vectors import quantised


def roc_auc(similarity: FloatArray, similar: BoolArray) -> float | None:
    """How often a similar pair is more alike than a dissimilar one; ties (to 1e-9) count half.

    Args:
        similarity: [P] cosines.
        similar: [P] the answers.

    Returns:
        0…1, or None where all pairs are of one kind.

    Raises:
        InputError: lengths differ or a similarity is not finite.

    Source: Mann-Whitney statistic, the area under the ROC curve.
    """
    values, positive = _checked(similarity, similar)
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return None
    above = _mean_ranks(values)[positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def pair_average_precision(similarity: FloatArray, similar: BoolArray) -> float | None:
    """Mean precision at the similar pairs when pairs are sorted by similarity.

    Pairs with equal similarity (to 1e-9) share the precision at the end of their group, so the
    order of the input does not matter.

    Args:
        similarity: [P] cosines.
        similar: [P] the answers.

    Returns:
        0…1, or None where all pairs are of one kind.

    Raises:
        InputError: lengths differ or a similarity is not finite.

    Source: area under the precision-recall curve as a step function.
    """
    values, positive = _checked(similarity, similar)
    if positive.all() or not positive.any():
        return None
    _, group = np.unique(-values, return_inverse=True)
    hits = np.bincount(group, weights=positive)
    precision = np.cumsum(hits) / np.cumsum(np.bincount(group))
    return float((precision * hits).sum() / hits.sum())


def balanced_accuracy(similarity: FloatArray, similar: BoolArray, threshold: float) -> float | None:
    """Mean of the shares of similar and of dissimilar pairs on their side of the threshold.

    Args:
        similarity: [P] cosines.
        similar: [P] the answers.
        threshold: a pair counts as called similar at and above it.

    Returns:
        0…1, or None where all pairs are of one kind.

    Raises:
        InputError: lengths differ or a similarity is not finite.
    """
    values, positive = _checked(similarity, similar)
    if positive.all() or not positive.any():
        return None
    called = values >= quantised(np.asarray(threshold))
    return float((called[positive].mean() + (~called[~positive]).mean()) / 2)


def _checked(similarity: FloatArray, similar: BoolArray) -> tuple[FloatArray, BoolArray]:
    values, positive = quantised(similarity), np.asarray(similar, dtype=bool)
    if values.ndim != 1 or values.shape != positive.shape:
        raise InputError(
            f"{positive.size} answers do not fit {values.size} similarities.",
            "Pass one answer for each similarity.",
        )
    if not np.isfinite(values).all():
        raise InputError("A similarity is not a number.", "Embed the images again.")
    return values, positive


def _mean_ranks(values: FloatArray) -> FloatArray:
    """Ranks from 1, equal values sharing the mean of theirs."""
    _, group, count = np.unique(values, return_inverse=True, return_counts=True)
    last: IntArray = np.cumsum(count)
    return (last - (count - 1) / 2)[group]
