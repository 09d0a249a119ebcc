"""Rates of wrong answers against simulated people, and the length of proofs that follows."""

import numpy as np
import pytest

from annealing.reliability import (
    MOST_DOUBT,
    error_bound_of_contradictions,
    error_of_repeats,
    longest_proof,
)
from domain.errors import InputError


@pytest.mark.parametrize("error", [0.0, 0.01, 0.05, 0.2, 0.5])
def test_repeats_of_people_who_err_at_random_give_their_error(error: float) -> None:
    rng = np.random.default_rng(0)
    wrong = rng.random((2, 400_000)) < error
    assert error_of_repeats(float(np.mean(wrong[0] != wrong[1]))) == pytest.approx(error, abs=0.03)
    assert error_of_repeats(2 * error * (1 - error)) == pytest.approx(error)


def test_more_than_half_changed_is_guessing() -> None:
    assert error_of_repeats(0.8) == 0.5


@pytest.mark.parametrize("answers", [3, 4, 7])
def test_contradictions_bound_the_error_and_meet_it_for_the_shortest_circles(answers: int) -> None:
    error = 0.04
    rng = np.random.default_rng(1)
    contradicted = float(np.mean((rng.random((200_000, answers)) < error).any(axis=1)))
    bound = error_bound_of_contradictions(contradicted)
    assert bound >= error - 0.001
    if answers == 3:
        assert bound == pytest.approx(error, abs=0.001)


@pytest.mark.parametrize("error", [0.001, 0.01, 0.02, 0.03, 0.04])
def test_the_longest_proof_is_the_last_that_is_sure_enough(error: float) -> None:
    most = longest_proof(error)
    assert most is not None
    assert 1 - (1 - error) ** most <= MOST_DOUBT
    assert 1 - (1 - error) ** (most + 1) > MOST_DOUBT


def test_the_shortest_limit_is_the_single_step() -> None:
    assert [longest_proof(error) for error in (0.1, 0.15, 0.3, 0.5, 1.0)] == [2] * 5
    assert longest_proof(0.0) is None


@pytest.mark.parametrize("check", [error_of_repeats, error_bound_of_contradictions, longest_proof])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_what_is_no_share_is_refused(check, value) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match="from 0 to 1"):
        check(value)
