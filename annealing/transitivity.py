"""What answers about pairs imply about other pairs, and where they contradict each other.

"Similar" is taken as transitive: similar to the same image means similar; similar to one and
dissimilar to the other means dissimilar. `one_step` is the paper's single step over answered pairs,
`Closure` everything that follows. Both work on any integers, row numbers or image ids. Neither ever
overwrites an answer: what contradicts is handed back with the answers that it contradicts.

Source: ANNEAL, transitivity of pair labels (single step); full closure with cannot-links is ours.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, combinations, pairwise, product
from typing import NamedTuple

from annealing.paths import Neighbours, shortest_path
from domain.pairs import Pair, pair


@dataclass(frozen=True)
class Implied:
    """What one step of transitivity gives.

    Attributes:
        relations: new pairs (not answered themselves) and whether they are similar.
        proofs: for each new pair, every two answers that imply it, by ascending shared number.
        conflicts: pairs whose implications disagree, or contradict their own answer; ascending.
    """

    relations: dict[Pair, bool]
    proofs: dict[Pair, tuple[tuple[Pair, Pair], ...]]
    conflicts: tuple[Pair, ...]


def one_step(labels: Mapping[Pair, bool]) -> Implied:
    """The pairs implied by two answered pairs that share one member.

    Args:
        labels: answered pairs, True for similar.

    Returns:
        New relations in ascending order of pairs; an answered pair keeps its answer, and where
        implications disagree none is given. Two dissimilar answers imply nothing.

    Source: ANNEAL, transitivity of pair labels. Cost: the sum of squared numbers of answers.
    """
    neighbours = _neighbours(labels)
    found: dict[Pair, list[tuple[bool, tuple[Pair, Pair]]]] = {}
    for shared in sorted(neighbours):
        for first, second in combinations(sorted(neighbours[shared]), 2):
            left, right = pair(first, shared), pair(shared, second)
            if labels[left] or labels[right]:
                implied = labels[left] and labels[right]
                found.setdefault(Pair(first, second), []).append((implied, (left, right)))
    return _agreed(labels, found)


def _neighbours(labels: Mapping[Pair, bool]) -> dict[int, list[int]]:
    neighbours: dict[int, list[int]] = {}
    for a, b in labels:
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    return neighbours


def _agreed(
    labels: Mapping[Pair, bool], found: Mapping[Pair, list[tuple[bool, tuple[Pair, Pair]]]]
) -> Implied:
    relations: dict[Pair, bool] = {}
    proofs: dict[Pair, tuple[tuple[Pair, Pair], ...]] = {}
    conflicts: list[Pair] = []
    for implied_pair in sorted(found):
        said = {similar for similar, _ in found[implied_pair]}
        if implied_pair in labels:
            said.add(labels[implied_pair])
        if len(said) > 1:
            conflicts.append(implied_pair)
        elif implied_pair not in labels:
            relations[implied_pair] = said.pop()
            proofs[implied_pair] = tuple(proof for _, proof in found[implied_pair])
    return Implied(relations, proofs, tuple(conflicts))


class Outcome(StrEnum):
    """What an answer did to the closure."""

    MERGED = "merged"
    CANNOT_LINK = "cannot-link"
    REDUNDANT = "redundant"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class Contradiction:
    """An answer that was not taken in, and the answers before it that say the opposite."""

    pair: Pair
    similar: bool
    evidence: tuple[Pair, ...]


class _Merge(NamedTuple):
    """How to split again what an answer merged."""

    gone: int  # the root that went
    stays: int
    moved: int  # how many numbers were re-pointed
    enemies: frozenset[int]  # roots cannot-linked with the one that went
    inherited: tuple[int, ...]  # roots that became cannot-linked with the one that stayed


class Closure:
    """Everything that answers imply together, kept up to date answer by answer.

    Groups of similar numbers know their root at once (the smaller group is re-pointed when two
    merge), cannot-links join roots. The latest answers can be taken back, so that a correction
    costs as much as the answers since. `relation` takes constant time; n answers cost
    O(n log n) together.
    """

    def __init__(self) -> None:
        self._root: dict[int, int] = {}
        self._members: dict[int, list[int]] = {}
        self._enemies: dict[int, set[int]] = {}  # root -> roots cannot-linked with it
        self._similar = defaultdict[int, list[int]](list)  # accepted answers, both directions
        self._dissimilar = defaultdict[int, list[int]](list)
        self._answers: list[Pair] = []
        self._said: list[bool] = []  # of each answer
        self._outcomes: list[Outcome] = []
        self._merges: list[_Merge] = []  # of the answers that merged
        self._contradictions: dict[int, Contradiction] = {}  # by position of the answer

    def __len__(self) -> int:
        """How many answers were added, contradicting ones included."""
        return len(self._answers)

    def add(self, answered: Pair, similar: bool) -> Outcome:
        """Take an answer in, unless it contradicts what the answers before it imply.

        Returns:
            MERGED, CANNOT_LINK: something new is known; REDUNDANT: it was implied already (it still
            counts as a further proof); CONFLICT: not taken in, see `contradictions`.
        """
        first, second = answered
        root, other = self._created(first), self._created(second)
        if root != other and other not in self._enemies[root]:
            outcome = self._merge(root, other) if similar else self._link(root, other)
        elif (root == other) == similar:
            outcome = Outcome.REDUNDANT
        else:
            outcome = Outcome.CONFLICT
            evidence = self.proof(first, second)
            self._contradictions[len(self)] = Contradiction(answered, similar, evidence)
        if outcome is not Outcome.CONFLICT:
            graph = self._similar if similar else self._dissimilar
            graph[first].append(second)
            graph[second].append(first)
        self._answers.append(answered)
        self._said.append(similar)
        self._outcomes.append(outcome)
        return outcome

    def rollback(self, kept: int) -> None:
        """Take back all answers but the first `kept`, latest first."""
        while len(self) > kept:
            self._undo(self._answers.pop(), self._said.pop(), self._outcomes.pop())
            self._contradictions.pop(len(self), None)

    def relation(self, first: int, second: int) -> bool | None:
        """True or False where the answers imply it, None where nothing is known."""
        root, other = self._root.get(first), self._root.get(second)
        if root is None or other is None or first == second:
            return None
        if root == other:
            return True
        return False if other in self._enemies[root] else None

    def proof(
        self, first: int, second: int, *, without: Set[Pair] = frozenset()
    ) -> tuple[Pair, ...]:
        """The fewest answers that imply the relation of two numbers, in the order of the path.

        Similar: a path of similar answers. Dissimilar: such paths with one dissimilar answer
        between. Empty where nothing is known, or only by way of answers to do `without`. An
        answered pair proves itself.
        """
        known = self.relation(first, second)
        if known is None:
            return ()
        ahead: Neighbours = self.similar_to
        behind: Neighbours = self.similar_to
        if not known:
            ahead, behind = self._crossing(first, second), self._crossing(second, first)
        if without:
            ahead, behind = _avoiding(without, ahead), _avoiding(without, behind)
        try:
            path = shortest_path(first, second, ahead, behind)
        except LookupError:
            return ()
        return tuple(pair(a, b) for a, b in pairwise(path))

    @property
    def contradictions(self) -> list[Contradiction]:
        """Answers not taken in, in the order they came."""
        return list(self._contradictions.values())

    def contradiction_at(self, position: int) -> Contradiction | None:
        """The contradiction that the answer at this position (from 0) caused, if any."""
        return self._contradictions.get(position)

    @property
    def checked(self) -> int:
        """How many answers those before them had implied, or the opposite of them."""
        return self._outcomes.count(Outcome.REDUNDANT) + len(self._contradictions)

    def accepted(self) -> dict[Pair, bool]:
        """The answers that were taken in, in their order."""
        added = zip(self._answers, self._said, self._outcomes, strict=True)
        return {each: said for each, said, outcome in added if outcome is not Outcome.CONFLICT}

    def root(self, number: int) -> int:
        """A number that stands for the group of similar ones; itself while nothing is known."""
        return self._root.get(number, number)

    def components(self) -> list[tuple[int, ...]]:
        """Groups of similar numbers, ascending, single ones that were answered included."""
        return sorted(tuple(sorted(members)) for members in self._members.values())

    def roots(self) -> list[int]:
        """The root of every group, single numbers included."""
        return list(self._members)

    def members(self, root: int) -> list[int]:
        """The numbers in the group of this root."""
        return self._members.get(root, [root])

    def similar_to(self, number: int) -> Sequence[int]:
        """The numbers that accepted answers call similar to this one."""
        return self._similar.get(number, ())

    def dissimilar_to(self, number: int) -> Sequence[int]:
        """The numbers that accepted answers call dissimilar to this one."""
        return self._dissimilar.get(number, ())

    def cannot_links(self) -> Iterator[tuple[int, int]]:
        """Roots of groups known to be dissimilar, each two once."""
        for root, enemies in self._enemies.items():
            for other in enemies:
                if root < other:
                    yield root, other

    def relations(self) -> Iterator[tuple[Pair, bool]]:
        """Every pair whose relation is known, answered ones included, each once."""
        for members in self._members.values():
            for first, second in combinations(members, 2):
                yield pair(first, second), True
        for root, other in self.cannot_links():
            for first, second in product(self._members[root], self._members[other]):
                yield pair(first, second), False

    def count_relations(self) -> int:
        """How many pairs `relations` gives, in time that does not grow with them."""
        size = {root: len(members) for root, members in self._members.items()}
        similar = sum(count * (count - 1) // 2 for count in size.values())
        return similar + sum(size[root] * size[other] for root, other in self.cannot_links())

    def numbers(self) -> Set[int]:
        """The numbers of all accepted answers."""
        return self._root.keys()

    def _created(self, number: int) -> int:
        """The root of a number, which is made known if it was not."""
        root = self._root.get(number)
        if root is None:
            root = self._root[number] = number
            self._members[number] = [number]
            self._enemies[number] = set()
        return root

    def _link(self, root: int, other: int) -> Outcome:
        self._enemies[root].add(other)
        self._enemies[other].add(root)
        return Outcome.CANNOT_LINK

    def _merge(self, root: int, other: int) -> Outcome:
        gone, stays = sorted((root, other), key=self._weight)
        moved = self._members.pop(gone)
        for number in moved:
            self._root[number] = stays
        self._members[stays].extend(moved)
        enemies = frozenset(self._enemies.pop(gone))
        inherited = tuple(sorted(enemies - self._enemies[stays]))
        for enemy in enemies:
            self._enemies[enemy].discard(gone)
        for enemy in inherited:
            self._enemies[enemy].add(stays)
            self._enemies[stays].add(enemy)
        self._merges.append(_Merge(gone, stays, len(moved), enemies, inherited))
        return Outcome.MERGED

    def _weight(self, root: int) -> int:
        return len(self._members[root]) + len(self._enemies[root])

    def _undo(self, answered: Pair, similar: bool, outcome: Outcome) -> None:
        if outcome is Outcome.CONFLICT:
            return
        if outcome is Outcome.CANNOT_LINK:
            root, other = self._root[answered.a], self._root[answered.b]
            self._enemies[root].discard(other)
            self._enemies[other].discard(root)
        if outcome is Outcome.MERGED:
            self._split(self._merges.pop())
        graph = self._similar if similar else self._dissimilar
        for number in answered:
            graph[number].pop()
            if not graph[number]:
                del graph[number]
            if number not in self._similar and number not in self._dissimilar:
                del self._root[number], self._members[number], self._enemies[number]

    def _split(self, merge: _Merge) -> None:
        gone, stays, moved, enemies, inherited = merge
        for enemy in inherited:
            self._enemies[enemy].discard(stays)
            self._enemies[stays].discard(enemy)
        for enemy in enemies:
            self._enemies[enemy].add(gone)
        self._enemies[gone] = set(enemies)
        self._members[gone] = self._members[stays][-moved:]
        del self._members[stays][-moved:]
        for number in self._members[gone]:
            self._root[number] = gone

    def _crossing(self, start: int, goal: int) -> Neighbours:
        """The ways on from a number, with one dissimilar answer from start's group to goal's."""
        near, far = self._root[start], self._root[goal]

        def onward(number: int) -> Iterable[int]:
            if self._root[number] != near:
                return self.similar_to(number)
            crossed = (n for n in self.dissimilar_to(number) if self._root[n] == far)
            return chain(self.similar_to(number), crossed)

        return onward


def _avoiding(answers: Set[Pair], neighbours: Neighbours) -> Neighbours:
    return lambda number: (n for n in neighbours(number) if pair(number, n) not in answers)
