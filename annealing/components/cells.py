"""Which rows are near one another in an archive of any size.

Takes unit vectors. Up to 20,000 rows everything is exact; beyond, clusters are learnt from a sample
and neighbours are looked for in the clusters near by, so that time grows with N ** 1.5 and memory
with N.

Source: k-means; inverted lists as in Sivic and Zisserman (2003).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from annealing.diversity import cluster_rows
from domain.arrays import FloatArray, IntArray
from domain.vectors import unit_rows

EXACT_ROWS = 20_000  # a search of all pairs takes seconds
_LOOKED_AT = 12  # cells near a row's own; of 100,000 rows these are 4 %
_BLOCK_ROWS = 1024


def cells_of(unit: NDArray[np.float32], count: int) -> IntArray:
    """[N] the k-means cluster of each unit row, 0…; fewer than `count` where fewer rows differ."""
    if len(unit) <= EXACT_ROWS:
        return cluster_rows(unit, count, rng=np.random.default_rng(0))
    sample = unit[np.linspace(0, len(unit) - 1, EXACT_ROWS).astype(np.int64)]
    centre = _centres(sample, cluster_rows(sample, count, rng=np.random.default_rng(0)))
    cell = np.empty(len(unit), dtype=np.int64)
    for start in range(0, len(unit), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        cell[block] = (unit[block] @ centre.T).argmax(axis=1)
    return np.unique(cell, return_inverse=True)[1]


def nearest(unit: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """[N, count] cosines and rows of the nearest others of each unit row, in no order.

    Args:
        unit: [N, D] rows of length 1.
        count: less than N.
    """
    rows = len(unit)
    wanted = 1 if rows <= EXACT_ROWS else round(rows**0.5)
    cell = cells_of(unit, wanted) if wanted > 1 else np.zeros(rows, np.int64)
    members = np.split(np.argsort(cell, kind="stable"), np.cumsum(np.bincount(cell))[:-1])
    centre = _centres(unit, cell)
    cosine = np.empty((rows, count), dtype=np.float32)
    near = np.empty((rows, count), dtype=np.int64)
    for number, own in enumerate(members):
        others = _around(centre, number, members, count)
        for start in range(0, len(own), _BLOCK_ROWS):
            asking = own[start : start + _BLOCK_ROWS]
            like = unit[asking] @ unit[others].T
            like[asking[:, None] == others[None, :]] = -2  # not itself
            best = np.argpartition(-like, count - 1, axis=1)[:, :count]
            cosine[asking] = np.take_along_axis(like, best, axis=1)
            near[asking] = others[best]
    return cosine, near


def _centres(unit: NDArray[np.float32], cell: IntArray) -> NDArray[np.float32]:
    """[C, D] unit vectors."""
    sums: FloatArray = np.zeros((int(cell.max()) + 1, unit.shape[1]))
    np.add.at(sums, cell, unit)
    return unit_rows(sums).astype(np.float32)


def _around(
    centre: NDArray[np.float32], number: int, members: Sequence[IntArray], count: int
) -> IntArray:
    """Rows of a cell and of those nearest to it: more than `count` of them."""
    order = np.argsort(-(centre @ centre[number]), kind="stable")
    order = np.concatenate([[number], order[order != number]])
    held = np.cumsum([len(members[each]) for each in order])
    looked_at = max(_LOOKED_AT, int(np.searchsorted(held, count + 1)) + 1)
    return np.sort(np.concatenate([members[each] for each in order[:looked_at]]))
