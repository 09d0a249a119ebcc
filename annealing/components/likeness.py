"""How alike groups are that nobody compared: two of them may be one kind.

Source: ours.
"""

import numpy as np
from numpy.typing import NDArray

from annealing.components.beliefs import Beliefs
from annealing.components.evidence import evidence_between
from annealing.components.space import Space
from domain.vectors import unit_rows


def group_likeness(space: Space, found: Beliefs) -> NDArray[np.float64]:
    """[C, C] likeness of each two groups in 0…1: the squared cosine of their centres.

    1 for a group itself, 0 for two groups of which answers say more often that they are not alike
    than that they are. Symmetric.

    Args:
        space: of the images.
        found: who belongs to which group.
    """
    centre = unit_rows((found.probability.astype(np.float64) ** 2).T @ space.unit)
    likeness = np.maximum(centre @ centre.T, 0) ** 2
    for (first, second), balance in evidence_between(found.answers, found.group).items():
        if balance < 0:
            likeness[first, second] = likeness[second, first] = 0
    np.fill_diagonal(likeness, 1)
    return likeness


def matrix_root(symmetric: NDArray[np.float64]) -> NDArray[np.float64]:
    """[C, C] the symmetric root of a symmetric matrix, negative eigenvalues counted as 0."""
    values, axes = np.linalg.eigh(symmetric)
    return np.asarray((axes * np.sqrt(np.maximum(values, 0))) @ axes.T)
