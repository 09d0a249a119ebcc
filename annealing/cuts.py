"""Which numbers are cut off when some of a graph's edges are taken away."""

from collections import deque
from collections.abc import Iterable

from annealing.paths import Neighbours


class _Walk:
    """What was reached from one of the ends, and what of it is still to be walked on from."""

    def __init__(self, end: int) -> None:
        self.reached = [end]
        self.ahead = deque([end])


def cut_off(ends: Iterable[int], neighbours: Neighbours) -> list[list[int]]:
    """The parts in which the ends lie, without the one that takes longest to walk through.

    From all ends numbers are visited in turn, until a single walk goes on: most of a large graph is
    never looked at.

    Args:
        ends: the numbers at the edges that were taken away.
        neighbours: the numbers beside one that are left, in both directions alike.

    Returns:
        Each number of these parts once; nothing where the ends are still connected.
    """
    walk_of = {end: _Walk(end) for end in ends}
    going, parts = deque(walk_of.values()), list[list[int]]()
    while len(going) > 1:
        walk = going.popleft()
        if not walk.ahead:
            parts.append(walk.reached)
            continue
        for number in neighbours(walk.ahead.popleft()):
            met = walk_of.get(number)
            if met is None:
                walk_of[number] = walk
                walk.reached.append(number)
                walk.ahead.append(number)
            elif met is not walk:
                going.remove(met)
                small, walk = sorted((walk, met), key=lambda each: len(each.reached))
                walk_of.update(dict.fromkeys(small.reached, walk))
                walk.reached += small.reached
                walk.ahead += small.ahead
        going.append(walk)
    return parts
