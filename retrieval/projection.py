"""A plane to look at embeddings in: the two directions in which they vary most.

Principal components, because they are the same each time for the same embeddings, need no tuning
and keep distances honest as far as two dimensions can; the share of the spread that they show
comes with them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from domain.arrays import FloatArray
from domain.errors import InputError

_BLOCK_ROWS = 65_536  # a block of 256 float32 dimensions is 64 MB, also of a memory-mapped file


@dataclass(frozen=True)
class Plane:
    """Embeddings in two dimensions.

    Attributes:
        points: [N, 2] float32, centred.
        shares: of the whole spread (variance) along each axis, the larger first.
    """

    points: FloatArray
    shares: tuple[float, float]


def principal_plane(embeddings: FloatArray) -> Plane:
    """The first two principal components of embeddings [N, D].

    Each axis points to where its largest weight is positive, so that the picture does not flip.

    Raises:
        InputError: no rows, fewer than two dimensions, or a value that is not finite.

    Corner cases: embeddings that are all the same lie at the origin, with shares of 0.
    """
    if embeddings.ndim != 2 or len(embeddings) == 0 or embeddings.shape[1] < 2:
        raise InputError(
            f"Embeddings of shape {embeddings.shape} have no plane; one row and two dimensions "
            "are the least.",
            "Embed the archive first.",
        )
    mean = sum(block.sum(0) for block in _blocks(embeddings)) / len(embeddings)
    if not np.isfinite(mean).all():
        raise InputError("An embedding holds a value that is not a number.", "Embed again.")
    spread = sum((block - mean).T @ (block - mean) for block in _blocks(embeddings))
    variances, directions = np.linalg.eigh(spread)
    axes = directions[:, [-1, -2]]
    axes = axes * np.where(axes[np.abs(axes).argmax(0), [0, 1]] < 0, -1.0, 1.0)
    points = np.concatenate([(block - mean) @ axes for block in _blocks(embeddings)])
    whole = max(float(variances.sum()), np.finfo(np.float64).tiny)
    first, second = (max(float(variances[each]) / whole, 0.0) for each in (-1, -2))
    return Plane(points.astype(np.float32), (first, second))


def _blocks(embeddings: FloatArray) -> Iterator[FloatArray]:
    for start in range(0, len(embeddings), _BLOCK_ROWS):
        yield np.asarray(embeddings[start : start + _BLOCK_ROWS], dtype=np.float64)
