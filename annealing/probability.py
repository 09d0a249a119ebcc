"""How probable it is that a pair is similar, from its similarity and the threshold.

Source: ours; the paper's MGUE gives a distance and no probability.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit

from annealing.pool import pair_similarities
from annealing.proposals import Pool
from domain.arrays import BoolArray, FloatArray

DEFAULT_WIDTH = 0.1
_WIDTHS = (1e-3, 10.0)  # at the upper end every pair is as probable as any


def calibrated(pool: Pool, alpha: float, similarity: FloatArray) -> FloatArray:
    """[P] sigmoid((s − α) / κ) of similarities [P]; κ fits the pairs that are known.

    Corner cases: with known pairs of one kind only, κ is `DEFAULT_WIDTH`.

    Source: ours; logistic regression with the threshold as its middle.
    """
    known = pair_similarities(pool.embeddings, pool.known_pairs) - alpha
    return np.asarray(expit((similarity - alpha) / _width(known, pool.known_similar)))


def _width(distance: FloatArray, similar: BoolArray) -> float:
    """κ with the least logistic loss, both kinds weighing the same."""
    if similar.all() or not similar.any():
        return DEFAULT_WIDTH
    signed = np.where(similar, distance, -distance)
    weight = np.where(similar, 1 / similar.sum(), 1 / (~similar).sum())

    def loss(log_width: float) -> float:
        return float((weight * np.logaddexp(0, -signed / np.exp(log_width))).sum())

    found = minimize_scalar(loss, bounds=np.log(_WIDTHS), method="bounded")
    return float(np.exp(found.x))
