"""Options that hold several values, written with commas."""

from collections.abc import Callable
from typing import TypeVar

from domain.errors import InputError

Number = TypeVar("Number", int, float)


def numbers(option: str, text: str, kind: Callable[[str], Number]) -> tuple[Number, ...]:
    """The numbers of an option, written with commas."""
    try:
        return tuple(kind(each) for each in text.split(","))
    except ValueError as error:
        raise InputError(
            f"{option} {text!r}; must be numbers with commas.", "For instance 0,1,2."
        ) from error


def names(text: str) -> tuple[str, ...]:
    """What an option lists with commas."""
    return tuple(each.strip() for each in text.split(","))
