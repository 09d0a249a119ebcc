"""How probable each image belongs to each group of images that people called alike.

Takes the answers and the space of the images, gives probabilities over groups: for images nobody
was asked about from their neighbours and a kernel ridge regression, for the others also from what
was answered, whose error rate is assumed. Answers win over looks, but a single answer that all
looks speak against stays in doubt, and the image may change its group. An image that was told
apart from some groups only, and looks like others, waits: it makes no group of its own.

Source: ours; propagation over a neighbour graph times regression, answers as in Dawid and Skene
(1979) with one error rate.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from annealing.components.evidence import NO_GROUP, Answers, groups_of
from annealing.components.parts import parts_of
from annealing.components.space import Space
from domain.arrays import BoolArray, IntArray

# Compared on the training images of UC Merced, with none and 10 % of wrong answers. Weighting the
# groups' images by how sure they are made guesses worse (accuracy -0.7 and -1.0 points).
_RIDGE = 0.03  # 0.01 and 0.1 the same
_SHARPNESS = 15.0  # of the regression's scores; 10 and 25 guess as often right, but less sure so
_LOOKS_AT_MOST = 0.7  # of a belief: the rest is spread evenly, so that answers can outweigh looks
_PASSES = 3  # over the answers, until both images of each agree; 8 the same
# An image leaves a group that is less probable than this; with 0.15 more guesses are wrong, with
# 0.5 groups fall apart: -0.7 +- 0.3 mAP@5 with 10 % of wrong answers.
_EVICTED_BELOW = 0.3
_MOVED_ABOVE = 0.7  # and joins one that is more probable than this
_REGROUPINGS = 2  # 5 the same
# An image is a group of its own that was told apart from so many groups, or for whose others looks
# leave no more than this.
_TOLD_APART = 3
_LEFT_FOR_OTHERS = 0.06
_BLOCK_ROWS = 8192


@dataclass(frozen=True)
class Beliefs:
    """Groups, and who belongs to them.

    Attributes:
        answers: what they rest on.
        group: [N] of each image, `NO_GROUP` where no answer is about it, or only "dissimilar" ones
            and looks speak for further groups.
        size: [C] images of each group.
        known: [K] ascending rows of the images that have a group.
        probability: [N, C] of each image for each group, rows sum to 1; of known images with
            what was answered about them.
        by_looks: [K, C] of the known images without what was answered about each itself.
    """

    answers: Answers
    group: IntArray
    size: IntArray
    known: IntArray
    probability: NDArray[np.float32]
    by_looks: NDArray[np.float32]

    @property
    def groups(self) -> int:
        """C, how many groups there are."""
        return len(self.size)

    @cached_property
    def members(self) -> list[IntArray]:
        """The rows of each group, ascending."""
        order = np.argsort(self.group[self.known], kind="stable")
        return np.split(self.known[order], np.cumsum(self.size)[:-1])

    @property
    def is_certain(self) -> BoolArray:
        """[N] of known images whose group needs no further question."""
        certain = np.zeros(len(self.group), dtype=bool)
        certain[self.known] = self.probability[self.known].max(axis=1) > 0.9
        return certain


def beliefs(space: Space, answers: Answers, *, error: float) -> Beliefs:
    """What answers say about all images of a space.

    Args:
        space: of the images; N rows.
        answers: about pairs of rows, at least one.
        error: assumed share of wrong answers, from 0 up to less than 1/2. Images whose group
            answers and looks speak against are moved or set apart.
    """
    group = groups_of(answers, len(space), doubtful=error > 0)
    waiting = _only_told_apart(space, answers, group)
    while True:
        found = _settled(space, answers, np.where(waiting, NO_GROUP, group), error)
        rows = np.flatnonzero(waiting)
        apart = _times_told_apart(found, answers, rows)
        left = (found.probability[rows] * (apart == 0)).sum(axis=1)
        alike_to_none = (left < _LEFT_FOR_OTHERS) | ((apart > 0).sum(axis=1) >= _TOLD_APART)
        if not alike_to_none.any():
            break
        waiting[rows[alike_to_none]] = False
    belief = found.probability[rows] * (error / (1 - error)) ** apart
    found.probability[rows] = belief / belief.sum(axis=1, keepdims=True)
    return replace(found, answers=answers)


def _only_told_apart(space: Space, answers: Answers, group: IntArray) -> BoolArray:
    """[N] images of which all answers say "dissimilar", but for those that stand for a part.

    None where no group would be left.
    """
    apart = group != NO_GROUP
    apart[answers.pairs[answers.similar]] = False
    if apart.any():
        apart[parts_of(space).middle] = False
    return apart if ((group != NO_GROUP) & ~apart).any() else np.zeros_like(apart)


def _times_told_apart(found: Beliefs, answers: Answers, rows: IntArray) -> IntArray:
    """[R, C] how often each of these images was called dissimilar to an image of each group."""
    place = np.full(len(found.group), -1)
    place[rows] = np.arange(len(rows))
    times = np.zeros((len(rows), found.groups), dtype=np.int64)
    for ends in (answers.pairs, answers.pairs[:, ::-1]):
        image, of_group = place[ends[:, 0]], found.group[ends[:, 1]]
        here = (image >= 0) & (of_group != NO_GROUP)
        np.add.at(times, (image[here], of_group[here]), 1)
    return times


def _settled(space: Space, answers: Answers, group: IntArray, error: float) -> Beliefs:
    """Beliefs in these groups, once images in doubt were moved or set apart."""
    inside = (group[answers.pairs] != NO_GROUP).all(axis=1)
    answers = Answers(answers.pairs[inside], answers.similar[inside])
    found = _of_groups(space, answers, _renumbered(group, np.flatnonzero(group != NO_GROUP)), error)
    for _ in range(_REGROUPINGS if error > 0 else 0):
        regrouped = _without_doubtful(found)
        if regrouped is None:
            break
        found = _of_groups(space, answers, regrouped, error)
    return found


def _of_groups(space: Space, answers: Answers, group: IntArray, error: float) -> Beliefs:
    known = np.flatnonzero(group != NO_GROUP)
    size = np.bincount(group[known])
    reached, reached_without = _by_neighbours(space, group, known, size)
    scores, scores_without = _by_regression(space, group, known, len(size))
    probability = _combined(reached, scores)
    by_looks = _combined(reached_without, scores_without)
    probability[known] = _with_answers(by_looks, answers, group, known, error)
    return Beliefs(answers, group, size, known, probability, by_looks)


def _by_neighbours(
    space: Space, group: IntArray, known: IntArray, size: IntArray
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """[N, C] what spreads from each group's images, and [K, C] without an image's own share."""
    own = group[known]
    seeds = np.zeros((len(space), len(size)), dtype=np.float32)
    seeds[known, own] = size[own] ** -0.5
    reached = space.graph.spread(seeds)
    without = reached[known]
    place = np.arange(len(known))
    left = without[place, own] - space.graph.own[known] * size[own] ** -0.5
    # A group that an image is taken out of has one image less to be divided by
    without[place, own] = left * np.sqrt(size[own] / np.maximum(size[own] - 1, 1))
    return reached, without


def _by_regression(
    space: Space, group: IntArray, known: IntArray, groups: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """[N, C] scores of a kernel ridge regression on the known images, [K, C] leave-one-out."""
    target = np.zeros((len(known), groups))
    target[np.arange(len(known)), group[known]] = 1
    inverse = np.linalg.inv(space.kernel(known, known) + _RIDGE * np.eye(len(known)))
    weights = inverse @ target
    scores = np.empty((len(space), groups), dtype=np.float32)
    for start in range(0, len(space), _BLOCK_ROWS):
        rows = np.arange(start, min(start + _BLOCK_ROWS, len(space)))
        scores[rows] = space.kernel(rows, known) @ weights
    without = target - weights / np.diag(inverse)[:, None]
    return scores, without.astype(np.float32)


def _combined(reached: NDArray[np.float32], scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """[R, C] rows that sum to 1: what neighbours say times the root of what the regression says."""
    joint = np.maximum(reached, 1e-12)
    joint *= np.exp((scores - scores.max(axis=1, keepdims=True)) * (_SHARPNESS / 2))
    joint /= np.maximum(joint.sum(axis=1, keepdims=True), 1e-30)
    return joint


def _with_answers(
    by_looks: NDArray[np.float32],
    answers: Answers,
    group: IntArray,
    known: IntArray,
    error: float,
) -> NDArray[np.float64]:
    """[K, C] of the known images, each answer being wrong with a probability of `error`."""
    groups = by_looks.shape[1]
    belief = np.zeros((len(known), groups))
    belief[np.arange(len(known)), group[known]] = 1
    if error == 0 or groups < 2:
        return belief
    place = np.full(len(group), -1)
    place[known] = np.arange(len(known))
    a, b = place[answers.pairs].T
    similar = answers.similar[:, None]
    looks = np.log(_LOOKS_AT_MOST * by_looks + (1 - _LOOKS_AT_MOST) / groups)
    for _ in range(_PASSES):
        evidence = looks.copy()
        for one, other in ((a, b), (b, a)):
            same = error + (1 - 2 * error) * belief[other]  # chance to hear "similar"
            np.add.at(evidence, one, np.log(np.where(similar, same, 1 - same)))
        evidence -= evidence.max(axis=1, keepdims=True)
        belief = np.exp(evidence)
        belief /= belief.sum(axis=1, keepdims=True)
    return belief


def _without_doubtful(found: Beliefs) -> IntArray | None:
    """The groups with improbable members moved or set apart; None where there are none."""
    known, of_known = found.known, found.group[found.known]
    belief = found.probability[known]
    own = belief[np.arange(len(known)), of_known]
    doubtful = (own < _EVICTED_BELOW) & (found.size[of_known] > 1)
    if not doubtful.any():
        return None
    best = belief.argmax(axis=1)
    moved = doubtful & (belief.max(axis=1) > _MOVED_ABOVE)
    alone = doubtful & ~moved
    group = found.group.copy()
    group[known[moved]] = best[moved]
    group[known[alone]] = found.groups + np.arange(alone.sum())
    return _renumbered(group, known)


def _renumbered(group: IntArray, known: IntArray) -> IntArray:
    """The same groups as 0…C-1 in the order of their lowest rows."""
    _, first, number = np.unique(group[known], return_index=True, return_inverse=True)
    order = np.empty(len(first), dtype=np.int64)
    order[np.argsort(first)] = np.arange(len(first))
    out = group.copy()
    out[known] = order[number]
    return out
