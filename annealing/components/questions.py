"""Which questions sort images into groups with the fewest answers.

Takes beliefs, gives chains of questions. A chain is about one image: is it like this group, or
that, or the next; it ends at "similar". The next question of a chain follows from the answer
alone, so that nobody waits for a model. Single questions check whether two groups are one, or one
group two.

Source: ours.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from annealing.components.beliefs import Beliefs
from annealing.components.evidence import NO_GROUP, Answers, evidence_between
from annealing.components.space import Space
from annealing.diversity import cluster_rows
from annealing.proposals import Question
from domain.arrays import FloatArray, IntArray
from domain.pairs import pair
from domain.vectors import quantised

# Compared on the training images of UC Merced; mAP@5 with 10 % of wrong answers, +- 0.3.
LONGEST = 9  # questions about one image; 4 lost 0.7, and 6 lost 0.1 without wrong answers
_REST = 0.06  # of what is left: a group less probable than this is not asked about
_MERGE_SHARE = 0.15  # of a round's questions at most; 0.3 and 0.5 the same
_MERGE_MASS = 0.08  # mean probability of one group's images to belong to another
_ASK_AGAIN_MASS = 0.3  # the same where one answer said that they do not
_LARGE = 8  # images; such a group is checked for being two
_VALUE_NEAR = 0.5  # of a question's value is what it says about images near by; 0.8 lost 0.6
_TRIES = 4  # representatives that are looked at for a pair that nobody answered
_TRUSTED = 0.5  # how much a representative's certainty counts beside its place in the group


@dataclass(frozen=True)
class Chain:
    """Questions that are asked one after another until an answer is "similar".

    Attributes:
        pairs: rows (a, b), in their order; never empty.
        kind: why they are asked.
        sizes: of each pair, how many images are in the group that is asked about.
        repeats: asked although the answers so far imply its answer: they are in doubt.
    """

    pairs: tuple[tuple[int, int], ...]
    kind: Question
    sizes: tuple[int, ...]
    repeats: bool = False

    @property
    def unless_implied(self) -> bool:
        """Whether it is passed over once other answers of its round imply its answer.

        Among the first questions that saves a quarter. Later it saves nothing, and one wrong
        "similar" between two groups would imply wrong answers about all their images.
        """
        return self.kind is Question.FIRST_KINDS and not self.repeats


class Asker:
    """Finds pairs that stand for groups, each once a round, and none that was answered."""

    def __init__(
        self, space: Space, found: Beliefs, *, asked: Iterable[tuple[int, int]] = ()
    ) -> None:
        """Of a space and beliefs; `asked` are pairs that the round has already."""
        self.space, self.found = space, found
        self._asked = found.answers.keys | {pair(*rows) for rows in asked}
        self._balance = evidence_between(found.answers, found.group)
        self._central: dict[int, IntArray] = {}

    def is_known(self, first: int, second: int) -> bool:
        """Whether answers compared two groups, or they are one."""
        return first == second or pair(first, second) in self._balance

    def representatives(self, group: int) -> IntArray:
        """A group's images, the most central and certain first."""
        if group not in self._central:
            members = self.found.members[group]
            unit = self.space.unit[members]
            middle = unit.mean(axis=0)
            middle /= max(float(np.linalg.norm(middle)), 1e-12)
            fit = unit @ middle + _TRUSTED * self.found.probability[members, group]
            self._central[group] = members[np.argsort(-quantised(fit), kind="stable")]
        return self._central[group]

    def pair(self, image: int, group: int) -> tuple[int, int] | None:
        """An image and the best representative of a group it was not compared with yet."""
        others = (int(each) for each in self.representatives(group))
        return self._take((image, other) for other in others if other != image)

    def between(self, first: Iterable[int], second: Sequence[int]) -> tuple[int, int] | None:
        """The first pair of two lists that nobody answered, best of each first."""
        left, right = list(first)[:_TRIES], list(second)[:_TRIES]
        places = sorted(np.ndindex(len(left), len(right)), key=lambda place: (sum(place), place))
        return self._take((int(left[i]), int(right[j])) for i, j in places)

    def _take(self, pairs: Iterable[tuple[int, int]]) -> tuple[int, int] | None:
        for a, b in pairs:
            asked = pair(a, b)
            if asked not in self._asked:
                self._asked.add(asked)
                return a, b
        return None


def group_checks(asker: Asker, count: int) -> list[Chain]:
    """Questions whether groups fell apart or together, at most a share of a round.

    Args:
        asker: of the round.
        count: how many questions the round has.
    """
    return list(islice(_checks(asker), int(_MERGE_SHARE * count)))


def image_chains(asker: Asker, count: int, *, look_ups: bool = True) -> Iterator[Chain]:
    """Chains about the images that are worth most, best first.

    Args:
        asker: of the round.
        count: how many chains at most.
        look_ups: whether chains are followed. Without, an image counts by how probably the first
            question tells its group, and the images near it are worth as much less.
    """
    given = 0
    for image in _worth_asking(asker.space, asker.found, look_ups=look_ups):
        if given == count:
            return
        chain = _chain(asker, image)
        if chain is not None:
            given += 1
            yield chain


def _checks(asker: Asker) -> Iterator[Chain]:
    yield from _splits(asker)
    yield from _merges(asker)


def _splits(asker: Asker) -> Iterator[Chain]:
    """Large groups whose two halves hang together by one answer, or none that is left."""
    found, unit = asker.found, asker.space.unit
    for group in np.flatnonzero(found.size >= _LARGE):
        members = found.members[group]
        half = cluster_rows(unit[members], 2, rng=np.random.default_rng(0))
        halves = np.full(len(found.group), NO_GROUP)
        halves[members] = half
        if half.max() == 0 or _balance(found.answers, halves) > 1:
            continue
        first, second = (_central(unit, members[half == side]) for side in (0, 1))
        pair = asker.between(first, second)
        if pair is not None:
            yield Chain((pair,), Question.ONE_KIND, (int(found.size[group]),), repeats=True)


def _balance(answers: Answers, halves: IntArray) -> int:
    """Similar minus dissimilar answers between two halves, others left out."""
    sides = halves[answers.pairs]
    across = (sides.min(axis=1) >= 0) & (sides[:, 0] != sides[:, 1])
    return int(np.where(answers.similar[across], 1, -1).sum())


def _central(unit: NDArray[np.float32], rows: IntArray) -> list[int]:
    fit = unit[rows] @ unit[rows].mean(axis=0)
    return [int(row) for row in rows[np.argsort(-quantised(fit), kind="stable")]]


def _merges(asker: Asker) -> Iterator[Chain]:
    """Groups that look like one, the likeliest first.

    Groups of one image are compared as well: without, 0.9 mAP@5 were lost.
    """
    found = asker.found
    balance = evidence_between(found.answers, found.group)
    likely = _mass(found)
    order = np.argwhere(np.triu(likely, 1) > 0)
    order = order[np.argsort(-quantised(likely[order[:, 0], order[:, 1]]), kind="stable")]
    for first, second in order.tolist():
        said = balance.get((first, second), 0)
        open_ = said > 0 or likely[first, second] >= (_MERGE_MASS if not said else _ASK_AGAIN_MASS)
        if said < -1 or not open_:
            continue
        pair = asker.between(asker.representatives(first), asker.representatives(second).tolist())
        if pair is not None:
            size = int(min(found.size[first], found.size[second]))
            yield Chain((pair,), Question.SAME_KIND, (size,), repeats=said != 0)


def _mass(found: Beliefs) -> FloatArray:
    """[C, C] mean probability of a group's images to belong to another, the larger of both ways."""
    total = np.zeros((found.groups, found.groups))
    np.add.at(total, found.group[found.known], found.by_looks)
    mean = total / found.size[:, None]
    return np.maximum(mean, mean.T)


def _worth_asking(space: Space, found: Beliefs, *, look_ups: bool) -> Iterator[int]:
    """Images by what a question about each is worth, those near the ones before it less.

    The value is an image's own doubt and that of the images it is linked to, over the number of
    questions that it will probably take. Without look-ups it is times the probability that the one
    question tells the group (0.3 mAP@5 more in strict rounds, at 369 answers).
    """
    surest = found.probability.max(axis=1).astype(np.float64)
    doubt = 1 - surest
    doubt[found.is_certain] = 0
    length = _expected_length(found.probability) if look_ups else 1 / surest
    told = np.ones(len(space)) if look_ups else surest
    scale = space.graph.own**-0.5  # an image with many links is not worth more for that
    rest, free = doubt.copy(), doubt > 0
    while free.any():
        near = scale * space.graph.spread(scale * rest)
        value = doubt * (1 - _VALUE_NEAR) + _VALUE_NEAR * near * np.sqrt(doubt)
        image = int(np.where(free, quantised(value / length), -1).argmax())
        yield image
        free[image] = False
        seed = np.zeros(len(space), dtype=np.float32)
        seed[image] = scale[image]
        rest *= 1 - 0.9 * told[image] * np.minimum(scale * space.graph.spread(seed), 1)


def _expected_length(probability: NDArray[np.float32]) -> FloatArray:
    """[N] how many questions a chain takes that asks the likeliest group first: up to four."""
    top = -np.partition(-probability, min(3, probability.shape[1]) - 1, axis=1)[:, :3]
    told = np.cumsum(-np.sort(-top, axis=1), axis=1)
    return np.asarray(1 + np.maximum(0, 1 - told).sum(axis=1))


def _chain(asker: Asker, image: int) -> Chain | None:
    """Groups for an image, likeliest first, each answer before it being "dissimilar".

    A group that the image was compared with before is asked about alone: the answer is doubted.
    To ask a likely group twice in a chain, lest the first "dissimilar" was wrong, gained nothing.
    """
    found = asker.found
    own = int(found.group[image])
    alone = own != NO_GROUP and found.size[own] == 1
    belief = found.probability[image].astype(np.float64)
    if alone:
        belief[own] = 0  # which other group?
    pairs: list[tuple[int, int]] = []
    sizes: list[int] = []
    repeats = False
    while len(pairs) < LONGEST and not repeats and belief.max() >= _REST * belief.sum() > 0:
        group = int(belief.argmax())
        belief[group] = 0
        known = asker.is_known(own, group)
        pair = None if known and pairs else asker.pair(image, group)
        if pair is not None:
            pairs.append(pair)
            sizes.append(int(found.size[group]))
            repeats = known
    if not pairs:
        return None
    return Chain(tuple(pairs), Question.WHICH_KIND, tuple(sizes), repeats=repeats)
