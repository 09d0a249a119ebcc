"""Rates of wrong answers against simulated people, and the length of proofs that follows."""

import numpy as np
import pytest

from annealing.reliability import (
    ASSUMED_REPEATS,
    MOST_DOUBT,
    MOST_RECKONED,
    error_bound_of_contradictions,
    error_of_repeats,
    longest_proof,
    reckoned_error,
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


@pytest.mark.parametrize("assumed", [0.0, 0.05, 0.2])
def test_what_is_assumed_holds_until_repeats_say_otherwise(assumed: float) -> None:
    assert reckoned_error(assumed, repeated=0, changed=0) == pytest.approx(assumed)
    shares = [reckoned_error(assumed, repeated=100, changed=count) for count in range(0, 50, 5)]
    assert shares == sorted(set(shares))
    many = reckoned_error(assumed, repeated=100_000, changed=9_500)
    assert many == pytest.approx(0.05, abs=0.001)


def test_an_assumption_counts_as_much_as_so_many_repeats_that_show_it() -> None:
    changed = ASSUMED_REPEATS * 2 * 0.05 * 0.95
    alone = error_of_repeats((0 + changed) / (ASSUMED_REPEATS + ASSUMED_REPEATS))
    found = reckoned_error(0.05, repeated=ASSUMED_REPEATS, changed=0)
    assert found == pytest.approx(alone)
    assert 0.02 < found < 0.03


def test_nobody_reckons_with_guessing() -> None:
    assert reckoned_error(0.05, repeated=100, changed=90) == MOST_RECKONED


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
