"""A spanning forest of answered pairs: one path of answers between any two similar numbers."""

from collections import deque
from collections.abc import Iterable
from itertools import pairwise

from domain.pairs import Pair, pair


class Forest:
    """Paths along answers, found in time proportional to their length.

    Built from answers in order of preference: a path uses a later answer only where the earlier
    ones do not connect.
    """

    def __init__(self, answers: Iterable[Pair]) -> None:
        branches = _spanning(answers)
        self._parent: dict[int, int] = {}
        self._depth: dict[int, int] = {}
        for number in branches:
            if number not in self._parent:
                self._grow(number, branches)

    def path(self, first: int, second: int) -> tuple[Pair, ...]:
        """The answers between two numbers of one tree, in order; empty if they are the same."""
        ahead, behind = [first], [second]
        while ahead[-1] != behind[-1]:
            deeper = ahead if self._deep(ahead[-1]) >= self._deep(behind[-1]) else behind
            deeper.append(self._parent[deeper[-1]])
        steps = [*ahead, *behind[-2::-1]]
        return tuple(pair(a, b) for a, b in pairwise(steps))

    def _deep(self, number: int) -> int:
        return self._depth.get(number, 0)

    def _grow(self, root: int, branches: dict[int, list[int]]) -> None:
        self._parent[root], self._depth[root] = root, 0
        waiting = deque([root])
        while waiting:
            here = waiting.popleft()
            for other in branches[here]:
                if other not in self._parent:
                    self._parent[other], self._depth[other] = here, self._depth[here] + 1
                    waiting.append(other)


def _spanning(answers: Iterable[Pair]) -> dict[int, list[int]]:
    """The answers that connect what was not connected before them, as neighbours."""
    root: dict[int, int] = {}
    branches: dict[int, list[int]] = {}
    for a, b in answers:
        left, right = _find(root, a), _find(root, b)
        if left != right:
            root[left] = right
            branches.setdefault(a, []).append(b)
            branches.setdefault(b, []).append(a)
    return branches


def _find(root: dict[int, int], number: int) -> int:
    while (above := root.setdefault(number, number)) != number:
        root[number] = number = root.setdefault(above, above)
    return number
