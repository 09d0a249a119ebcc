"""Chains: image 10 and others are compared with images 1, 2, 3 … one after the other."""

import subprocess
import sys

import pytest

from domain.answers import Kind
from domain.clock import later
from domain.members import Role
from domain.pairs import pair
from domain.rounds import Proposal, QueueStatus
from labeling_store import answers, members, queue
from tests.labeling_store.building import (
    NOW,
    ask_in_chains,
    ask_instead,
    chain_of,
    claim,
    pairs_of,
    said,
    undo,
)

NO, YES, UNSURE, SKIP = Kind.DISSIMILAR, Kind.SIMILAR, Kind.UNSURE, Kind.SKIP
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


def answer(store, member, image, other, kind=NO, *, key=None, proposal=True, now=NOW):
    asked = pair(image, other)
    row = store.reader().execute(
        "SELECT max(proposal_id) FROM proposal WHERE a = ? AND b = ?", asked
    )
    (number,) = row.fetchone()
    key = key or f"{image}-{other}-{kind.value}"
    new = said(key, *asked, kind, proposal_id=number if proposal else None)
    (receipt,) = answers.record_answers(store, member, [new], now=now)
    assert receipt.status == "stored"


def take_back(store, member, key, *, now=NOW):
    (receipt,) = answers.record_answers(store, member, [undo(f"undo {key}", key)], now=now)
    assert receipt.status == "stored"


def four_chains():
    """Images 10 to 13 with images 1, 2 and 3 each."""
    return [each for n in range(4) for each in chain_of(n, 10 + n, [1, 2, 3])]


def status(store, round_id, now=NOW):
    return queue.queue_status(store, round_id, now)


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
    single = Proposal(pair(20, 21), 0.0, "")
    # Also where chains are handed over one question of each at a time.
    proposals = [first[0], second[0], single, first[1], second[1]]
    round_id = ask_in_chains(store, proposals)
    claim(store, ann, round_id, count=1)
    answer(store, ann, 10, 1)
    assert pairs_of(claim(store, ann, round_id)) == [(2, 10), (1, 11), (20, 21)]


def test_what_answers_imply_is_not_asked(store, ann):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2, 3]))
    answer(store, ann, 1, 20, YES)
    answer(store, ann, 10, 20, NO)
    assert pairs_of(claim(store, ann, round_id)) == [(2, 10)]


def test_a_chain_ends_where_a_later_question_of_it_is_implied_similar(store, ann):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2, 3]))
    answer(store, ann, 3, 20, YES)
    answer(store, ann, 10, 20, YES)
    assert claim(store, ann, round_id) == []
    assert status(store, round_id).total == 0


def test_single_questions_are_asked_also_when_implied(store, ann):
    round_id = ask_in_chains(store, [Proposal(pair(1, 2), 0.0, "")])
    answer(store, ann, 1, 20, YES)
    answer(store, ann, 2, 20, YES)
    assert pairs_of(claim(store, ann, round_id)) == [(1, 2)]


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
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2]))
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


def test_where_two_are_to_answer_the_chain_waits_for_both(store, ann, bob, lead):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2]))
    want_two(store)
    assert pairs_of(claim(store, ann, round_id)) == pairs_of(claim(store, bob, round_id))
    answer(store, ann, 10, 1, key="ann")
    assert claim(store, ann, round_id) == []
    assert pairs_of(claim(store, bob, round_id)) == [(1, 10)]
    assert claim(store, lead, round_id) == []
    answer(store, bob, 10, 1, UNSURE, key="bob")
    assert pairs_of(claim(store, lead, round_id)) == [(2, 10)]


def test_a_tie_waits_for_the_lead(store, ann, bob, lead):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2]))
    want_two(store)
    answer(store, ann, 10, 1, YES)
    answer(store, bob, 10, 1, NO)
    assert claim(store, ann, round_id) == []
    verdict = said("verdict", 1, 10, Kind.RESOLUTION, similar=False)
    answers.record_answers(store, lead, [verdict], now=NOW)
    assert pairs_of(claim(store, ann, round_id)) == [(2, 10)]


def test_a_no_that_others_contradict_ends_the_chain(store, ann, bob):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2]))
    answer(store, bob, 1, 20, YES)
    answer(store, bob, 10, 20, YES)
    answer(store, ann, 10, 1, NO)
    assert claim(store, ann, round_id) == []


# --- new questions in the place of old ones ---


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


def test_chains_handed_over_later_are_others(store, ann):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2]))
    with store.transaction() as db:
        assert queue.add_proposals(db, round_id, chain_of(0, 11, [1, 2])) == 2
    assert pairs_of(claim(store, ann, round_id)) == [(1, 10), (1, 11)]


# --- counts ---


def test_status_counts_one_question_of_each_chain(store, ann):
    single = Proposal(pair(20, 21), 0.0, "")
    chains = chain_of(0, 10, [1, 2, 3]) + chain_of(1, 11, [1, 2, 3])
    round_id = ask_in_chains(store, [*chains, single], target=5)
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


def test_a_store_opened_later_knows_what_answers_imply(store, ann):
    round_id = ask_in_chains(store, chain_of(0, 10, [1, 2]))
    answer(store, ann, 1, 20, YES)
    answer(store, ann, 10, 20, NO)
    other = type(store).open(store.path)
    assert pairs_of(claim(other, ann, round_id)) == [(2, 10)]
    assert status(other, round_id).open == 0
    other.close()
