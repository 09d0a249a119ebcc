"""Directions in which images of different kinds differ, found before anybody answered.

Two images that are each among the other's nearest are mostly of one kind. How such pairs differ is
what images of a kind do not have in common; what varies more in the whole archive than between
them tells kinds apart. Takes unit vectors, gives a linear map, so that images which come later are
treated alike.

Source: pairs for the whitening as in Radenović and others (2018), section 3.3, here mutual
neighbours; weights of the log-likelihood ratio of probabilistic linear discriminants (Ioffe 2006).
"""

import numpy as np
from numpy.typing import NDArray

from annealing.components.cells import EXACT_ROWS, nearest
from domain.arrays import FloatArray, IntArray

NEIGHBOURS = 10
FEWEST_IMAGES = 60  # fewer show nothing reliable about hundreds of directions
# How much of the differences counts as equal in all directions. What an archive needs is looked up
# in it: 0.1 in one of which every direction tells something, 0.9 in random projections.
SHRINKAGES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
_LEAST_TELLING = 1e-6  # a direction's spread between kinds, that inside kinds being 1


def discriminant_map(unit: NDArray[np.float32]) -> NDArray[np.float32]:
    """What to multiply unit vectors with, so that their cosine tells kinds apart better.

    Args:
        unit: [N, D] centred rows of length 1; a zero row says nothing. Of many, some at equal
            distances are looked at.

    Returns:
        [D, K ≤ D] float32, the directions that tell most first. A row times it has to be made of
        length 1 again. The signs are not fixed: only cosines count.

    Corner cases: nothing is changed ([D, D] identity) with fewer than `FEWEST_IMAGES` rows, where
    neighbours do not differ at all, and where the archive varies no more than neighbours do.
    """
    rows = unit[:: max(1, -(-len(unit) // EXACT_ROWS))]
    unchanged = np.eye(unit.shape[1], dtype=np.float32)
    if len(rows) < FEWEST_IMAGES:
        return unchanged
    inside = neighbour_scatter(rows)
    if np.trace(inside) <= 0:
        return unchanged
    whitening = _inverse_root(shrunk(inside, shrinkage(rows)))
    whole = np.atleast_2d(np.cov(rows.T.astype(np.float64)))
    spread, axes = np.linalg.eigh(whitening @ whole @ whitening)
    between = spread[::-1] - 1  # kinds' own spread, that inside them being 1
    told = between > _LEAST_TELLING
    if not told.any():
        return unchanged
    weight = between[told] / (1 + 2 * between[told])
    return np.asarray((whitening @ axes[:, ::-1][:, told]) * np.sqrt(weight), dtype=np.float32)


def neighbour_scatter(unit: NDArray[np.float32]) -> NDArray[np.float64]:
    """[D, D] covariance inside kinds: half that of the differences of mutual neighbours.

    Args:
        unit: [N ≥ 2, D] rows of length 1.

    Corner cases: zeros where no two rows are among each other's nearest.
    """
    first, second = _mutual_neighbours(unit, min(NEIGHBOURS, len(unit) - 1))
    difference = (unit[first] - unit[second]).astype(np.float64)
    return np.asarray(difference.T @ difference / (2 * max(1, len(first))))


def shrinkage(unit: NDArray[np.float32]) -> float:
    """Which of `SHRINKAGES` fits the archive: as one half's differences foretell the other's.

    Args:
        unit: [N, D] rows of length 1. Halves are every other row in the order of their first
            coordinate, whatever their own order is.
    """
    order = np.argsort(unit[:, 0], kind="stable")
    halves = [neighbour_scatter(unit[order[start::2]]) for start in (0, 1)]
    loss = np.zeros(len(SHRINKAGES))
    for of, other in (halves, halves[::-1]):
        spread, axes = np.linalg.eigh(of)
        found = np.einsum("dk,de,ek->k", axes, other, axes, optimize=True)
        for place, share in enumerate(SHRINKAGES):
            expected = np.maximum((1 - share) * spread + share * spread.mean(), 1e-30)
            loss[place] += (np.log(expected) + found / expected).sum()
    return SHRINKAGES[int(loss.argmin())]


def shrunk(scatter: FloatArray, share: float) -> NDArray[np.float64]:
    """[D, D] the scatter [D, D], so much of it spread evenly over all directions."""
    even = np.eye(len(scatter)) * (np.trace(scatter) / len(scatter))
    return np.asarray((1 - share) * scatter + share * even)


def _mutual_neighbours(unit: NDArray[np.float32], count: int) -> tuple[IntArray, IntArray]:
    """Rows of all pairs that are each among the other's nearest; each pair once."""
    _, near = nearest(unit, count)
    rows = np.repeat(np.arange(len(unit)), count)
    other = near.ravel()
    key = np.minimum(rows, other) * len(unit) + np.maximum(rows, other)
    pairs, times = np.unique(key, return_counts=True)
    first, second = np.divmod(pairs[times == 2], len(unit))
    return first, second


def _inverse_root(positive: FloatArray) -> NDArray[np.float64]:
    """[D, D] the symmetric inverse root of a positive matrix."""
    values, axes = np.linalg.eigh(positive)
    return np.asarray((axes / np.sqrt(values)) @ axes.T)
