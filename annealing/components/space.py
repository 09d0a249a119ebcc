"""The space in which images are compared before anything is learnt about them.

Takes frozen embeddings, gives the directions of their principal components in which kinds differ,
with the graph of neighbours. It does not depend on any answer, so that it is made once an archive.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annealing.components.discriminant import discriminant_map
from annealing.components.graph import NeighbourGraph
from domain.arrays import FloatArray, IntArray
from domain.vectors import SMALLEST_NORM

COMPONENTS = 256  # principal components; 128 and all of them guess as often right
_BLOCK_ROWS = 4096


@dataclass(frozen=True)
class Space:
    """Images as unit vectors, and who is near whom.

    Attributes:
        unit: [N, D] rows of length 1 (a zero row stays zero).
        graph: of the same rows.
    """

    unit: NDArray[np.float32]
    graph: NeighbourGraph

    @classmethod
    def of_unit(cls, unit: NDArray[np.float32]) -> "Space":
        """The space of rows [N, D] of length 1 as they are."""
        return cls(unit, NeighbourGraph(unit))

    def __len__(self) -> int:
        return len(self.unit)

    def kernel(self, rows: IntArray, others: IntArray) -> NDArray[np.float64]:
        """[R, O] exp(cosine - 1) of rows against others."""
        return kernel(self.unit[rows], self.unit[others])


def kernel(rows: FloatArray, others: FloatArray) -> NDArray[np.float64]:
    """[R, O] exp(cosine - 1) of unit vectors [R, D] and [O, D]; 1 for equal ones."""
    return np.exp((rows @ others.T).astype(np.float64) - 1)


def space_of(embeddings: FloatArray) -> Space:
    """The space of frozen embeddings.

    Args:
        embeddings: [N, D] finite rows of any length.
    """
    main = principal_rows(embeddings)
    return Space.of_unit(_of_length_1(main @ discriminant_map(main)))


def principal_rows(embeddings: FloatArray, components: int = COMPONENTS) -> NDArray[np.float32]:
    """The rows' directions on their first principal components, of length 1.

    Args:
        embeddings: [N, D] rows of any length.
        components: how many; no more than the rows span.

    Returns:
        [N, ≤ components] float32. The signs of the components are not fixed: only cosines count.
    """
    rows = np.asarray(embeddings, dtype=np.float32)
    rows = _of_length_1(rows)
    rows -= rows.mean(axis=0)
    kept = min(components, rows.shape[1], max(1, len(rows) - 1))
    spread = np.zeros((rows.shape[1], rows.shape[1]))
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = rows[start : start + _BLOCK_ROWS].astype(np.float64)
        spread += block.T @ block
    axes = np.linalg.eigh(spread)[1][:, ::-1][:, :kept].astype(np.float32)
    main = rows @ axes
    return _of_length_1(main)


def _of_length_1(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, SMALLEST_NORM))
