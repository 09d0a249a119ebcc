"""An archive in many small clusters, before anybody was asked about it.

Takes the space of the images, gives its parts, the image that stands for each, and how strongly
they are linked.

Source: k-means; linkage over the same graph as beliefs.
"""

from dataclasses import dataclass

import numpy as np

from annealing.components.cells import cells_of
from annealing.components.space import Space
from domain.arrays import FloatArray, IntArray
from domain.vectors import quantised, unit_rows

PARTS = 100  # some five times as many as an archive has kinds; 50 and 200 were worse
_IMAGES_A_PART = 4  # at least, on average
_LEAST_LINK = 1e-3  # of two parts' linkage, whose largest values are near 1


@dataclass(frozen=True)
class Parts:
    """An archive in small clusters.

    Attributes:
        part: [N] of each image.
        middle: [P] the image nearest to each part's centre.
    """

    part: IntArray
    middle: IntArray


def parts_of(space: Space) -> Parts:
    """The clusters of a space; the same for the same space."""
    part = cells_of(space.unit, parts_wanted(len(space)))
    if part.max() == 0:  # all images look the same: any two of them
        part[1:] = 1
    sums = np.zeros((int(part.max()) + 1, space.unit.shape[1]))
    np.add.at(sums, part, space.unit)
    centre = unit_rows(sums)
    fit = quantised(np.einsum("nd,nd->n", space.unit, centre[part]))
    order = np.lexsort((-fit, part))
    _, first = np.unique(part[order], return_index=True)
    return Parts(part, order[first])


def part_likeness(space: Space, parts: Parts) -> FloatArray:
    """[P, P] log of how strongly parts are linked, their sizes apart; symmetric.

    Of the closest pairs of parts more are one kind by their links (UC Merced: 75 %) than by the
    cosine of their centres (67 %), which is large for every pair in a dense region.
    """
    rows, size = np.arange(len(space)), np.bincount(parts.part)
    members = np.zeros((len(space), len(size)), dtype=np.float32)
    members[rows, parts.part] = 1
    linked = members.T @ space.graph.spread(members)
    balanced = (linked + linked.T) / (2 * np.sqrt(np.outer(size, size)))
    return np.asarray(np.log(balanced.astype(np.float64) + _LEAST_LINK))


def parts_wanted(images: int) -> int:
    """Into how many parts so many images are divided."""
    return max(2, min(PARTS, images // _IMAGES_A_PART))
