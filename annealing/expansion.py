"""Known relations: what people answered and what follows from it, without what is in dispute.

While answers contradict each other, whatever can only be proven with one of the answers in dispute
is withheld from training; the direct answers in it stay at half weight. Works on any integers, row
numbers or image ids.

Source: ANNEAL, transitivity of pair labels; the withholding rule is ours.
"""

from collections.abc import Container, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import combinations, product

from annealing.forest import Forest
from annealing.transitivity import Closure, one_step
from domain.answers import KnownRelation, Propagation
from domain.pairs import Pair, pair

DISPUTED_WEIGHT = 0.5


def known_relations(
    labels: Mapping[Pair, bool],
    propagation: Propagation,
    *,
    within: Container[int] | None = None,
    proofs: bool = True,
) -> list[KnownRelation]:
    """Answered pairs and, by the given propagation, implied ones.

    Args:
        labels: answered pairs in the order in which they got their label, True for similar.
        propagation: off, the paper's one step, or the full closure.
        within: only pairs wholly inside are given or used in proofs; contradictions are found among
            all. None: everything.
        proofs: False leaves the proofs of implied relations empty, which is much quicker.

    Returns:
        Answered pairs first, in their order. Under the closure, the later of two contradicting
        answers is withheld; otherwise it stays at weight 0.5, as all other answers in a dispute do.
        An implied relation is withheld if some dispute has a part in each of its proofs.
    """
    taken, disputes = _taken(labels, propagation, within)
    direct = _direct(taken, disputes)
    if propagation is Propagation.CLOSURE:
        return [*direct, *_Expansion(taken, disputes).implied(proofs=proofs)]
    if propagation is Propagation.ONE_STEP:
        return [*direct, *_implied_in_one_step(taken, disputes, proofs=proofs)]
    return direct


def count_known(
    labels: Mapping[Pair, bool],
    propagation: Propagation,
    *,
    within: Container[int] | None = None,
) -> int:
    """How many relations `known_relations` gives, without making them."""
    taken, disputes = _taken(labels, propagation, within)
    if propagation is Propagation.CLOSURE:
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


def _implied_in_one_step(
    taken: Mapping[Pair, bool], disputes: Sequence[Set[Pair]], *, proofs: bool
) -> Iterator[KnownRelation]:
    found = one_step(taken)
    disputed = set[Pair]().union(*disputes)
    for implied, similar in found.relations.items():
        ways = found.proofs[implied]
        if any(all(dispute & set(way) for way in ways) for dispute in disputes):
            continue
        clean = [way for way in ways if not disputed & set(way)]
        proof = (clean or ways)[0] if proofs else ()
        yield KnownRelation(implied, similar, implied=True, proof=proof)


@dataclass(frozen=True)
class _Block:
    """Relations that hold for the same reason: inside one set, or between two.

    Attributes:
        others: the second set; None for similar relations inside `numbers`.
        witness: a dissimilar answer between the two groups, the end beside `numbers` first.
    """

    numbers: Sequence[int]
    others: Sequence[int] | None = None
    witness: tuple[int, int] = (0, 0)

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
        self._links: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for (a, b), similar in taken.items():
            if not similar:
                left, right = self._closure.root(a), self._closure.root(b)
                self._links.setdefault((left, right), []).append((a, b))
                self._links.setdefault((right, left), []).append((b, a))

    def implied(self, *, proofs: bool) -> Iterator[KnownRelation]:
        """Every implied relation that is not withheld, each once."""
        forest = self._forest() if proofs else None
        for block in self._blocks():
            similar = block.others is None
            for first, second in block.pairs():
                implied = pair(first, second)
                if implied not in self._taken:
                    proof = _proof(forest, block, first, second) if forest else ()
                    yield KnownRelation(implied, similar, implied=True, proof=proof)

    def count_implied(self) -> int:
        """How many relations `implied` gives."""
        if not self._disputes:
            return sum(block.size() for block in self._blocks()) - len(self._taken)
        return sum(pair(*q) not in self._taken for block in self._blocks() for q in block.pairs())

    def _blocks(self) -> Iterator[_Block]:
        cells = {root: self._cells(root) for root in self._closure.roots()}
        for root in cells:
            yield from (_Block(cell) for cell in cells[root] if len(cell) > 1)
        for root, other in self._closure.cannot_links():
            for left, right in product(cells[root], cells[other]):
                witness = self._witness((root, other), left[0], right[0])
                if witness is not None:
                    yield _Block(left, right, witness)

    def _cells(self, root: int) -> list[list[int]]:
        through = self._of_group.get(root, {})
        cells: dict[tuple[int, ...], list[int]] = {}
        for number in self._closure.members(root):
            place = tuple(self._parts[dispute].get(number, 0) for dispute in through)
            cells.setdefault(place, []).append(number)
        return list(cells.values())

    def _witness(self, groups: tuple[int, int], left: int, right: int) -> tuple[int, int] | None:
        """A dissimilar answer between two cells, named by a member each; None: withheld."""
        answers = self._links[groups]
        through = {**self._of_group.get(groups[0], {}), **self._of_group.get(groups[1], {})}
        fitting = [
            {each for each in answers if self._supports(dispute, each, left, right)}
            for dispute in through
        ]
        if not all(fitting):
            return None
        best = [each for each in answers if all(each in some for some in fitting)]
        return best[0] if best else next(each for each in answers if each in fitting[0])

    def _supports(self, dispute: int, answer: tuple[int, int], left: int, right: int) -> bool:
        """Whether a dissimilar answer relates two numbers without this dispute's help."""
        parts = self._parts[dispute]
        return (
            pair(*answer) not in self._disputes[dispute]
            and parts.get(answer[0], 0) == parts.get(left, 0)
            and parts.get(answer[1], 0) == parts.get(right, 0)
        )

    def _split(self, dispute: Set[Pair]) -> dict[int, int]:
        """The parts into which a group falls without the dispute's similar answers, from 1 on."""
        apart = {each for each in dispute if self._taken.get(each, False)}
        affected = {self._closure.root(each.a) for each in apart}
        rest = Closure()
        for root in affected:
            for number in self._closure.members(root):
                for other in self._closure.similar_to(number):
                    if number < other and Pair(number, other) not in apart:
                        rest.add(Pair(number, other), True)
        members = [number for root in affected for number in self._closure.members(root)]
        names: dict[int, int] = {}
        return {n: names.setdefault(rest.root(n), len(names) + 1) for n in members}

    def _forest(self) -> Forest:
        """Paths that go through a dispute only where nothing else connects."""
        disputed = set[Pair]().union(*self._disputes)
        similar = [answered for answered, said in self._taken.items() if said]
        return Forest(sorted(similar, key=lambda answered: answered in disputed))


def _proof(forest: Forest, block: _Block, first: int, second: int) -> tuple[Pair, ...]:
    if block.others is None:
        return forest.path(first, second)
    near, far = block.witness
    return (*forest.path(first, near), pair(near, far), *forest.path(far, second))
