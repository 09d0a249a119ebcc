import subprocess
import sys
import threading
from itertools import chain

import pytest

from domain.answers import Kind
from domain.clock import later
from domain.members import Role
from domain.pairs import Pair
from domain.rounds import Proposal, QueueStatus
from labeling_store import answers, members, queue, responses
from tests.labeling_store.building import NOW, ask, claim, said, undo

PAIRS = 400
ANSWERER = """
import sys
from pathlib import Path
from domain.answers import Kind, NewAnswer
from domain.members import Role
from labeling_store import answers, members, queue
from labeling_store.db import Store
store = Store.open(Path(sys.argv[1]))
with store.transaction() as db:
    me = members.ensure_member(db, sys.argv[2], Role.ANNOTATOR)
while new := queue.claim(store, me.member_id, 1, count=5, now=sys.argv[3], lease_s=60):
    said = [
        NewAnswer(f"{me.name}-{each.proposal_id}", Kind.UNSURE, each.pair, answered_at=sys.argv[3],
            proposal_id=each.proposal_id)
        for each in new
    ]
    answers.record_answers(store, me, said, now=sys.argv[3])
    print(*(each.proposal_id for each in new))
"""
CLAIMER = """
import sys
from pathlib import Path
from labeling_store.db import Store
from labeling_store import members, queue
from domain.members import Role
store = Store.open(Path(sys.argv[1]))
with store.transaction() as db:
    me = members.ensure_member(db, sys.argv[2], Role.ANNOTATOR).member_id
got = []
while True:
    new = queue.claim(store, me, 1, count=7, now=sys.argv[3], lease_s=60, held=got)
    if not new:
        break
    got += [each.proposal_id for each in new]
print(*got)
"""


def ids(claimed):
    return [each.proposal_id for each in claimed]


def test_claims_come_in_the_order_of_the_queue_with_the_reason(store, ann):
    round_id = ask(store, 10)
    claimed = claim(store, ann, round_id, count=3)
    assert [each.pair for each in claimed] == [Pair(1, 2), Pair(1, 3), Pair(1, 4)]
    assert [each.reason for each in claimed] == ["reason 0", "reason 1", "reason 2"]
    assert {(each.round_number, each.model) for each in claimed} == {(1, "run-1")}
    assert {each.lease_expires_at for each in claimed} == {later(NOW, 60)}


def test_eight_threads_get_distinct_questions(store):
    round_id = ask(store, PAIRS)
    with store.transaction() as db:
        people = [members.ensure_member(db, f"m{n}", Role.ANNOTATOR) for n in range(8)]
    barrier, got = threading.Barrier(8), {person.name: [] for person in people}

    def work(person):
        barrier.wait()
        while new := ids(claim(store, person, round_id, count=9, held=got[person.name])):
            got[person.name] += new

    threads = [threading.Thread(target=work, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(chain(*got.values())) == list(range(1, PAIRS + 1))


def test_four_processes_get_distinct_questions(store):
    ask(store, PAIRS)
    command = [sys.executable, "-c", CLAIMER, str(store.path)]
    started = [
        subprocess.Popen([*command, f"m{n}", NOW], stdout=subprocess.PIPE, text=True)
        for n in range(4)
    ]
    got = [int(word) for process in started for word in process.communicate(timeout=60)[0].split()]
    assert sorted(got) == list(range(1, PAIRS + 1))


def test_a_leased_question_goes_to_nobody_else_until_it_expires(store, ann, bob):
    round_id = ask(store, 3)
    assert ids(claim(store, ann, round_id)) == [1, 2, 3]
    assert claim(store, bob, round_id, now=later(NOW, 59.9)) == []
    assert ids(claim(store, bob, round_id, now=later(NOW, 60))) == [1, 2, 3]


def test_held_questions_are_prolonged_and_not_given_again(store, ann, bob):
    round_id = ask(store, 4)
    claim(store, ann, round_id, count=2)
    assert ids(claim(store, ann, round_id, count=1, now=later(NOW, 50), held=[1, 2])) == [3]
    assert ids(claim(store, bob, round_id, now=later(NOW, 100))) == [4]


def test_a_held_question_that_others_took_is_not_taken_back(store, ann, bob):
    round_id = ask(store, 1)
    claim(store, ann, round_id)
    claim(store, bob, round_id, now=later(NOW, 61))
    claim(store, ann, round_id, now=later(NOW, 62), held=[1])
    assert ids(claim(store, bob, round_id, now=later(NOW, 63))) == [1]


def test_a_reload_gives_the_same_questions_again(store, ann):
    round_id = ask(store, 5)
    assert ids(claim(store, ann, round_id, count=3)) == [1, 2, 3]
    assert ids(claim(store, ann, round_id, count=3, now=later(NOW, 1))) == [1, 2, 3]


@pytest.mark.parametrize("set_back_s", [3600, 86400 * 365])
def test_a_clock_set_back_does_not_empty_the_queue(store, ann, bob, set_back_s):
    round_id = ask(store, 2)
    claim(store, ann, round_id)
    assert ids(claim(store, bob, round_id, now=later(NOW, -set_back_s))) == [1, 2]


def test_a_clock_that_jitters_gives_no_question_twice(store, ann, bob):
    round_id = ask(store, 2)
    claim(store, ann, round_id)
    assert claim(store, bob, round_id, now=later(NOW, -30)) == []


def test_a_lead_can_release_leases(store, ann, bob):
    round_id = ask(store, 4)
    claim(store, ann, round_id, count=2)
    claim(store, bob, round_id, count=1)
    with store.transaction() as db:
        assert queue.release(db, member_id=ann.member_id) == 2
    assert ids(claim(store, bob, round_id, held=[3])) == [1, 2, 4]
    with store.transaction() as db:
        assert queue.release(db) == 4
    assert ids(claim(store, ann, round_id)) == [1, 2, 3, 4]


def test_status_counts_each_question_once(store, ann):
    round_id = ask(store, 10)
    claim(store, ann, round_id, count=4)
    kinds = [Kind.SIMILAR, Kind.SKIP]
    new = [said(f"k{n}", 1, 2 + n, kind, proposal_id=1 + n) for n, kind in enumerate(kinds)]
    answers.record_answers(store, ann, new, now=NOW)
    assert queue.queue_status(store, round_id, NOW) == QueueStatus(6, 2, 2, 10)
    assert queue.queue_status(store, round_id, later(NOW, 61)) == QueueStatus(8, 0, 2, 10)


@pytest.mark.parametrize(("target", "wanted"), [(None, 4), (3, 3), (9, 4)])
def test_a_round_wants_its_target_or_all_that_it_has(store, target, wanted):
    round_id = ask(store, 4)
    with store.transaction() as db:
        db.execute("UPDATE round SET target = ? WHERE round_id = ?", (target, round_id))
    status = queue.queue_status(store, round_id, NOW)
    assert (status.target, status.open) == (wanted, 4)


@pytest.mark.parametrize("kind", [Kind.SIMILAR, Kind.DISSIMILAR, Kind.UNSURE, Kind.SKIP])
def test_an_answered_question_is_asked_of_nobody(store, ann, bob, kind):
    round_id = ask(store, 1)
    claim(store, ann, round_id)
    answers.record_answers(store, ann, [said("k", 1, 2, kind, proposal_id=1)], now=NOW)
    assert claim(store, ann, round_id) == claim(store, bob, round_id) == []


def test_an_undo_gives_the_question_back_to_the_same_member(store, ann, bob):
    round_id = ask(store, 1)
    claim(store, ann, round_id)
    answers.record_answers(store, ann, [said("k", 1, 2, proposal_id=1), undo("v", "k")], now=NOW)
    assert claim(store, bob, round_id) == []
    assert ids(claim(store, ann, round_id)) == [1]
    assert queue.queue_status(store, round_id, NOW).answered == 0


def test_undoing_a_changed_mind_leaves_the_first_answer(store, ann):
    round_id = ask(store, 1)
    new = [
        said("k1", 1, 2, proposal_id=1),
        said("k2", 1, 2, Kind.DISSIMILAR, proposal_id=1),
        undo("v", "k2"),
    ]
    answers.record_answers(store, ann, new, now=NOW)
    (asked,) = responses.answered_proposals(store.reader(), round_id)
    assert asked.kind is Kind.SIMILAR
    assert queue.queue_status(store, round_id, NOW).answered == 1


def test_an_answer_from_elsewhere_closes_the_question(store, ann):
    round_id = ask(store, 2)
    answers.record_answers(store, ann, [said("k", 1, 2)], now=NOW)
    assert ids(claim(store, ann, round_id)) == [2]


def test_a_question_put_after_the_answer_is_a_wanted_repeat(store, ann):
    ask(store, 1)
    answers.record_answers(store, ann, [said("k", 1, 2, proposal_id=1)], now=NOW)
    again = ask(store, 1, number=2)
    assert len(claim(store, ann, again)) == 1


def test_withdrawing_keeps_answered_and_leased_questions(store, ann):
    round_id = ask(store, 5)
    claim(store, ann, round_id, count=2)
    answers.record_answers(store, ann, [said("k", 1, 2, proposal_id=1)], now=NOW)
    with store.transaction() as db:
        assert queue.withdraw_open(db, round_id, now=NOW) == 3
    assert queue.queue_status(store, round_id, NOW) == QueueStatus(0, 1, 1, 2)
    assert ids(claim(store, ann, round_id)) == [2]


def test_pairs_already_in_the_round_are_not_put_again(store):
    round_id = ask(store, 3)
    new = [Proposal(Pair(1, 3), 0.0, ""), Proposal(Pair(5, 6), 0.0, "")]
    with store.transaction() as db:
        assert queue.add_proposals(db, round_id, new) == 1
    assert queue.queue_status(store, round_id, NOW).total == 4


def test_answered_proposals_carry_what_the_model_thought(store, ann):
    round_id = ask(store, 1)
    with store.transaction() as db:
        thought = Proposal(Pair(2, 3), -0.1, "", similarity=0.4, threshold=0.5, check=True)
        queue.add_proposals(db, round_id, [thought])
    new = [said("k", 2, 3, Kind.DISSIMILAR, proposal_id=2)]
    answers.record_answers(store, ann, new, now=NOW)
    (asked,) = responses.answered_proposals(store.reader(), round_id)
    assert (asked.pair, asked.kind, asked.similarity, asked.threshold, asked.check) == (
        Pair(2, 3),
        Kind.DISSIMILAR,
        0.4,
        0.5,
        True,
    )


def test_a_withdrawn_pair_that_is_proposed_again_is_open_again(store, ann):
    round_id = ask(store, 2)
    with store.transaction() as db:
        queue.withdraw_open(db, round_id, now=NOW)
        queue.add_proposals(db, round_id, [Proposal(Pair(1, 3), 0.0, "better now")])
    (asked,) = claim(store, ann, round_id)
    assert (asked.pair, asked.reason) == (Pair(1, 3), "better now")


def test_leased_pairs_are_the_open_ones_somebody_holds(store, ann):
    round_id = ask(store, 4)
    claim(store, ann, round_id, count=2)
    answers.record_answers(store, ann, [said("k", 1, 2, proposal_id=1)], now=NOW)
    assert queue.leased_pairs(store.reader(), round_id, NOW) == [Pair(1, 3)]
    assert queue.leased_pairs(store.reader(), round_id, later(NOW, 61)) == []


# --- several opinions ---


def ask_two(store, count, **more):
    """A round in which two members are to answer each question; its id."""
    round_id = ask(store, count, **more)
    with store.transaction() as db:
        db.execute("UPDATE proposal SET overlap = 2")
    return round_id


def say(store, member, proposal_id, b, kind=Kind.SIMILAR):
    new = said(f"{member.name}-{proposal_id}-{kind.value}", 1, b, kind, proposal_id=proposal_id)
    answers.record_answers(store, member, [new], now=NOW)


def test_eight_processes_never_ask_more_than_two_nor_anybody_twice(store):
    ask_two(store, PAIRS)
    command = [sys.executable, "-c", ANSWERER, str(store.path)]
    started = [
        subprocess.Popen([*command, f"m{n}", NOW], stdout=subprocess.PIPE, text=True)
        for n in range(8)
    ]
    own = [[*map(int, process.communicate(timeout=120)[0].split())] for process in started]
    assert all(len(asked) == len({*asked}) for asked in own)
    assert sorted(chain(*own)) == sorted([*range(1, PAIRS + 1)] * 2)
    assert queue.queue_status(store, 1, NOW).answered == 2 * PAIRS


def test_nobody_waits_for_a_second_opinion(store, ann):
    round_id = ask_two(store, 2)
    assert queue.queue_status(store, round_id, NOW) == QueueStatus(2, 0, 0, 2)
    for number in (1, 2):
        say(store, ann, number, 1 + number)
    assert queue.queue_status(store, round_id, NOW) == QueueStatus(0, 0, 2, 2)
    assert claim(store, ann, round_id) == []


def test_second_opinions_stand_where_their_questions_stood(store, ann, bob):
    round_id = ask(store, 5)
    with store.transaction() as db:
        db.execute("UPDATE proposal SET overlap = 2 WHERE proposal_id = 3")
    for number in (1, 2, 3):
        say(store, ann, number, 1 + number)
    assert ids(claim(store, bob, round_id, count=2)) == [3, 4]
    assert ids(claim(store, ann, round_id, count=2)) == [5]


def test_who_comes_later_is_asked_for_opinions_on_earlier_rounds_but_not_on_all(store, ann, bob):
    for number in range(1, queue.OPINION_ROUNDS + 3):
        ask_two(store, 1, number=number, image_count=2)
        say(store, ann, number, 2)
    newest = queue.OPINION_ROUNDS + 2
    assert ids(claim(store, bob, newest, count=50)) == [*range(2, newest + 1)]


def test_no_second_opinion_from_somebody_who_spoke_of_the_pair_already(store, ann, bob):
    round_id = ask_two(store, 2)
    say(store, ann, 1, 2)
    queue_closed = said("elsewhere", 1, 2, Kind.UNSURE)
    answers.record_answers(store, bob, [queue_closed], now=NOW)
    assert ids(claim(store, bob, round_id)) == [2]
    answers.record_answers(store, bob, [undo("v", "elsewhere")], now=NOW)
    assert ids(claim(store, bob, round_id)) == [1, 2]


def test_a_second_opinion_that_is_taken_back_is_asked_again(store, ann, bob):
    round_id = ask_two(store, 1)
    say(store, ann, 1, 2)
    say(store, bob, 1, 2)
    answers.record_answers(store, bob, [undo("v", "bob-1-similar")], now=NOW)
    assert ids(claim(store, bob, round_id)) == [1]
    assert queue.queue_status(store, round_id, NOW).answered == 1


def ask_of(store, member, b=9):
    """A further question of the round for one member alone."""
    with store.transaction() as db:
        asked = Proposal(Pair(1, b), 0.0, "", asked_of=member.member_id)
        queue.add_proposals(db, 1, [asked])


def test_a_question_for_one_member_is_asked_of_nobody_else_and_kept_for_nobody(store, ann, bob):
    round_id = ask(store, 1)
    ask_of(store, bob)
    assert queue.queue_status(store, round_id, NOW) == QueueStatus(1, 0, 0, 1)
    assert ids(claim(store, ann, round_id)) == [1]
    assert ids(claim(store, bob, round_id)) == [2]


def test_what_others_say_of_the_pair_does_not_close_a_members_own_question(store, ann, bob):
    round_id = ask(store, 1)
    ask_of(store, bob)
    answers.record_answers(store, ann, [said("k", 1, 9)], now=NOW)
    assert 2 in ids(claim(store, bob, round_id))


def test_a_question_for_one_member_that_joins_a_chain_is_for_everybody(store, ann, bob):
    round_id = ask(store, 1)
    ask_of(store, bob)
    with store.transaction() as db:
        queue.add_proposals(db, round_id, [Proposal(Pair(1, 9), 0.0, "", chain=0)])
    assert ids(claim(store, ann, round_id)) == [1, 2]
