"""The similarity at which the model is most unsure of a pair.

Takes the similarities of pairs whose relation is known, gives the threshold that parts similar
from dissimilar pairs (MGUE): the nearer the similarity of any other pair to it, the more its
answer teaches. Nothing here looks at images, pools or batches.

Source: ANNEAL ("Annotation Cost-Efficient Active Learning for Deep Metric Learning Driven Remote
Sensing Image Retrieval"), eqs. 2-7.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from domain.arrays import FloatArray
from domain.errors import InputError

Clip = Literal["none", "means"]

_NO_SIMILAR = (
    "No similar pair is known yet: the threshold is the upper edge of the dissimilar pairs."
)
_NO_DISSIMILAR = (
    "No dissimilar pair is known yet: the threshold is the lower edge of the similar pairs."
)
_NO_LABELS = "No pair is known yet: the threshold is a quantile of all similarities."
_CROSSED = (
    "Known dissimilar pairs are on average as alike as known similar ones: "
    "the model does not tell them apart yet."
)


@dataclass(frozen=True)
class Threshold:
    """The similarity at and above which the model calls a pair similar.

    Attributes:
        alpha: cosine; outside [-1, 1] only without clipping and with very different spreads.
        mean_similar, std_similar: of the known similar pairs; None where there is none.
        mean_dissimilar, std_dissimilar: of the known dissimilar pairs; None where there is none.
        clipped: alpha lay outside the two means and was moved to the nearer one.
        degenerate: why alpha is not to be trusted, in words; None where all is well.
    """

    alpha: float
    mean_similar: float | None = None
    std_similar: float | None = None
    mean_dissimilar: float | None = None
    std_dissimilar: float | None = None
    clipped: bool = False
    degenerate: str | None = None


def mgue_threshold(
    similar: FloatArray,
    dissimilar: FloatArray,
    *,
    lam: float = 3.0,
    clip: Clip = "none",
    pool_quantile: float | None = None,
) -> Threshold:
    """The threshold midway between the edges of the similar and the dissimilar band.

    alpha = (mean_similar + mean_dissimilar - lam * (std_similar - std_dissimilar)) / 2, with
    population standard deviations.

    Args:
        similar: [S] cosines of the known similar pairs.
        dissimilar: [D] cosines of the known dissimilar pairs.
        lam: width of the bands in standard deviations; 0 or more.
        clip: "means" keeps alpha between the two means, which the formula leaves when the
            spreads differ much (the pairs at alpha would then be more typical than ambiguous).
        pool_quantile: alpha where no pair is known: the (1 - similar share) quantile of the
            similarities of the pool.

    Raises:
        InputError: a similarity is not finite, lam is negative, clip is unknown, or no pair is
            known and no quantile given.

    Corner cases: no similar pair gives min(1, upper edge of the dissimilar band); no dissimilar
    pair gives max(-1, lower edge of the similar band); both are degenerate, and so are means in
    the wrong order, which are never clipped. One pair of a kind has standard deviation 0.

    Differs from the paper: it says nothing of degenerate cases and does not clip.

    Source: ANNEAL, eqs. 2-8.
    """
    similar, dissimilar = np.asarray(similar, np.float64), np.asarray(dissimilar, np.float64)
    _check(similar, dissimilar, lam, clip)
    if len(similar) and len(dissimilar):
        return _between(similar, dissimilar, lam, clip)
    if len(dissimilar):
        mean, std = float(np.mean(dissimilar)), float(np.std(dissimilar))
        return Threshold(
            min(1.0, mean + lam * std),
            mean_dissimilar=mean,
            std_dissimilar=std,
            degenerate=_NO_SIMILAR,
        )
    if len(similar):
        mean, std = float(np.mean(similar)), float(np.std(similar))
        return Threshold(
            max(-1.0, mean - lam * std),
            mean_similar=mean,
            std_similar=std,
            degenerate=_NO_DISSIMILAR,
        )
    if pool_quantile is None:
        raise InputError(
            "A threshold needs at least one known pair or the quantile of the pool; got neither.",
            "Answer some pairs first, or start with cold-start questions.",
        )
    return Threshold(float(pool_quantile), degenerate=_NO_LABELS)


def _check(similar: FloatArray, dissimilar: FloatArray, lam: float, clip: str) -> None:
    if not (np.all(np.isfinite(similar)) and np.all(np.isfinite(dissimilar))):
        raise InputError(
            "A known pair has a similarity that is not a number.",
            "Embed the images again; a damaged embedding must not train the threshold.",
        )
    if lam < 0:
        raise InputError(f"lambda = {lam}; must be 0 or more.", "The paper's value is 3.")
    if clip not in ("none", "means"):
        raise InputError(f'clip = "{clip}"; must be "none" or "means".', "Choose one of them.")


def _between(similar: FloatArray, dissimilar: FloatArray, lam: float, clip: Clip) -> Threshold:
    mean_similar, std_similar = float(np.mean(similar)), float(np.std(similar))
    mean_dissimilar, std_dissimilar = float(np.mean(dissimilar)), float(np.std(dissimilar))
    raw = (mean_similar + mean_dissimilar - lam * (std_similar - std_dissimilar)) / 2
    crossed = mean_dissimilar >= mean_similar
    clips = clip == "means" and not crossed
    alpha = min(max(raw, mean_dissimilar), mean_similar) if clips else raw
    return Threshold(
        alpha,
        mean_similar,
        std_similar,
        mean_dissimilar,
        std_dissimilar,
        clipped=alpha != raw,
        degenerate=_CROSSED if crossed else None,
    )
