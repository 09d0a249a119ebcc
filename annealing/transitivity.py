"""What answers about pairs imply about other pairs, and where they contradict each other.

"Similar" is taken as transitive: similar to the same image means similar; similar to one and
dissimilar to the other means dissimilar. `one_step` is the paper's single step over answered pairs,
`Closure` everything that follows. Both work on any integers, row numbers or image ids. Neither ever
overwrites an answer: what contradicts is handed back with the answers that it contradicts.

Source: ANNEAL, transitivity of pair labels (single step); full closure with cannot-links is ours.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations, pairwise, product
from typing import Any, NamedTuple

from domain.pairs import Pair, pair

_Place = tuple[int, bool]  # a number, and whether a dissimilar answer was passed on the way


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


class _Step(NamedTuple):
    """How to take one answer back."""

    pair: Pair
    similar: bool
    outcome: Outcome
    created: tuple[int, ...]  # numbers that were not known before
    roots: tuple[int, int] = (0, 0)  # merged: which went and which stayed; linked: both
    moved: int = 0  # how many numbers were re-pointed
    enemies: frozenset[int] = frozenset()  # roots cannot-linked with the one that went
    inherited: tuple[int, ...] = ()  # roots that became cannot-linked with the one that stayed


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
        self._similar: dict[int, list[int]] = {}  # accepted answers, both directions
        self._dissimilar: dict[int, list[int]] = {}
        self._tables: tuple[dict[int, Any], ...] = (
            self._root,
            self._members,
            self._enemies,
            self._similar,
            self._dissimilar,
        )
        self._steps: list[_Step] = []
        self._contradictions: dict[int, Contradiction] = {}  # by position of the step

    def __len__(self) -> int:
        """How many answers were added, contradicting ones included."""
        return len(self._steps)

    def add(self, answered: Pair, similar: bool) -> Outcome:
        """Take an answer in, unless it contradicts what the answers before it imply.

        Returns:
            MERGED or CANNOT_LINK: something new; REDUNDANT: was implied already (the answer still
            counts as a further proof); CONFLICT: not taken in, see `contradictions`.
        """
        created = tuple([number for number in answered if number not in self._root])
        for number in created:
            self._create(number)
        known = self.relation(*answered)
        if known is None:
            step = self._merge(answered, created) if similar else self._link(answered, created)
        elif known == similar:
            step = _Step(answered, similar, Outcome.REDUNDANT, created)
        else:
            step = _Step(answered, similar, Outcome.CONFLICT, created)
            evidence = self.proof(*answered)
            self._contradictions[len(self._steps)] = Contradiction(answered, similar, evidence)
        if step.outcome is not Outcome.CONFLICT:
            self._connect(answered, similar)
        self._steps.append(step)
        return step.outcome

    def rollback(self, kept: int) -> None:
        """Take back all answers but the first `kept`, latest first."""
        while len(self._steps) > kept:
            self._undo(self._steps.pop())
            self._contradictions.pop(len(self._steps), None)

    def relation(self, first: int, second: int) -> bool | None:
        """True or False where the answers imply it, None where nothing is known."""
        root, other = self._root.get(first), self._root.get(second)
        if root is None or other is None or first == second:
            return None
        if root == other:
            return True
        return False if other in self._enemies[root] else None

    def proof(self, first: int, second: int) -> tuple[Pair, ...]:
        """The fewest answers that imply the relation of two numbers, in the order of the path.

        Similar: a path of similar answers. Dissimilar: such paths with one dissimilar answer
        between. Empty where nothing is known. An answered pair proves itself.
        """
        known = self.relation(first, second)
        if known is None:
            return ()
        path = self._shortest_path((first, False), (second, not known))
        return tuple(pair(a, b) for (a, _), (b, _) in pairwise(path))

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
        return sum(step.outcome in (Outcome.REDUNDANT, Outcome.CONFLICT) for step in self._steps)

    def accepted(self) -> dict[Pair, bool]:
        """The answers that were taken in, in their order."""
        return {
            step.pair: step.similar for step in self._steps if step.outcome is not Outcome.CONFLICT
        }

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

    def similar_to(self, number: int) -> list[int]:
        """The numbers that accepted answers call similar to this one."""
        return self._similar.get(number, [])

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

    def _create(self, number: int) -> None:
        self._root[number] = number
        self._members[number] = [number]
        self._enemies[number] = set()
        self._similar[number] = []
        self._dissimilar[number] = []

    def _connect(self, answered: Pair, similar: bool) -> None:
        graph = self._similar if similar else self._dissimilar
        graph[answered.a].append(answered.b)
        graph[answered.b].append(answered.a)

    def _link(self, answered: Pair, created: tuple[int, ...]) -> _Step:
        root, other = self._root[answered.a], self._root[answered.b]
        self._enemies[root].add(other)
        self._enemies[other].add(root)
        return _Step(answered, False, Outcome.CANNOT_LINK, created, roots=(root, other))

    def _weight(self, root: int) -> int:
        return len(self._members[root]) + len(self._enemies[root])

    def _merge(self, answered: Pair, created: tuple[int, ...]) -> _Step:
        gone, stays = sorted((self._root[number] for number in answered), key=self._weight)
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
        return _Step(
            answered,
            True,
            Outcome.MERGED,
            created,
            roots=(gone, stays),
            moved=len(moved),
            enemies=enemies,
            inherited=inherited,
        )

    def _undo(self, step: _Step) -> None:
        if step.outcome is not Outcome.CONFLICT:
            graph = self._similar if step.similar else self._dissimilar
            graph[step.pair.a].pop()
            graph[step.pair.b].pop()
        if step.outcome is Outcome.CANNOT_LINK:
            root, other = step.roots
            self._enemies[root].discard(other)
            self._enemies[other].discard(root)
        if step.outcome is Outcome.MERGED:
            self._split(step)
        for number in step.created:
            for table in self._tables:
                del table[number]

    def _split(self, step: _Step) -> None:
        gone, stays = step.roots
        for enemy in step.inherited:
            self._enemies[enemy].discard(stays)
            self._enemies[stays].discard(enemy)
        for enemy in step.enemies:
            self._enemies[enemy].add(gone)
        self._enemies[gone] = set(step.enemies)
        self._members[gone] = self._members[stays][-step.moved :]
        del self._members[stays][-step.moved :]
        for number in self._members[gone]:
            self._root[number] = gone

    def _shortest_path(self, start: _Place, goal: _Place) -> list[_Place]:
        """Breadth first along accepted answers, at most one of them dissimilar."""
        group = self._root[goal[0]]
        came_from: dict[_Place, _Place] = {start: start}
        waiting = deque([start])
        while goal not in came_from:
            here = waiting.popleft()
            number, crossed = here
            ahead = [(other, crossed) for other in self._similar[number]]
            if goal[1] and not crossed:
                ahead += [(n, True) for n in self._dissimilar[number] if self._root[n] == group]
            for place in ahead:
                if place not in came_from:
                    came_from[place] = here
                    waiting.append(place)
        return _walk_back(came_from, goal)


def _walk_back(came_from: Mapping[_Place, _Place], goal: _Place) -> list[_Place]:
    path = [goal]
    while came_from[path[-1]] != path[-1]:
        path.append(came_from[path[-1]])
    return path[::-1]
