"""Shortest paths from both ends, against breadth-first search from one."""

from collections import deque
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annealing.paths import shortest_path

NUMBERS = st.integers(0, 8)
STEPS = st.sets(st.tuples(NUMBERS, NUMBERS), max_size=30)


def distance(steps: set[tuple[int, int]], first: int, second: int) -> int | None:
    far = {first: 0}
    waiting = deque([first])
    while waiting:
        here = waiting.popleft()
        for start, end in steps:
            if start == here and end not in far:
                far[end] = far[here] + 1
                waiting.append(end)
    return far.get(second)


@given(STEPS, NUMBERS, NUMBERS)
def test_a_path_is_as_short_as_it_can_be_and_goes_along_the_steps(
    steps: set[tuple[int, int]], first: int, second: int
) -> None:
    if first == second:
        return
    expected = distance(steps, first, second)

    def ahead(number: int) -> list[int]:
        return sorted(end for start, end in steps if start == number)

    def behind(number: int) -> list[int]:
        return sorted(start for start, end in steps if end == number)

    if expected is None:
        with pytest.raises(LookupError, match=f"connects {first} and {second}"):
            shortest_path(first, second, ahead, behind)
        return
    path = shortest_path(first, second, ahead, behind)
    assert (path[0], path[-1], len(path) - 1) == (first, second, expected)
    assert all(step in steps for step in pairwise(path))


def test_neither_search_looks_at_all_numbers() -> None:
    looked_at: list[int] = []

    def neighbours(number: int) -> list[int]:
        looked_at.append(number)
        return [number * 10 + digit for digit in range(1, 10)] + [number // 10]

    assert len(shortest_path(1111, 9999, neighbours, neighbours)) == 9
    assert len(looked_at) < 3000  # from one end: millions
