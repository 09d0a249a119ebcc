"""Archives whose kinds are known, and people who answer by them."""

from collections.abc import Callable, Iterable
from itertools import combinations

import numpy as np
import pytest

from annealing.components.evidence import Answers
from annealing.components.questions import Chain
from annealing.components.space import Space, space_of

KINDS, EACH = 6, 14


@pytest.fixture(scope="package")
def kinds() -> np.ndarray:
    return np.repeat(np.arange(KINDS), EACH)


@pytest.fixture(scope="package")
def space(kinds: np.ndarray) -> Space:
    """Kinds whose images overlap a little."""
    rng = np.random.default_rng(0)
    centre = rng.normal(size=(KINDS, 12))
    return space_of(centre[kinds] + 0.6 * rng.normal(size=(len(kinds), 12)))


@pytest.fixture(scope="package")
def answered(kinds: np.ndarray) -> Answers:
    """All pairs of the first three images of each kind."""
    rows = np.flatnonzero(np.arange(len(kinds)) % EACH < 3)
    return truth(list(combinations(rows.tolist(), 2)), kinds)


def truth(pairs: Iterable[tuple[int, int]], kinds: np.ndarray) -> Answers:
    pairs = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
    return Answers(pairs, kinds[pairs[:, 0]] == kinds[pairs[:, 1]])


def together(one: Answers, other: Answers) -> Answers:
    return Answers(
        np.concatenate([one.pairs, other.pairs]), np.concatenate([one.similar, other.similar])
    )


def asked(
    chains: Iterable[Chain], answer: Callable[[int, int], bool], count: int
) -> list[tuple[int, int, bool]]:
    """Pairs as one annotator is asked them: a chain ends at the first "similar"."""
    said: list[tuple[int, int, bool]] = []
    for chain in chains:
        for a, b in chain.pairs:
            if len(said) == count:
                return said
            said.append((a, b, answer(a, b)))
            if said[-1][2]:
                break
    return said


def answers_of(said: Iterable[tuple[int, int, bool]]) -> Answers:
    rows = list(said)
    pairs = np.array([row[:2] for row in rows], dtype=np.int64).reshape(-1, 2)
    return Answers(pairs, np.array([row[2] for row in rows], dtype=bool))


def no_answers() -> Answers:
    return answers_of([])
