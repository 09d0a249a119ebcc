"""Known relations: what people answered and what follows from it, without what is in dispute.

While answers contradict each other, whatever can only be proven with one of the answers in dispute
is withheld from training; the direct answers in it stay at half weight. Works on any integers, row
numbers or image ids.

Source: ANNEAL, transitivity of pair labels; the withholding rule is ours.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import combinations, product

from annealing.cuts import cut_off
from annealing.one_step import one_step
from annealing.proofs import Prover, reached
from annealing.transitivity import Closure
from domain.answers import KnownRelation, Propagation
from domain.pairs import Pair, pair

DISPUTED_WEIGHT = 0.5
MOST_RELATIONS = 2_000_000  # that 2,000 images in groups imply: to list and keep them takes 1.2 GB


def known_relations(
    labels: Mapping[Pair, bool],
    propagation: Propagation,
    *,
    within: Container[int] | None = None,
    proofs: bool = True,
    longest_proof: int | None = None,
) -> list[KnownRelation]:
    """Answered pairs and, by the given propagation, implied ones.

    Args:
        labels: answered pairs in the order in which they got their label, True for similar.
        propagation: off, the paper's one step, or the full closure.
        within: only pairs wholly inside are given or used in proofs; contradictions are found among
            all. None: everything.
        proofs: False leaves the proofs of implied relations empty, which is much quicker.
        longest_proof: under the closure, only what so many answers or fewer imply, none of them in
            dispute; None: all.

    Returns:
        Answered pairs first, in their order. Under the closure, the later of two contradicting
        answers is withheld; otherwise it stays at weight 0.5, as all other answers in a dispute do.
        An implied relation is withheld if some dispute has a part in each of its proofs.
    """
    taken, disputes = _taken(labels, propagation, within)
    direct = _direct(taken, disputes)
    if propagation is Propagation.CLOSURE:
        if longest_proof is not None:
            return [*direct, *_implied_nearby(taken, disputes, longest_proof, proofs=proofs)]
        return [*direct, *_Expansion(taken, disputes).implied(proofs=proofs)]
    if propagation is Propagation.ONE_STEP:
        return [*direct, *_implied_in_one_step(taken, disputes, proofs=proofs)]
    return direct


def known_up_to(labels: Mapping[Pair, bool], *, most: int = MOST_RELATIONS) -> list[KnownRelation]:
    """What the closure gives, without proofs; one step where that would be more than `most`."""
    few = count_known(labels, Propagation.CLOSURE) <= most
    spread = Propagation.CLOSURE if few else Propagation.ONE_STEP
    return known_relations(labels, spread, proofs=False)


def count_known(
    labels: Mapping[Pair, bool],
    propagation: Propagation,
    *,
    within: Container[int] | None = None,
    longest_proof: int | None = None,
) -> int:
    """How many relations `known_relations` gives, without making them.

    With a longest proof, in time that grows with them.
    """
    taken, disputes = _taken(labels, propagation, within)
    if propagation is Propagation.CLOSURE:
        if longest_proof is not None:
            nearby = _implied_nearby(taken, disputes, longest_proof, proofs=False)
            return len(taken) + sum(1 for _ in nearby)
        return len(taken) + _Expansion(taken, disputes).count_implied()
    if propagation is Propagation.ONE_STEP:
        return len(taken) + sum(1 for _ in _implied_in_one_step(taken, disputes, proofs=False))
    return len(taken)


def _taken(
    labels: Mapping[Pair, bool], propagation: Propagation, within: Container[int] | None
) -> tuple[dict[Pair, bool], list[frozenset[Pair]]]:
    """The direct answers that are used, and the answers in each dispute."""
    closure = Closure()
    for answered, similar in labels.items():
        closure.add(answered, similar)
    found = closure.contradictions
    if propagation is Propagation.CLOSURE:
        taken, disputes = closure.accepted(), [frozenset(each.evidence) for each in found]
    else:
        taken, disputes = dict(labels), [frozenset([*each.evidence, each.pair]) for each in found]
    if within is not None:
        taken = {q: y for q, y in taken.items() if q.a in within and q.b in within}
    return taken, disputes


def _direct(taken: Mapping[Pair, bool], disputes: Sequence[Set[Pair]]) -> list[KnownRelation]:
    disputed = set[Pair]().union(*disputes)
    return [
        KnownRelation(
            answered,
            similar,
            implied=False,
            weight=DISPUTED_WEIGHT if answered in disputed else 1.0,
        )
        for answered, similar in taken.items()
    ]


def _implied_nearby(
    taken: Mapping[Pair, bool], disputes: Sequence[Set[Pair]], most: int, *, proofs: bool
) -> Iterator[KnownRelation]:
    """What at most so many answers imply, none of them in dispute, with the fewest as proof."""
    disputed = set[Pair]().union(*disputes)
    closure = Closure()
    for answered, similar in taken.items():
        if answered not in disputed:
            closure.add(answered, similar)
    for number in closure.numbers():
        alike, apart = reached(closure, number, most)
        nearby = [*((n, True) for n in sorted(alike)), *((n, False) for n in sorted(apart))]
        for other, similar in nearby:
            if other > number and Pair(number, other) not in taken:
                proof = closure.proof(number, other) if proofs else ()
                yield KnownRelation(Pair(number, other), similar, implied=True, proof=proof)


def _implied_in_one_step(
    taken: Mapping[Pair, bool], disputes: Sequence[Set[Pair]], *, proofs: bool
) -> Iterator[KnownRelation]:
    found = one_step(taken)
    involved: dict[Pair, list[Set[Pair]]] = {}  # the disputes that an answer has a part in
    for dispute in disputes:
        for answered in dispute:
            involved.setdefault(answered, []).append(dispute)
    for implied, similar in found.relations.items():
        ways = found.proofs[implied]
        at_risk = [dispute for answered in ways[0] for dispute in involved.get(answered, ())]
        if any(all(not dispute.isdisjoint(way) for way in ways) for dispute in at_risk):
            continue
        clean = [way for way in ways if involved.keys().isdisjoint(way)]
        proof = (clean or ways)[0] if proofs else ()
        yield KnownRelation(implied, similar, implied=True, proof=proof)


@dataclass(frozen=True)
class _Block:
    """Relations that hold for the same reason: inside one cell (similar), or between two.

    Attributes:
        others: the second cell; None for similar relations inside `numbers`.
    """

    numbers: Sequence[int]
    others: Sequence[int] | None = None

    def pairs(self) -> Iterator[tuple[int, int]]:
        if self.others is None:
            return combinations(self.numbers, 2)
        return product(self.numbers, self.others)

    def size(self) -> int:
        if self.others is None:
            return len(self.numbers) * (len(self.numbers) - 1) // 2
        return len(self.numbers) * len(self.others)


class _Expansion:
    """The closure of consistent answers, cut into blocks wherever a dispute goes through it.

    Taking a dispute's answers away splits the groups they hold together. Two numbers that a dispute
    separates are related only through it, so a group falls into cells: numbers that no dispute
    separates. Relations between two cells need, for each dispute, a dissimilar answer outside it.
    """

    def __init__(self, taken: Mapping[Pair, bool], disputes: Sequence[Set[Pair]]) -> None:
        self._taken = taken
        self._closure = Closure()
        for answered, similar in taken.items():
            self._closure.add(answered, similar)
        self._disputes = [dispute for dispute in disputes if dispute & taken.keys()]
        self._parts = [self._split(dispute) for dispute in self._disputes]
        self._of_group: dict[int, dict[int, None]] = {}  # disputes that go through a group
        for number, dispute in enumerate(self._disputes):
            for end in {end for each in dispute & taken.keys() for end in each}:
                self._of_group.setdefault(self._closure.root(end), {})[number] = None
        self._cells = {root: self._cells_of(root) for root in self._closure.roots()}

    def implied(self, *, proofs: bool) -> Iterator[KnownRelation]:
        """Every implied relation that is not withheld, each once."""
        prover = Prover(self._taken, self._closure, self._disputes) if proofs else None
        for block in self._blocks():
            prove = _proofs_of(block, prover) if prover else _no_proof
            for first, second in block.pairs():
                implied = pair(first, second)
                if implied not in self._taken:
                    proof = prove(first, second)
                    yield KnownRelation(implied, block.others is None, implied=True, proof=proof)

    def count_implied(self) -> int:
        """How many relations `implied` gives, in time that does not grow with them."""
        home, blocks = self._homes(), [*self._blocks()]
        related = {
            pair(block.numbers[0], block.others[0]) for block in blocks if block.others is not None
        }
        total = sum(block.size() for block in blocks)
        for (a, b), similar in self._taken.items():
            inside = home[a] == home[b] if similar else pair(home[a], home[b]) in related
            total -= inside
        return total

    def _homes(self) -> dict[int, int]:
        """The first number of the cell of each number."""
        return {n: cell[0] for cells in self._cells.values() for cell in cells for n in cell}

    def _blocks(self) -> Iterator[_Block]:
        for cells in self._cells.values():
            yield from (_Block(cell) for cell in cells if len(cell) > 1)
        links = self._disputed_links()
        for root, other in self._closure.cannot_links():
            needs = self._needs(root, other, links)
            for left, right in product(self._cells[root], self._cells[other]):
                here = left[0], right[0]
                if all(_ends(parts, here) in supported for parts, supported in needs):
                    yield _Block(left, right)

    def _cells_of(self, root: int) -> list[list[int]]:
        through = [dispute for dispute in self._of_group.get(root, {}) if self._parts[dispute]]
        cells: dict[tuple[int, ...], list[int]] = {}
        for number in self._closure.members(root):
            place = tuple(self._parts[dispute].get(number, 0) for dispute in through)
            cells.setdefault(place, []).append(number)
        return list(cells.values())

    def _disputed_links(self) -> dict[tuple[int, int], list[Pair]]:
        """The dissimilar answers between two groups of which one is in dispute."""
        links: dict[tuple[int, int], list[Pair]] = {}
        for answered, similar in self._taken.items():
            roots = self._closure.root(answered.a), self._closure.root(answered.b)
            if not similar and not self._of_group.keys().isdisjoint(roots):
                links.setdefault(roots, []).append(answered)
        return links

    def _needs(
        self, root: int, other: int, links: Mapping[tuple[int, int], Sequence[Pair]]
    ) -> list[tuple[Mapping[int, int], set[tuple[int, int]]]]:
        """For each dispute of two groups: its parts, and which two an answer outside it joins.

        Those that part nothing and leave an answer between the groups are none.
        """
        through = {**self._of_group.get(root, {}), **self._of_group.get(other, {})}
        forth, back = links.get((root, other), ()), links.get((other, root), ())
        needs: list[tuple[Mapping[int, int], set[tuple[int, int]]]] = []
        for dispute in through:
            parts, disputed = self._parts[dispute], self._disputes[dispute]
            if not parts and not all(each in disputed for each in (*forth, *back)):
                continue
            joined = {_ends(parts, each) for each in forth if each not in disputed}
            joined |= {_ends(parts, each[::-1]) for each in back if each not in disputed}
            needs.append((parts, joined))
        return needs

    def _split(self, dispute: Set[Pair]) -> dict[int, int]:
        """The parts cut off from groups without the dispute's similar answers, from 1 on.

        What is left of each group is 0, and nearly always all of it.
        """
        apart: dict[int, set[int]] = {}
        ends: dict[int, set[int]] = {}  # of a group's answers in the dispute
        for each in dispute:
            if self._taken.get(each, False):
                apart.setdefault(each.a, set()).add(each.b)
                apart.setdefault(each.b, set()).add(each.a)
                ends.setdefault(self._closure.root(each.a), set()).update(each)
        links = self._closure.links()

        def neighbours(number: int) -> Iterable[int]:
            return (n for n in links.similar_to(number) if n not in apart.get(number, ()))

        parts = [part for group in ends.values() for part in cut_off(group, neighbours)]
        return {number: place for place, part in enumerate(parts, start=1) for number in part}


def _ends(parts: Mapping[int, int], numbers: tuple[int, int]) -> tuple[int, int]:
    return parts.get(numbers[0], 0), parts.get(numbers[1], 0)


def _proofs_of(block: _Block, prover: Prover) -> Callable[[int, int], tuple[Pair, ...]]:
    if block.others is None:
        return prover.similar
    link = prover.best_link(block.numbers[0], block.others[0])
    return lambda first, second: prover.dissimilar(first, second, link)


def _no_proof(_: int, __: int) -> tuple[Pair, ...]:
    return ()
