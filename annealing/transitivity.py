"""Everything that answers about pairs imply about others, and where they contradict each other.

"Similar" is taken as transitive: similar to the same image means similar; similar to one and
dissimilar to the other means dissimilar. Works on any integers, row numbers or image ids. An answer
is never overwritten: what contradicts is handed back with the answers that it contradicts. For the
paper's single step see `annealing.one_step`.

Source: ANNEAL, transitivity of pair labels; the full closure with cannot-links is ours.
"""

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, combinations, compress, pairwise, product
from typing import NamedTuple

from annealing.links import Links
from annealing.paths import Neighbours, shortest_path
from domain.pairs import Pair, pair


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
        self._born: dict[int, int] = {}  # the position of the first answer to each number
        self._answers: list[Pair] = []
        self._said: list[bool] = []  # of each answer
        self._outcomes: list[Outcome] = []
        self._merges: list[_Merge] = []  # of the answers that merged
        # By the position of the answer; None: its evidence is not searched yet.
        self._contradictions: dict[int, Contradiction | None] = {}
        self._links: Links | None = None  # of the accepted answers; made once they are asked for

    def __len__(self) -> int:
        """How many answers were added, contradicting ones included."""
        return len(self._answers)

    def add(self, answered: Pair, similar: bool) -> Outcome:
        """Take an answer in, unless it contradicts what the answers before it imply.

        Returns:
            MERGED, CANNOT_LINK: something new is known; REDUNDANT: it was implied already (it still
            counts as a further proof); CONFLICT: not taken in, see `contradictions`.
        """
        known = self.relation(*answered)
        if known is None:
            outcome = self._learn(answered, similar)
        elif known == similar:
            outcome = Outcome.REDUNDANT
        else:
            outcome = Outcome.CONFLICT
            evidence = self.proof(*answered)
            self._contradictions[len(self)] = Contradiction(answered, similar, evidence)
        if outcome is not Outcome.CONFLICT and self._links is not None:
            self._links.add(answered, similar)
        self._answers.append(answered)
        self._said.append(similar)
        self._outcomes.append(outcome)
        return outcome

    def extend(self, answers: Sequence[Pair], said: Sequence[bool]) -> None:
        """Take many answers in as `add` does one after the other, in a third of the time.

        The evidence against those that contradict is searched once somebody asks for it.
        """
        root_of, enemies, outcomes = self._root.get, self._enemies, self._outcomes
        for answered, similar in zip(answers, said, strict=True):
            root, other = root_of(answered[0]), root_of(answered[1])
            if root is None or other is None or (root != other and other not in enemies[root]):
                outcomes.append(self._learn(answered, similar))
            elif (root == other) == similar:
                outcomes.append(Outcome.REDUNDANT)
            else:
                self._contradictions[len(outcomes)] = None
                outcomes.append(Outcome.CONFLICT)
        self._answers += answers
        self._said += said
        self._links = None

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
        ahead: Neighbours = self.links().similar_to
        behind: Neighbours = self.links().similar_to
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
        return [self.contradiction_at(position) for position in self._contradictions]

    def contradicting(self) -> list[int]:
        """The positions (from 0) of the answers not taken in, ascending."""
        return list(self._contradictions)

    def contradiction_at(self, position: int) -> Contradiction:
        """What the answer at this position contradicts.

        Raises:
            LookupError: it was taken in.
        """
        found = self._contradictions[position]
        if found is None:
            self._search_evidence()
            return self.contradiction_at(position)
        return found

    def answers_from(self, position: int) -> list[tuple[Pair, bool]]:
        """The answers from this position (from 0) on, contradicting ones included."""
        return list(zip(self._answers[position:], self._said[position:], strict=True))

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

    def links(self) -> Links:
        """The accepted answers as a graph, until the next answer is added or taken back."""
        if self._links is None:
            taken = (outcome is not Outcome.CONFLICT for outcome in self._outcomes)
            self._links = Links(compress(zip(self._answers, self._said, strict=True), taken))
        return self._links

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

    def _search_evidence(self) -> None:
        """Find against what answers speak that were taken in together: answers before them only."""
        last = max(position for position, found in self._contradictions.items() if found is None)
        as_then = Closure()
        for answered, similar in zip(self._answers[: last + 1], self._said, strict=False):
            as_then.add(answered, similar)
        self._contradictions.update(as_then._contradictions)

    def _learn(self, answered: Pair, similar: bool) -> Outcome:
        """Take in an answer to a pair of which nothing is known."""
        root, other = self._created(answered.a), self._created(answered.b)
        return self._merge(root, other) if similar else self._link(root, other)

    def _created(self, number: int) -> int:
        """The root of a number, which is made known if it was not."""
        root = self._root.get(number)
        if root is None:
            root = self._root[number] = number
            self._born[number] = len(self._outcomes)
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
        if self._links is not None:
            self._links.remove_last(answered, similar)
        for number in answered:
            if self._born[number] == len(self._outcomes):
                del self._born[number]
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
        links = self.links()

        def onward(number: int) -> Iterable[int]:
            if self._root[number] != near:
                return links.similar_to(number)
            crossed = (n for n in links.dissimilar_to(number) if self._root[n] == far)
            return chain(links.similar_to(number), crossed)

        return onward


def _avoiding(answers: Set[Pair], neighbours: Neighbours) -> Neighbours:
    return lambda number: (n for n in neighbours(number) if pair(number, n) not in answers)
