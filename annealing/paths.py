"""The shortest path between two numbers, searched from both ends at once.

From one end, a search in a large group of well connected numbers looks at most of them; two
searches that meet half-way look at few.
"""

from collections.abc import Callable, Iterable

Neighbours = Callable[[int], Iterable[int]]
_CameFrom = dict[int, int]


def shortest_path(first: int, second: int, ahead: Neighbours, behind: Neighbours) -> list[int]:
    """The numbers on a shortest path between two numbers, both included.

    Args:
        first, second: different numbers that a path connects.
        ahead: the next numbers after one, on the way from `first`.
        behind: the numbers before one, on the way to `second`.

    Returns:
        Of several shortest paths one that depends only on the order of the neighbours.

    Raises:
        LookupError: no path connects them.
    """
    came: _CameFrom = {first: first}
    went: _CameFrom = {second: second}
    here, there = [first], [second]
    while here and there:
        if len(here) <= len(there):
            here, meeting = _next_level(here, ahead, came, went)
        else:
            there, meeting = _next_level(there, behind, went, came)
        if meeting is not None:
            return [*_walk_back(came, meeting)[::-1], *_walk_back(went, meeting)[1:]]
    raise LookupError(f"No path connects {first} and {second}.")


def _next_level(
    level: list[int], neighbours: Neighbours, seen: _CameFrom, other: _CameFrom
) -> tuple[list[int], int | None]:
    """One step further on one side; where it meets the other, which is then nearest."""
    further: list[int] = []
    for number in level:
        for after in neighbours(number):
            if after not in seen:
                seen[after] = number
                if after in other:
                    return further, after
                further.append(after)
    return further, None


def _walk_back(came_from: _CameFrom, number: int) -> list[int]:
    path = [number]
    while came_from[path[-1]] != path[-1]:
        path.append(came_from[path[-1]])
    return path
