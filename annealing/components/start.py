"""The first questions about an archive of which nothing is known: which of its parts are one kind?

Takes the space of the images, gives single questions: the archive is divided into many small
clusters, a central image stands for each, and those most closely linked are compared first.
"Similar" makes two parts one, so that soon a few groups stand for the archive's kinds.

Source: ours.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from annealing.components.evidence import (
    NO_GROUP,
    Answers,
    evidence_between,
    groups_of,
)
from annealing.components.parts import part_likeness, parts_of, parts_wanted
from annealing.components.questions import Chain
from annealing.components.space import Space
from annealing.components.worlds import joining_most
from annealing.proposals import Question
from domain.arrays import FloatArray, IntArray
from domain.pairs import pair
from domain.vectors import quantised

_QUESTIONS_A_PART = 1.2  # so many answers sort the parts well enough; 0.8 lost 0.6, 1.6 the same


def first_answers(images: int) -> int:
    """How many answers the start takes."""
    return round(_QUESTIONS_A_PART * parts_wanted(images))


def first_chains(
    space: Space, answers: Answers, *, error: float, look_ups: bool = True
) -> Iterator[Chain]:
    """Questions whether two parts are one kind, the most closely linked groups first.

    A pair of groups that one answer joined, but not safely, comes before them.

    Args:
        space: of the images.
        answers: so far.
        error: assumed share of wrong answers.
        look_ups: see `next_chains`.
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
    likely = [
        groups
        for groups in _by_closeness(likeness, ends, balance)
        if groups not in balance or balance[groups] > 0
    ]
    for first, second in likely if look_ups else joining_most(likely, len(ends)):
        closest = _closest(likeness, nodes, ends[first], ends[second], asked)
        if closest is not None:
            size = min(len(ends[first]), len(ends[second]))
            yield Chain(
                (closest,), Question.FIRST_KINDS, (size,), repeats=(first, second) in balance
            )


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
