"""Chains: image 10 and others are compared with images 1, 2, 3 … one after the other."""

from dataclasses import replace

import pytest

from domain.answers import Kind
from domain.clock import later
from domain.members import Role
from domain.rounds import QueueStatus
from labeling_store import answers, members
from tests.labeling_store.building import (
    NOW,
    answer,
    ask_in_chains,
    chain_of,
    claim,
    four_chains,
    pairs_of,
    said,
    single,
    status,
    take_back,
)

NO, YES, UNSURE, SKIP = Kind.DISSIMILAR, Kind.SIMILAR, Kind.UNSURE, Kind.SKIP


@pytest.fixture
def lead(store):
    with store.transaction() as db:
        return members.ensure_member(db, "lead", Role.LEAD)


def test_of_a_chain_only_the_first_question_is_asked(store, ann, bob):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2, 3]))
    assert pairs_of(claim(store, ann, round_id)) == [(1, 10)]
    assert claim(store, bob, round_id) == []


def test_claims_of_several_come_from_different_chains(store, ann, bob):
    round_id = ask_in_chains(store, four_chains())
    assert pairs_of(claim(store, ann, round_id, count=3)) == [(1, 10), (1, 11), (1, 12)]
    assert pairs_of(claim(store, bob, round_id, count=3)) == [(1, 13)]


@pytest.mark.parametrize("kind", [NO, UNSURE])
def test_the_next_question_opens_at_the_answer_that_is_not_similar(store, ann, bob, kind):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2, 3]))
    claim(store, ann, round_id)
    answer(store, ann, 10, 1, kind)
    assert pairs_of(claim(store, bob, round_id)) == [(2, 10)]
    assert claim(store, ann, round_id) == []


@pytest.mark.parametrize("kind", [YES, SKIP])
def test_similar_and_skip_end_a_chain(store, ann, kind):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2, 3]))
    answer(store, ann, 10, 1, kind)
    assert claim(store, ann, round_id) == []
    assert status(store, round_id) == QueueStatus(open=0, leased=0, answered=1, target=1)


def test_a_follow_up_comes_at_the_place_of_its_chain(store, ann):
    first, second = chain_of(0, 10, [1, 2]), chain_of(1, 11, [1, 2])
    # Also where chains are handed over one question of each at a time.
    proposals = [first[0], second[0], *single(20, 21), first[1], second[1]]
    round_id = ask_in_chains(store, proposals)
    claim(store, ann, round_id, count=1)
    answer(store, ann, 10, 1)
    assert pairs_of(claim(store, ann, round_id)) == [(2, 10), (1, 11), (20, 21)]


def test_an_expired_lease_frees_the_chain(store, ann, bob):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2]))
    claim(store, ann, round_id)
    assert claim(store, bob, round_id, now=later(NOW, 59)) == []
    assert pairs_of(claim(store, bob, round_id, now=later(NOW, 61))) == [(1, 10)]


def test_a_late_answer_after_the_lease_moves_the_chain_on(store, ann, bob):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2]))
    claim(store, ann, round_id)
    answer(store, ann, 10, 1, now=later(NOW, 100))
    assert pairs_of(claim(store, bob, round_id, now=later(NOW, 101))) == [(2, 10)]


def test_a_question_answered_elsewhere_moves_the_chain_on_though_somebody_holds_it(store, ann, bob):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2]))
    claim(store, ann, round_id)
    answer(store, bob, 10, 1, proposal=False)
    assert pairs_of(claim(store, bob, round_id)) == [(2, 10)]


# --- what answers to other pairs imply ---


def imply(store, member, image, other, kind):
    """By two answers about image 20."""
    answer(store, member, other, 20, YES)
    answer(store, member, image, 20, kind)


@pytest.mark.parametrize("kind", [NO, YES])
def test_what_answers_imply_is_asked_all_the_same(store, ann, kind):
    round_id = ask_in_chains(store, [*chain_of(0, 10, [1, 2, 3]), *single(10, 4)])
    imply(store, ann, 10, 1, kind)
    answer(store, ann, 4, 20, YES)
    assert pairs_of(claim(store, ann, round_id)) == [(1, 10), (4, 10)]


def test_what_answers_imply_is_passed_over_where_that_is_wanted(store, ann):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2, 3], unless_implied=True))
    imply(store, ann, 10, 1, NO)
    assert pairs_of(claim(store, ann, round_id)) == [(2, 10)]


def test_a_chain_ends_where_a_later_question_of_it_is_implied_similar(store, ann):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2, 3], unless_implied=True))
    imply(store, ann, 10, 3, YES)
    assert claim(store, ann, round_id) == []
    assert status(store, round_id).total == 0


def test_each_question_of_a_chain_has_its_own_wish(store, ann):
    first, second, third = chain_of(0, 10, [1, 2, 3])
    second = replace(second, unless_implied=True)
    round_id = ask_in_chains(store, [first, second, third])
    answer(store, ann, 1, 2, YES)
    answer(store, ann, 2, 3, YES)
    answer(store, ann, 10, 3, NO, proposal=False)  # all three are implied, the last is said
    assert pairs_of(claim(store, ann, round_id)) == [(1, 10)]
    answer(store, ann, 10, 1, UNSURE)
    assert claim(store, ann, round_id) == []


@pytest.mark.parametrize("kind", [NO, YES])
def test_single_questions_are_passed_over_too(store, ann, bob, kind):
    round_id = ask_in_chains(store, single(10, 1, unless_implied=True) + single(11, 2))
    assert status(store, round_id) == QueueStatus(open=2, leased=0, answered=0, target=2)
    imply(store, ann, 10, 1, kind)
    assert status(store, round_id) == QueueStatus(open=1, leased=0, answered=0, target=1)
    assert pairs_of(claim(store, bob, round_id)) == [(2, 11)]
    take_back(store, ann, f"10-20-{kind.value}")
    assert pairs_of(claim(store, ann, round_id)) == [(1, 10)]


def test_single_questions_that_may_be_passed_over_do_not_wait_for_each_other(store, ann):
    asked = [each for image in (10, 11) for each in single(image, 1, unless_implied=True)]
    round_id = ask_in_chains(store, [*asked, *chain_of(0, 12, [1, 2])])
    assert pairs_of(claim(store, ann, round_id)) == [(1, 10), (1, 11), (1, 12)]


@pytest.mark.parametrize("kind", [YES, NO, SKIP, UNSURE])
def test_single_questions_that_may_be_passed_over_are_answered_once(store, ann, bob, kind):
    round_id = ask_in_chains(store, single(10, 1, unless_implied=True))
    answer(store, ann, 10, 1, kind)
    assert claim(store, bob, round_id) == []
    assert status(store, round_id) == QueueStatus(open=0, leased=0, answered=1, target=1)


# --- taking back ---


def test_taking_back_a_no_asks_that_question_again_before_the_follow_up(store, ann, bob):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2, 3]))
    answer(store, ann, 10, 1, key="no")
    take_back(store, ann, "no")
    assert claim(store, bob, round_id) == []  # ann has it before her
    assert pairs_of(claim(store, ann, round_id)) == [(1, 10)]
    answer(store, ann, 10, 1, key="again")
    assert pairs_of(claim(store, bob, round_id)) == [(2, 10)]


def test_an_answer_to_a_follow_up_counts_though_the_question_before_was_taken_back(
    store, ann, bob, lead
):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2, 3]))
    answer(store, ann, 10, 1, key="no")
    claim(store, bob, round_id)
    take_back(store, lead, "no")
    assert claim(store, ann, round_id) == []  # bob has a question of the chain before him
    answer(store, bob, 10, 2)
    assert pairs_of(claim(store, ann, round_id)) == [(1, 10)]
    answer(store, ann, 10, 1, key="again")
    assert pairs_of(claim(store, ann, round_id)) == [(3, 10)]


def test_a_follow_up_that_waits_again_is_not_given_back_after_a_reload(store, ann):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2, 3]))
    answer(store, ann, 10, 1, key="no")
    assert pairs_of(claim(store, ann, round_id)) == [(2, 10)]
    take_back(store, ann, "no")
    assert pairs_of(claim(store, ann, round_id, held=())) == [(1, 10)]


def test_taking_back_a_yes_lets_the_chain_go_on(store, ann):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2]))
    answer(store, ann, 10, 1, YES, key="yes")
    take_back(store, ann, "yes")
    assert pairs_of(claim(store, ann, round_id)) == [(1, 10)]
    answer(store, ann, 10, 1)
    assert pairs_of(claim(store, ann, round_id)) == [(2, 10)]


def test_taking_back_what_implied_a_yes_lets_the_chain_go_on(store, ann):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2], unless_implied=True))
    answer(store, ann, 2, 20, YES)
    answer(store, ann, 10, 20, YES, key="yes")
    assert claim(store, ann, round_id) == []
    take_back(store, ann, "yes")
    assert pairs_of(claim(store, ann, round_id)) == [(1, 10)]


def test_a_changed_mind_moves_the_chain_on(store, ann):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2]))
    answer(store, ann, 10, 1, YES)
    answer(store, ann, 10, 1, NO)
    assert pairs_of(claim(store, ann, round_id)) == [(2, 10)]


# --- disagreement ---


def want_two(store):
    with store.transaction() as db:
        db.execute("UPDATE proposal SET overlap = 2")


def test_where_two_are_to_answer_the_chain_does_not_wait_for_the_second(store, ann, bob, lead):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2]))
    want_two(store)
    assert pairs_of(claim(store, ann, round_id)) == pairs_of(claim(store, bob, round_id))
    answer(store, ann, 10, 1, key="ann")
    assert pairs_of(claim(store, ann, round_id)) == [(2, 10)]
    assert pairs_of(claim(store, lead, round_id)) == [(2, 10)]
    answer(store, bob, 10, 1, UNSURE, key="bob")
    assert status(store, round_id).answered == 2


def test_a_second_opinion_is_asked_for_after_the_chain_has_ended(store, ann, bob):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2]))
    want_two(store)
    answer(store, ann, 10, 1, YES)
    assert claim(store, ann, round_id) == []
    assert pairs_of(claim(store, bob, round_id)) == [(1, 10)]


def test_a_tie_waits_for_the_lead(store, ann, bob, lead):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2]))
    want_two(store)
    answer(store, ann, 10, 1, YES)
    answer(store, bob, 10, 1, NO)
    assert claim(store, ann, round_id) == []
    verdict = said("verdict", 1, 10, Kind.RESOLUTION, similar=False)
    answers.record_answers(store, lead, [verdict], now=NOW)
    assert pairs_of(claim(store, ann, round_id)) == [(2, 10)]


@pytest.mark.parametrize(("unless_implied", "then"), [(True, []), (False, [(2, 10)])])
def test_a_no_that_others_contradict_ends_a_chain_that_heeds_them(
    store, ann, bob, unless_implied, then
):
    chain = chain_of(0, 10, [1, 2], unless_implied=unless_implied)
    round_id = ask_in_chains(store, chain)
    imply(store, bob, 10, 1, YES)
    answer(store, ann, 10, 1, NO)
    assert pairs_of(claim(store, ann, round_id)) == then


@pytest.mark.parametrize("unless_implied", [True, False])
def test_a_yes_ends_the_chain_though_others_contradict_it(store, ann, bob, unless_implied):
    chain = chain_of(0, 10, [1, 2], unless_implied=unless_implied)
    round_id = ask_in_chains(store, chain)
    imply(store, bob, 10, 1, NO)
    answer(store, ann, 10, 1, YES)
    assert claim(store, ann, round_id) == []


@pytest.mark.parametrize("unless_implied", [True, False])
def test_the_leads_word_on_an_answered_question_counts(store, ann, lead, unless_implied):
    chain = chain_of(0, 10, [1, 2], unless_implied=unless_implied)
    round_id = ask_in_chains(store, chain)
    answer(store, ann, 10, 1, YES)
    verdict = said("verdict", 1, 10, Kind.RESOLUTION, similar=False)
    answers.record_answers(store, lead, [verdict], now=NOW)
    assert pairs_of(claim(store, ann, round_id)) == [(2, 10)]
