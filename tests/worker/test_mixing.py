"""Checks and hidden repeats among a round's questions: everywhere, and in time."""

from itertools import count, groupby

import numpy as np
import pytest

from domain.pairs import pair
from domain.rounds import Proposal
from worker.mixing import mixed

NUMBERS = count(1)


def question(*, check: bool = False, chain: int | None = None, place: int = 0) -> Proposal:
    asked = pair(0, next(NUMBERS))
    return Proposal(asked, 0.0, "A test asks.", check=check, chain=chain, chain_position=place)


def chains(number: int, length: int) -> list[Proposal]:
    return [question(chain=each, place=at) for each in range(number) for at in range(length)]


def parts(proposals: list[Proposal]) -> list[list[Proposal]]:
    """Chains and single questions, in their order."""
    marked = enumerate(proposals)
    key = lambda each: (each[1].chain, None if each[1].chain is not None else each[0])  # noqa: E731
    return [[each for _, each in part] for _, part in groupby(marked, key=key)]


@pytest.mark.parametrize("seed", range(20))
def test_checks_are_spread_over_the_answers_of_a_round(seed: int) -> None:
    """Chains of 5 are reckoned to bring 3 answers: 10 of them make the target."""
    asked, checks = chains(50, 5), [question(check=True) for _ in range(5)]
    found = parts(mixed([*checks, *asked], seed, target=30))
    places = [place for place, part in enumerate(found) if part[0].check]
    before = np.array(places) - np.arange(5)  # chains before each
    assert before.max() <= 10
    for share in range(5):  # one in each fifth
        assert ((before >= share * 11 / 5 - 1) & (before <= (share + 1) * 11 / 5)).any()


@pytest.mark.parametrize("target", [None, 7])
def test_chains_stay_whole_and_in_order(target: int | None) -> None:
    asked = [*chains(4, 3), question(), question()]
    checks = [question(check=True) for _ in range(6)]
    found = mixed([*checks, *asked], 3, target=target)
    assert [each for each in found if not each.check] == asked
    assert {each.pair for each in found} == {each.pair for each in (*checks, *asked)}
    assert [len(part) for part in parts(found) if part[0].chain is not None] == [3] * 4


def test_without_a_target_checks_are_spread_over_everything() -> None:
    asked, checks = [question() for _ in range(100)], [question(check=True) for _ in range(4)]
    found = mixed([*asked, *checks], 1)
    places = [place for place, each in enumerate(found) if each.check]
    assert places[0] < 30
    assert places[-1] > 70


def test_no_question_and_no_check() -> None:
    assert mixed([], 1, target=30) == []
    alone = [question(check=True)]
    assert mixed(alone, 1, target=30) == alone
    assert mixed(chains(1, 2), 1) != []
