"""What an answer that nobody has given yet would imply, by the same rules as given ones.

Takes the answers so far, gives for any pair how many relations become known if it is answered
"similar" and if it is answered "dissimilar". Nothing here looks at images or models.

Source: ANNEAL, transitivity; counting over groups of similar images is ours.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from annealing.transitivity import Closure
from domain.answers import Propagation
from domain.pairs import Pair, pair


@dataclass(frozen=True)
class Gain:
    """How many relations become known, the answered one included.

    Attributes:
        if_similar, if_dissimilar: 0 where the relation is known already.
    """

    if_similar: int
    if_dissimilar: int

    def expected(self, probability: float) -> float:
        """The mean over both answers, "similar" having this probability.

        Source: ours, expected implied labels of a question.
        """
        return probability * self.if_similar + (1 - probability) * self.if_dissimilar


class Implications(ABC):
    """What questions would settle."""

    @abstractmethod
    def gain(self, first: int, second: int) -> Gain:
        """Of a pair of two different numbers."""

    @abstractmethod
    def group(self, number: int) -> int:
        """Equal for numbers of which every answer to one holds for the other."""


def implications(labels: Mapping[Pair, bool], propagation: Propagation) -> Implications:
    """What questions would settle after these answers.

    Args:
        labels: answered pairs in the order in which they got their label, True for similar. A
            contradicting answer counts for nothing.
        propagation: how far answers spread.
    """
    if propagation is Propagation.CLOSURE:
        return _ByClosure(labels)
    if propagation is Propagation.ONE_STEP:
        return _ByOneStep(labels)
    return _Alone(labels)


class _ByClosure(Implications):
    """Groups of similar numbers with cannot-links between them."""

    def __init__(self, labels: Mapping[Pair, bool]) -> None:
        self._closure = Closure()
        for answered, similar in labels.items():
            self._closure.add(answered, similar)
        self._apart: dict[int, set[int]] = {}
        for root, other in self._closure.cannot_links():
            self._apart.setdefault(root, set()).add(other)
            self._apart.setdefault(other, set()).add(root)

    def gain(self, first: int, second: int) -> Gain:
        if self._closure.relation(first, second) is not None:
            return Gain(0, 0)
        a, b = self.group(first), self.group(second)
        apart_a, apart_b = self._apart.get(a, set()), self._apart.get(b, set())
        between = self._size(a) * self._size(b)
        inherited = self._size(a) * self._total(apart_b - apart_a)
        inherited += self._size(b) * self._total(apart_a - apart_b)
        return Gain(between + inherited, between)

    def group(self, number: int) -> int:
        return self._closure.root(number)

    def _size(self, root: int) -> int:
        return len(self._closure.members(root))

    def _total(self, roots: set[int]) -> int:
        return sum(self._size(root) for root in roots)


class _ByOneStep(Implications):
    """What the answered neighbours of two numbers say."""

    def __init__(self, labels: Mapping[Pair, bool]) -> None:
        self._labels = labels
        self._said: dict[int, dict[int, bool]] = {}
        for (a, b), similar in labels.items():
            self._said.setdefault(a, {})[b] = similar
            self._said.setdefault(b, {})[a] = similar

    def gain(self, first: int, second: int) -> Gain:
        if self._is_known(first, second):
            return Gain(0, 0)
        new = [
            similar
            for end, other in ((first, second), (second, first))
            for third, similar in self._said.get(end, {}).items()
            if third != other and not self._is_known(third, other)
        ]
        return Gain(1 + len(new), 1 + sum(new))

    def group(self, number: int) -> int:
        return number

    def _is_known(self, first: int, second: int) -> bool:
        if pair(first, second) in self._labels:
            return True
        said, others = self._said.get(first, {}), self._said.get(second, {})
        return any(similar or others[third] for third, similar in said.items() if third in others)


class _Alone(Implications):
    """An answer says nothing about other pairs."""

    def __init__(self, labels: Mapping[Pair, bool]) -> None:
        self._labels = labels

    def gain(self, first: int, second: int) -> Gain:
        known = pair(first, second) in self._labels
        return Gain(0, 0) if known else Gain(1, 1)

    def group(self, number: int) -> int:
        return number
