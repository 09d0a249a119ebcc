"""The directions in which vectors differ most: principal components, from blocks of rows."""

from collections.abc import Iterable

import numpy as np
from scipy.linalg import eigh, svd

from domain.arrays import FloatArray


def principal_axes(
    blocks: Iterable[FloatArray], shape: tuple[int, int], count: int
) -> tuple[FloatArray, FloatArray]:
    """The centre [D] of N rows, and the axes [D, count] along which they spread most.

    Args:
        blocks: the rows, float64, some after the other.
        shape: (N, D).
        count: 1 or more, at most D, and N where that is less than half of D.

    Returns:
        The widest axis first. The largest entry of each axis is above 0, so that its sign is
        fixed; axes along which nothing spreads are any that stand upright on the others.
    """
    images, width = shape
    if images <= width // 2:  # few directions, found in a hundredth of the time
        rows = np.concatenate([*blocks])
        centre = rows.mean(axis=0)
        axes = svd(rows - centre, full_matrices=False)[2][:count].T
    else:
        centre, spread = _centre_and_spread(blocks, images, width)
        kept = (width - count, width - 1)  # eigenvalues ascend
        axes = eigh(spread, subset_by_index=kept)[1][:, ::-1]
    largest = np.abs(axes).argmax(axis=0)
    return centre, axes * np.sign(axes[largest, np.arange(axes.shape[1])])


def _centre_and_spread(
    blocks: Iterable[FloatArray], images: int, width: int
) -> tuple[FloatArray, FloatArray]:
    """The mean of the rows, and the sum of the products of their differences from it."""
    total, products = np.zeros(width), np.zeros((width, width))
    for block in blocks:
        total += block.sum(axis=0)
        products += block.T @ block
    centre = total / images
    return centre, products - images * np.outer(centre, centre)
