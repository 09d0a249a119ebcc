"""How far float32 can be off when it says how sure a pair classifier is.

Source: ours; the usual bounds for sums of products (Higham, Accuracy and Stability of Numerical
Algorithms, section 3.1).
"""

import numpy as np

from annealing.pair_classifier import PairClassifier
from domain.arrays import FloatArray

_TANH_ERROR = 8 * 2.0**-24  # of a tanh, halved; libraries promise half of it
_UNIT = 2.0**-24  # rounding of float32
_MARGIN = 1.01  # over first-order bounds


def float32_error(classifier: PairClassifier, first: FloatArray, second: FloatArray) -> float:
    """How far P can be off in float32, for any pair and in whatever order sums are built.

    A sum of n products is off by n roundings of the sum of its magnitudes at most, what goes into
    it by one more each, and a maximum by no more than what goes into it. Sums may start with what
    either image of a pair adds to the second layer; a tanh changes by a quarter of its argument.

    Args:
        classifier: see there.
        first, second: [N, H1] exact projections of images as first and as second.

    Source: Higham, section 3.1; ours for the layers.
    """
    if not len(first):
        return 0.0
    last, weights = np.abs(classifier.last).astype(np.float64), classifier.second.astype(np.float64)
    # Of a pair's first layer: its length, then all magnitudes that reach the logit
    squares = np.square(first).sum(axis=1).max() + np.square(second).sum(axis=1).max()
    wide = np.linalg.norm(last @ np.abs(weights)) * np.sqrt(squares)
    starts = (np.abs(side @ weights.T + classifier.second_bias) @ last for side in (first, second))
    narrow = max(float(each.max()) for each in starts)
    sums = (wide + narrow) * (first.shape[1] + len(last) + 8)
    roundings = float(sums) + 3 * abs(classifier.last_bias)
    return roundings * _UNIT * _MARGIN / 4 + _TANH_ERROR
