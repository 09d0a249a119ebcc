"""Unordered pairs of images: stored and compared as (a, b) with a < b."""

from typing import NamedTuple

from domain.errors import InputError


class Pair(NamedTuple):
    """Two different images, or two different rows, smaller first; made only by `pair`."""

    a: int
    b: int


def pair(first: int, second: int) -> Pair:
    """The canonical pair of two different numbers, whatever their order.

    Raises:
        InputError: both numbers are the same.
    """
    if first == second:
        raise InputError(
            f"A pair needs two different images; both are {first}.", "Choose another image."
        )
    return Pair(min(first, second), max(first, second))
