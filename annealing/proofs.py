"""Answers that prove implied relations, taken from outside disputes where that is possible."""

from collections.abc import Mapping, Sequence, Set

from annealing.forest import Forest
from annealing.transitivity import Closure
from domain.pairs import Pair, pair


class Prover:
    """Proofs along a spanning forest that uses an answer in dispute only where nothing else joins.

    A proof is a path of similar answers; of a dissimilar relation two such paths, with one
    dissimilar answer between them. It is not always the shortest.
    """

    def __init__(
        self, taken: Mapping[Pair, bool], closure: Closure, disputes: Sequence[Set[Pair]]
    ) -> None:
        self._disputed = set[Pair]().union(*disputes)
        self._closure = closure
        similar = [answered for answered, said in taken.items() if said]
        self._forest = Forest(sorted(similar, key=lambda answered: answered in self._disputed))
        self._links: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for (a, b), said in taken.items():
            if not said:
                left, right = closure.root(a), closure.root(b)
                self._links.setdefault((left, right), []).append((a, b))
                self._links.setdefault((right, left), []).append((b, a))

    def similar(self, first: int, second: int) -> tuple[Pair, ...]:
        """The answers that make two numbers similar."""
        return self._forest.path(first, second)

    def dissimilar(self, first: int, second: int, link: tuple[int, int]) -> tuple[Pair, ...]:
        """The answers that make two numbers dissimilar by way of a link between their groups."""
        near, far = link
        return (*self.similar(first, near), pair(near, far), *self.similar(far, second))

    def best_link(self, first: int, second: int) -> tuple[int, int]:
        """The dissimilar answer that proves two numbers dissimilar with least dispute, shortest.

        Returns:
            Its two numbers, first the one in the group of `first`.
        """
        groups = self._closure.root(first), self._closure.root(second)

        def cost(link: tuple[int, int]) -> tuple[int, int]:
            proof = self.dissimilar(first, second, link)
            return len(self._disputed.intersection(proof)), len(proof)

        return min(self._links[groups], key=cost)


def reached(closure: Closure, number: int, most: int) -> tuple[set[int], set[int]]:
    """The numbers whose relation to one follows from at most so many answers.

    Returns:
        Those that are similar to it, itself included, and those that are dissimilar.
    """
    links = closure.links()
    alike, apart = {number}, set[int]()
    near, far = alike, apart
    for _ in range(most):
        across = {other for here in near for other in links.dissimilar_to(here)}
        far = across.union(*(links.similar_to(here) for here in far)) - apart
        near = set[int]().union(*(links.similar_to(here) for here in near)) - alike
        alike |= near
        apart |= far
    return alike, apart
