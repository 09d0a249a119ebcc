"""The first questions about an archive of which nothing is known: which of its parts are one kind?

Takes the space of the images, gives single questions: the archive is divided into many small
clusters, a central image stands for each, and those most closely linked are compared first.
"Similar" makes two parts one, so that soon a few groups stand for the archive's kinds.

Source: ours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from annealing.components.cells import cells_of
from annealing.components.evidence import (
    NO_GROUP,
    Answers,
    evidence_between,
    groups_of,
)
from annealing.components.questions import Chain
from annealing.components.space import Space
from annealing.proposals import Question
from domain.arrays import FloatArray, IntArray
from domain.pairs import pair
from domain.vectors import quantised, unit_rows

PARTS = 100  # some five times as many as an archive has kinds; 50 and 200 were worse
_IMAGES_A_PART = 4  # at least, on average
_QUESTIONS_A_PART = 1.2  # so many answers sort the parts well enough; 0.8 lost 0.6, 1.6 the same
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


def first_answers(images: int) -> int:
    """How many answers the start takes."""
    return round(_QUESTIONS_A_PART * parts_wanted(images))


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


def first_chains(space: Space, answers: Answers, *, error: float) -> Iterator[Chain]:
    """Questions whether two parts are one kind, the most closely linked groups first.

    A pair of groups that one answer joined, but not safely, comes before them.

    Args:
        space: of the images.
        answers: so far.
        error: assumed share of wrong answers.
    """
    parts = parts_of(space)
    group = groups_of(answers, len(space), doubtful=error > 0)
    alone = parts.middle[group[parts.middle] == NO_GROUP]
    group[alone] = group.max(initial=NO_GROUP) + 1 + np.arange(len(alone))
    nodes = np.flatnonzero(group != NO_GROUP)
    part = parts.part[nodes]
    likeness = part_likeness(space, parts)[np.ix_(part, part)]
    balance = evidence_between(answers, group)
    asked = answers.keys
    ends = [np.flatnonzero(group[nodes] == each) for each in range(int(group.max()) + 1)]
    for first, second in _by_closeness(likeness, ends, balance):
        said = balance.get((first, second), 0)
        if said < 0 or (said == 0 and (first, second) in balance):
            continue
        pair = _closest(likeness, nodes, ends[first], ends[second], asked)
        if pair is not None:
            size = min(len(ends[first]), len(ends[second]))
            yield Chain((pair,), Question.FIRST_KINDS, (size,), repeats=said > 0)


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


def _by_closeness(
    likeness: FloatArray, ends: Sequence[IntArray], balance: dict[tuple[int, int], int]
) -> list[tuple[int, int]]:
    """Pairs of groups: those to be confirmed, then by the mean of closest and average likeness."""
    count = len(ends)
    joined = np.zeros((count, len(likeness)))
    largest = np.empty((count, len(likeness)))
    for number, rows in enumerate(ends):
        joined[number] = likeness[rows].mean(axis=0)
        largest[number] = likeness[rows].max(axis=0)
    close = np.empty((count, count))
    for number, rows in enumerate(ends):
        close[:, number] = (joined[:, rows].mean(axis=1) + largest[:, rows].max(axis=1)) / 2
    first, second = np.triu_indices(count, 1)
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    to_confirm = np.array([balance.get(pair, 0) > 0 for pair in pairs], dtype=bool)
    order = np.lexsort((-quantised(close[first, second]), ~to_confirm))
    return [pairs[each] for each in order]


def _closest(
    likeness: FloatArray,
    nodes: IntArray,
    left: IntArray,
    right: IntArray,
    asked: set[tuple[int, int]],
) -> tuple[int, int] | None:
    """The closest pair of images of two groups that nobody answered."""
    block = likeness[np.ix_(left, right)]
    for place in np.argsort(-quantised(block), axis=None, kind="stable"):
        i, j = np.unravel_index(int(place), block.shape)
        a, b = int(nodes[left[i]]), int(nodes[right[j]])
        if pair(a, b) not in asked:
            return a, b
    return None
