"""Chains in rounds: new questions in the place of old ones, counts, several processes."""

import subprocess
import sys

import pytest

from domain.answers import Kind
from domain.clock import later
from domain.rounds import QueueStatus
from labeling_store import answers, queue
from labeling_store.chains import open_chains, release_settled
from labeling_store.ledger import Ledger
from tests.labeling_store.building import (
    NOW,
    answer,
    ask_in_chains,
    ask_instead,
    chain_of,
    claim,
    four_chains,
    pairs_of,
    said,
    single,
    status,
    take_back,
)

NO, YES = Kind.DISSIMILAR, Kind.SIMILAR
CLAIMER = """
import sys
from pathlib import Path
from domain.answers import Kind, NewAnswer
from domain.members import Role
from labeling_store import answers, members, queue
from labeling_store.db import Store
store = Store.open(Path(sys.argv[1]))
with store.transaction() as db:
    me = members.ensure_member(db, sys.argv[2], Role.ANNOTATOR)
print("ready", flush=True)
sys.stdin.readline()
while got := queue.claim(store, me.member_id, 1, count=3, now=sys.argv[3], lease_s=60):
    for each in got:
        key = f"{sys.argv[2]} {each.proposal_id}"
        no = NewAnswer(key, Kind.DISSIMILAR, each.pair, proposal_id=each.proposal_id)
        answers.record_answers(store, me, [no], now=sys.argv[3])
"""
# Notes, at every new lease, how many the chain of its question has.
WATCH = """
    CREATE TRIGGER watch AFTER INSERT ON lease BEGIN
        INSERT INTO seen SELECT count(*) FROM lease JOIN proposal AS p USING (proposal_id)
        WHERE p.chain = (SELECT chain FROM proposal WHERE proposal_id = new.proposal_id);
    END
"""


def test_new_questions_replace_waiting_follow_ups_of_a_held_one(store, ann):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2]) + chain_of(1, 11, [1, 2]))
    claim(store, ann, round_id, count=1)
    ask_instead(store, round_id, [])
    assert status(store, round_id) == QueueStatus(open=0, leased=1, answered=0, target=1)
    answer(store, ann, 10, 1)
    assert claim(store, ann, round_id) == []


def test_a_new_chain_waits_for_a_held_question_that_is_part_of_it(store, ann, bob):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2]))
    claim(store, ann, round_id)
    ask_instead(store, round_id, chain_of(0, 10, [3, 1, 4]))
    assert claim(store, bob, round_id) == []
    answer(store, ann, 10, 1)
    assert pairs_of(claim(store, bob, round_id)) == [(3, 10)]
    answer(store, bob, 10, 3)
    assert pairs_of(claim(store, bob, round_id)) == [(4, 10)]


def test_withdrawn_questions_may_come_back_in_other_chains(store, ann):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2]) + chain_of(1, 11, [1, 2]))
    ask_instead(store, round_id, chain_of(0, 1, [10, 11]))
    assert pairs_of(claim(store, ann, round_id)) == [(1, 10)]
    answer(store, ann, 10, 1)
    assert pairs_of(claim(store, ann, round_id)) == [(1, 11)]


def test_a_new_chain_knows_a_yes_that_came_while_it_was_chosen(store, ann):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2]))
    answer(store, ann, 10, 1, YES)
    ask_instead(store, round_id, chain_of(0, 10, [1, 3]))
    assert claim(store, ann, round_id) == []


def test_a_chain_of_the_next_round_waits_for_who_still_has_its_pair_before_them(store, ann, bob):
    first = ask_in_chains(store, chain_of(0, 10, [1, 2]))
    claim(store, ann, first)
    ask_instead(store, first, [])
    second = ask_in_chains(store, chain_of(0, 10, [1, 3]), number=2)
    assert claim(store, bob, second) == []
    assert status(store, second) == QueueStatus(open=0, leased=1, answered=0, target=2)
    answers.record_answers(store, ann, [said("k", 1, 10, NO, proposal_id=1)], now=NOW)
    assert pairs_of(claim(store, bob, second)) == [(3, 10)]
    assert status(store, second).answered == 1


def test_a_chain_of_the_next_round_knows_what_was_answered_while_it_was_chosen(store, ann):
    first = ask_in_chains(store, chain_of(0, 10, [1, 2]) + chain_of(1, 11, [1]))
    answer(store, ann, 10, 1, NO)
    answer(store, ann, 11, 1, YES)
    ask_instead(store, first, [])
    again = chain_of(0, 10, [1, 3]) + chain_of(1, 11, [2, 1])
    second = ask_in_chains(store, again, number=2)
    assert pairs_of(claim(store, ann, second)) == [(3, 10)]


@pytest.mark.parametrize(("before", "after"), [(True, False), (False, True)])
def test_a_question_that_joins_a_new_chain_takes_its_wish(store, ann, bob, before, after):
    round_id = ask_in_chains(store, chain_of(0, 10, [1], unless_implied=before))
    claim(store, ann, round_id)
    ask_instead(store, round_id, chain_of(0, 10, [1, 2], unless_implied=after))
    answer(store, bob, 1, 20, YES)
    answer(store, bob, 10, 20, NO)
    later_on = later(NOW, 61)
    expected = [(2, 10)] if after else [(1, 10)]
    assert pairs_of(claim(store, bob, round_id, now=later_on)) == expected


def test_withdrawn_questions_come_back_with_another_wish(store, ann):
    round_id = ask_in_chains(store, single(10, 1, unless_implied=True) + single(11, 1))
    ask_instead(store, round_id, single(10, 1) + single(11, 1, unless_implied=True))
    answer(store, ann, 1, 20, YES)
    answer(store, ann, 10, 20, NO)
    answer(store, ann, 11, 20, NO)
    assert pairs_of(claim(store, ann, round_id)) == [(1, 10)]


def test_single_questions_that_the_round_has_are_left_as_they_are(store, ann):
    round_id = ask_in_chains(store, single(10, 1) + single(12, 13))
    with store.transaction() as db:
        again = single(10, 1, unless_implied=True) + single(11, 1, unless_implied=True)
        assert queue.add_proposals(db, round_id, again) == 1
    assert pairs_of(claim(store, ann, round_id)) == [(1, 10), (12, 13), (1, 11)]
    answer(store, ann, 1, 20, YES)
    answer(store, ann, 10, 20, NO)
    assert status(store, round_id) == QueueStatus(open=0, leased=3, answered=0, target=3)


def test_chains_handed_over_later_are_others(store, ann):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2]))
    with store.transaction() as db:
        assert queue.add_proposals(db, round_id, chain_of(0, 11, [1, 2])) == 2
    assert pairs_of(claim(store, ann, round_id)) == [(1, 10), (1, 11)]


# --- questions that are on screens ---


def let_go(store, member, round_id, held):
    return release_settled(store, member.member_id, round_id, held)


def test_what_others_answered_meanwhile_need_not_be_answered(store, ann, bob):
    round_id = ask_in_chains(store, four_chains(unless_implied=True))
    held = [each.proposal_id for each in claim(store, ann, round_id, count=4)]
    assert let_go(store, ann, round_id, held) == []
    answer(store, bob, 1, 20, YES)
    answer(store, bob, 10, 20, NO)  # (1, 10) is implied: not similar
    answer(store, bob, 11, 2, YES, proposal=False)  # the chain of image 11 has ended
    assert let_go(store, ann, round_id, held) == held[:2]
    assert status(store, round_id) == QueueStatus(open=1, leased=2, answered=1, target=9)
    assert pairs_of(claim(store, bob, round_id)) == [(2, 10)]


def test_what_is_asked_though_implied_is_let_go_only_where_its_chain_ends(store, ann, bob):
    round_id = ask_in_chains(store, four_chains())
    held = [each.proposal_id for each in claim(store, ann, round_id, count=4)]
    answer(store, bob, 1, 20, YES)
    answer(store, bob, 10, 20, NO)
    answer(store, bob, 11, 2, YES, proposal=False)
    assert let_go(store, ann, round_id, held) == [held[1]]


def test_single_questions_are_let_go_where_they_are_implied_if_they_want_it(store, ann, bob):
    round_id = ask_in_chains(store, single(10, 1) + single(11, 1, unless_implied=True))
    held = [each.proposal_id for each in claim(store, ann, round_id)]
    answer(store, bob, 1, 20, YES)
    answer(store, bob, 10, 20, NO)
    answer(store, bob, 11, 20, NO)
    assert let_go(store, ann, round_id, held) == [held[1]]


def test_single_questions_and_answered_ones_are_never_let_go(store, ann, bob):
    chain = chain_of(0, 10, [1, 2], unless_implied=True)
    round_id = ask_in_chains(store, [*single(1, 21), *chain])
    held = [each.proposal_id for each in claim(store, ann, round_id)]
    answer(store, ann, 10, 1, NO)
    answer(store, bob, 1, 20, YES)
    answer(store, bob, 21, 20, NO)
    assert let_go(store, ann, round_id, held) == []


def test_a_follow_up_on_a_screen_is_kept_while_the_question_before_waits_again(store, ann, bob):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2]))
    answer(store, ann, 10, 1, key="no")
    (held,) = claim(store, bob, round_id)
    take_back(store, ann, "no")
    assert let_go(store, bob, round_id, [held.proposal_id]) == []


# --- counts ---


def test_status_counts_one_question_of_each_chain(store, ann):
    chains = chain_of(0, 10, [1, 2, 3]) + chain_of(1, 11, [1, 2, 3])
    round_id = ask_in_chains(store, chains + single(20, 21), target=5)
    assert status(store, round_id) == QueueStatus(open=3, leased=0, answered=0, target=5)
    claim(store, ann, round_id, count=1)
    assert status(store, round_id) == QueueStatus(open=2, leased=1, answered=0, target=5)
    answer(store, ann, 10, 1)
    assert status(store, round_id) == QueueStatus(open=3, leased=0, answered=1, target=5)
    answer(store, ann, 10, 2, YES)
    assert status(store, round_id) == QueueStatus(open=2, leased=0, answered=2, target=5)


def test_a_round_whose_chains_end_early_wants_no_more_than_it_can_get(store, ann):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2, 3]), target=3)
    assert status(store, round_id).target == 3
    answer(store, ann, 10, 1, NO)
    assert status(store, round_id).target == 3
    answer(store, ann, 10, 2, YES)
    assert status(store, round_id) == QueueStatus(open=0, leased=0, answered=2, target=2)


def test_answers_of_chains_reach_the_target_before_the_chains_end(store, ann):
    round_id = ask_in_chains(store, four_chains(), target=2)
    answer(store, ann, 10, 1)
    answer(store, ann, 10, 2)
    assert status(store, round_id) == QueueStatus(open=4, leased=0, answered=2, target=2)


# --- several processes ---


def test_processes_at_once_never_hold_two_questions_of_a_chain(store):
    """Each answers "dissimilar" to all it gets: every question is asked once, in its order."""
    images = range(10, 22)
    ask_in_chains(store, [q for n, x in enumerate(images) for q in chain_of(n, x, [1, 2, 3, 4])])
    with store.transaction() as db:
        db.execute("CREATE TABLE seen (held)")
        db.execute(WATCH)
    command = [sys.executable, "-c", CLAIMER, str(store.path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen([*command, f"m{n}", NOW], **pipes) for n in range(2)]
    assert [process.stdout.readline() for process in started] == ["ready\n"] * 2
    for process in started:
        process.communicate("go\n", timeout=60)
    assert [process.returncode for process in started] == [0, 0]
    assert tuple(store.reader().execute("SELECT max(held), count(*) FROM seen").fetchone()) == (
        1,
        48,
    )
    log = list(answers.events(store.reader()))
    assert {x: [e.pair.a for e in log if e.pair.b == x] for x in images} == {
        x: [1, 2, 3, 4] for x in images
    }


def test_whose_turn_it_is_follows_from_the_newest_answers(store, ann):
    """Also where another process stored one just before this one's turn to write."""
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2], unless_implied=True))
    answer(store, ann, 10, 20, YES)
    answer(store, ann, 1, 20, YES)
    assert [*open_chains(store.reader(), Ledger(), round_id)] == []


def test_a_store_opened_later_knows_what_answers_imply(store, ann):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2], unless_implied=True))
    answer(store, ann, 1, 20, YES)
    answer(store, ann, 10, 20, NO)
    other = type(store).open(store.path)
    assert pairs_of(claim(other, ann, round_id)) == [(2, 10)]
    assert status(other, round_id).open == 0
    other.close()
