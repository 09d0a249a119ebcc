"""Unit vectors, and keys that sort the same on every machine."""

import numpy as np
from numpy.typing import NDArray

from domain.arrays import FloatArray

QUANTUM_DECIMALS = 9  # scores nearer than this are the same geometry with different rounding noise
SMALLEST_NORM = 1e-12  # a zero vector stays zero instead of becoming NaN


def unit_rows(vectors: FloatArray) -> NDArray[np.float64]:
    """The rows scaled to length 1, in float64; a zero row stays zero.

    Args:
        vectors: [N, D].

    Returns:
        [N, D] float64.
    """
    rows = np.asarray(vectors, dtype=np.float64)
    norms = np.sqrt(np.einsum("...d,...d->...", rows, rows))[..., None]
    return np.asarray(rows / np.maximum(norms, SMALLEST_NORM))


def quantised(values: FloatArray) -> NDArray[np.float64]:
    """The values rounded to 1e-9: sort by these, then by row or pair key, never by raw floats."""
    rounded = np.round(np.asarray(values, dtype=np.float64), QUANTUM_DECIMALS)
    return np.asarray(rounded + 0.0, dtype=np.float64)  # -0.0 becomes 0.0
