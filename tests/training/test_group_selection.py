"""How much of the frozen features is kept: decided by whether answered images are found."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from annealing.components.beliefs import Beliefs, beliefs
from annealing.components.evidence import Answers
from annealing.components.likeness import group_likeness, matrix_root
from annealing.components.space import Space, principal_rows
from training.group_selection import LENGTHS, _weights, frozen_length

KINDS, EACH = 5, 12
LEAST = 0.3


def found_in(vectors: np.ndarray, kinds: np.ndarray) -> tuple[Space, Beliefs]:
    space = Space.of_unit(principal_rows(vectors))
    rows = np.arange(len(kinds))[::2]
    pairs = np.array(list(combinations(rows.tolist(), 2)))
    answers = Answers(pairs, kinds[pairs[:, 0]] == kinds[pairs[:, 1]])
    return space, beliefs(space, answers, error=0.0)


def length_for(vectors: np.ndarray, kinds: np.ndarray, least: float = LEAST) -> float | None:
    space, found = found_in(vectors, kinds)
    return frozen_length(space, found, matrix_root(group_likeness(space, found)), least=least)


@pytest.fixture
def kinds() -> np.ndarray:
    return np.repeat(np.arange(KINDS), EACH)


def test_groups_that_are_guessed_wrong_leave_the_frozen_features(kinds: np.ndarray) -> None:
    looks = np.random.default_rng(0).normal(size=(len(kinds), 30))
    looks[:, :KINDS] += 3 * np.eye(KINDS)[kinds]
    space, found = found_in(looks, kinds)
    guesses = np.random.default_rng(1).permutation(found.by_looks)
    misled = replace(found, by_looks=guesses)
    likeness = matrix_root(group_likeness(space, found))
    assert frozen_length(space, found, likeness, least=LEAST) is not None
    assert frozen_length(space, misled, likeness, least=LEAST) is None


def test_groups_that_looks_tell_by_a_weak_sign_are_learnt(kinds: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    looks = rng.normal(size=(len(kinds), 30))
    looks[:, :KINDS] += 3 * np.eye(KINDS)[kinds]
    length = length_for(looks, kinds)
    assert length is not None
    assert LEAST <= length < LENGTHS[-1]


def test_the_more_images_were_answered_the_less_counts_what_finds_them_worse() -> None:
    quality = np.array([[0.5, 0.5, 0.75, 0.25], [1.0, 0.5, 0.75, 0.75]])
    few, many = _weights(quality)[0], _weights(np.tile(quality, 4))[0]
    assert 0 < many < few < 1


def test_a_length_is_weighted_by_how_far_its_images_are_found_worse() -> None:
    """Against the likelihood of a normal distribution, by hand."""
    best, worse = np.array([1.0, 0.5, 0.75, 0.75]), np.array([0.5, 0.5, 0.75, 0.25])
    behind = best - worse
    expected = np.exp(-0.5 * (behind.mean() / (behind.std() / 2)) ** 2)
    np.testing.assert_allclose(_weights(np.stack([worse, best])), [expected, 1])
    np.testing.assert_allclose(_weights(np.stack([best, best])), [1, 1])


def test_it_never_goes_below_the_least(kinds: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    looks = rng.normal(size=(len(kinds), 30))
    looks[:, :KINDS] += 3 * np.eye(KINDS)[kinds]
    length = length_for(looks, kinds, least=1.5)
    assert length is None or length >= 1.5


def test_without_a_group_of_two_there_is_nothing_to_decide_by() -> None:
    looks = np.random.default_rng(0).normal(size=(12, 6))
    assert length_for(looks, np.arange(12), least=1.2) == 1.2
