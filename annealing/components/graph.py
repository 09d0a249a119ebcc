"""The archive as a graph of nearest neighbours, along which knowledge spreads.

Takes unit vectors, gives a sparse graph; memory and time grow with the number of images, not with
that of pairs, but for the search of the neighbours itself.

Source: local and global consistency (Zhou and others, 2004), cut after a few steps.
"""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from annealing.components.cells import nearest
from domain.arrays import FloatArray

NEIGHBOURS = 15  # 10 guess no better without wrong answers, a little with them
_SHARPNESS = 3  # a link counts cosine ** 3: near neighbours much more than far ones
_DAMPING = 0.9  # how much of what an image knows its neighbours take over
_STEPS = 4  # 8 and infinitely many were no better
_BLOCK_ROWS = 4096


class NeighbourGraph:
    """Symmetric links between near images."""

    def __init__(self, unit: FloatArray, *, neighbours: int = NEIGHBOURS) -> None:
        """Links of each of the rows [N, D] of length 1 to its nearest ones, both ways."""
        rows = len(unit)
        count = min(neighbours, rows - 1)
        self._links = csr_array((rows, rows), dtype=np.float32)
        if count < 1:
            return
        cosine, near = nearest(np.asarray(unit, dtype=np.float32), count)
        weight = np.maximum(cosine.ravel(), 0) ** _SHARPNESS
        ends = np.repeat(np.arange(rows), count), near.ravel()
        one_way = coo_array((weight, ends), shape=(rows, rows)).tocsr()
        both = one_way.maximum(one_way.T).tocsr()
        scale = np.maximum(both.sum(axis=1), 1e-9) ** -0.5
        normal = both.multiply(scale[:, None]).multiply(scale[None, :])
        self._links = csr_array(normal.multiply(_DAMPING).astype(np.float32))

    @classmethod
    def of_links(cls, links: csr_array, own: NDArray[np.float32]) -> "NeighbourGraph":
        """The graph of which `links` and `own` gave these."""
        graph = cls(np.zeros((0, 1), np.float32))
        graph._links, graph.own = links, own
        return graph

    @property
    def links(self) -> csr_array:
        """[N, N] how much of what an image knows another takes over; sparse."""
        return self._links

    def spread(self, values: FloatArray) -> NDArray[np.float32]:
        """[N] or [N, C]: values and what reaches each image along up to four links."""
        term = np.asarray(values, dtype=np.float32)
        total = term.copy()
        for _ in range(_STEPS):
            term = self._links @ term
            total += term
        return total

    @cached_property
    def own(self) -> NDArray[np.float32]:
        """[N] how much of a value on an image `spread` leaves there: 1 and what comes back."""
        own = np.ones(self._links.shape[0], dtype=np.float32)
        for start in range(0, len(own), _BLOCK_ROWS):
            once = self._links[start : start + _BLOCK_ROWS]
            twice = once @ self._links
            here = np.arange(len(own[start : start + _BLOCK_ROWS]))
            back = twice[here, here + start]
            # Symmetric: diag(S³) = Σ S² ∘ S, diag(S⁴) = Σ S² ∘ S²
            back = back + once.multiply(twice).sum(axis=1) + twice.multiply(twice).sum(axis=1)
            own[start : start + _BLOCK_ROWS] += back
        return own
