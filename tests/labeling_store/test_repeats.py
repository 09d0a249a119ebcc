"""Hidden repeats: who is due one, of which pairs, and how the answers compare."""

import pytest

from domain.answers import Kind
from domain.images import Part
from domain.pairs import Pair
from domain.rounds import Proposal
from labeling_store import answers, images, queue, rounds
from labeling_store.coherence import coherence
from labeling_store.repeats import (
    Repeated,
    answered_long_ago,
    answered_pairs,
    repeat_outcomes,
    repeats_due,
)
from tests.labeling_store.building import NOW, ask, claim, said, scanned, undo

NO, YES = Kind.DISSIMILAR, Kind.SIMILAR


def give(store, member, *pairs, kind=YES, prefix=""):
    new = [said(f"{prefix}{member.name} {a} {b}", a, b, kind, reason=f"{a}?") for a, b in pairs]
    answers.record_answers(store, member, new, now=NOW)


def ask_again(store, member, a, b, *, number=7):
    """The id of a hidden repeat in a round of its own."""
    with store.transaction() as db:
        opened = rounds.create_round(db, number=number, strategy="mgue", model=None)
        asked = Proposal(Pair(a, b), 0.0, "", asked_of=member.member_id)
        queue.add_proposals(db, opened.round_id, [asked])
        (newest,) = db.execute("SELECT max(proposal_id) FROM proposal").fetchone()
    return newest


def say_again(store, member, proposal_id, a, b, kind, key="again"):
    new = [said(key, a, b, kind, proposal_id=proposal_id)]
    answers.record_answers(store, member, new, now=NOW)


def long_ago(store, member, after):
    db = store.reader()
    found = answered_long_ago(db, member.member_id, after=after)
    return [tuple(each.pair) for each in answered_pairs(db, found)]


def test_a_share_of_each_members_answers_is_due(store, ann, bob):
    give(store, ann, *((1, b) for b in range(2, 12)))
    give(store, bob, (1, 2), (1, 3), kind=Kind.UNSURE)
    db = store.reader()
    assert repeats_due(db, 0.3) == {ann.member_id: 3}
    assert repeats_due(db, 0.5) == {ann.member_id: 5, bob.member_id: 1}
    assert repeats_due(db, 0.0) == {}


def test_repeats_that_were_answered_are_no_longer_due(store, ann):
    give(store, ann, *((1, b) for b in range(2, 12)))
    number = ask_again(store, ann, 1, 2)
    assert repeats_due(store.reader(), 0.2) == {ann.member_id: 2}
    say_again(store, ann, number, 1, 2, YES)
    assert repeats_due(store.reader(), 0.2) == {ann.member_id: 1}


def test_only_pairs_answered_long_ago_come_again(store, ann):
    give(store, ann, (1, 2), (1, 3), (1, 4), (1, 5))
    assert long_ago(store, ann, 2) == [(1, 2), (1, 3)]
    assert long_ago(store, ann, 4) == []


def test_a_pair_comes_again_with_its_first_reason_whatever_was_said_since(store, ann):
    """ "Answered anew" or "Asked again" would tell that it is a repeat."""
    round_id = ask(store, 1)
    (asked,) = claim(store, ann, round_id, count=1)
    for key, reason in (("first", asked.reason), ("anew", "Answered anew.")):
        kind = YES if key == "first" else NO
        new = said(key, *asked.pair, kind, proposal_id=asked.proposal_id, reason=reason)
        answers.record_answers(store, ann, [new], now=NOW)
    answers.record_answers(store, ann, [said("found", 8, 9, reason="search")], now=NOW)
    assert [each.reason for each in answered_pairs(store.reader(), [2, 3])] == ["reason 0", ""]


@pytest.mark.parametrize("kind", [Kind.UNSURE, Kind.SKIP])
def test_what_got_no_label_is_not_repeated(store, ann, kind):
    give(store, ann, (1, 2), kind=kind)
    give(store, ann, (1, 3), (1, 4))
    assert long_ago(store, ann, 1) == [(1, 3)]


def test_what_others_answered_is_not_repeated(store, ann, bob):
    give(store, bob, (1, 2), (1, 3))
    give(store, ann, (1, 4), (1, 5))
    assert long_ago(store, ann, 1) == [(1, 4)]


def test_what_was_taken_back_or_said_anew_is_not_repeated(store, ann):
    give(store, ann, (1, 2), (1, 3), (1, 4), (1, 5))
    answers.record_answers(store, ann, [undo("v", "ann 1 2")], now=NOW)
    give(store, ann, (1, 3), kind=NO, prefix="anew ")
    assert long_ago(store, ann, 1) == [(1, 4), (1, 5)]


def test_no_pair_is_repeated_twice(store, ann):
    give(store, ann, (1, 2), (1, 3), (1, 4))
    number = ask_again(store, ann, 1, 2)
    assert (1, 2) in long_ago(store, ann, 1)
    say_again(store, ann, number, 1, 2, YES)
    give(store, ann, (1, 5), (1, 6))
    assert (1, 2) not in long_ago(store, ann, 1)


def test_only_training_images_are_repeated(store, ann):
    with store.transaction() as db:
        new = [scanned("measures.png")]
        images.add_images(db, new, duplicate_groups=[99], split_groups=[99], parts=[Part.TEST])
    give(store, ann, (1, 31), (1, 2), (1, 3))
    assert long_ago(store, ann, 1) == [(1, 2)]


def test_second_answers_are_compared_with_the_first(store, ann, bob):
    give(store, ann, (1, 2), (1, 3))
    give(store, bob, (1, 2), kind=NO)
    say_again(store, ann, ask_again(store, ann, 1, 2), 1, 2, YES)
    assert repeat_outcomes(store.reader()) == {ann.member_id: Repeated(1, 0)}
    say_again(store, ann, ask_again(store, ann, 1, 3, number=8), 1, 3, NO, key="other")
    assert repeat_outcomes(store.reader()) == {ann.member_id: Repeated(2, 1)}


def test_what_is_mended_later_stays_counted_and_what_is_taken_back_does_not(store, ann):
    give(store, ann, (1, 2))
    number = ask_again(store, ann, 1, 2)
    say_again(store, ann, number, 1, 2, NO)
    say_again(store, ann, number, 1, 2, YES, key="mended")
    assert repeat_outcomes(store.reader()) == {ann.member_id: Repeated(1, 1)}
    answers.record_answers(store, ann, [undo("v", "again")], now=NOW)
    assert repeat_outcomes(store.reader()) == {ann.member_id: Repeated(1, 0)}


@pytest.mark.parametrize("kind", [Kind.UNSURE, Kind.SKIP])
def test_a_second_answer_without_a_label_does_not_count(store, ann, kind):
    give(store, ann, (1, 2))
    say_again(store, ann, ask_again(store, ann, 1, 2), 1, 2, kind)
    assert repeat_outcomes(store.reader()) == {}


def test_a_repeat_costs_a_bit_and_loses_nothing(store, ann):
    ask(store, 1)
    give(store, ann, (1, 2))
    say_again(store, ann, ask_again(store, ann, 1, 2), 1, 2, NO)
    db = store.reader()
    assert answers.effort(db).bits == 2
    assert [each.similar for each in answers.events(db)] == [True, False]
    (label,) = answers.pair_labels(db)
    assert label.similar is False


def test_hidden_repeats_do_not_pass_for_repeats_of_contradictions(store, ann):
    """Few of them change: counted with those, they would give groups up where answers are wrong."""
    ask(store, 1)
    new = [said("first", 1, 2, proposal_id=1)]
    answers.record_answers(store, ann, new, now=NOW)
    say_again(store, ann, ask_again(store, ann, 1, 2), 1, 2, YES)
    assert coherence(store).repeated == 0
    ask(store, 1, number=9)
    new = [said("third", 1, 2, NO, proposal_id=3)]
    answers.record_answers(store, ann, new, now=NOW)
    found = coherence(store)
    assert (found.repeated, found.changed) == (1, 1)


def test_nobody_answers_a_repeat_in_anothers_place(store, ann, bob):
    give(store, ann, (1, 2))
    number = ask_again(store, ann, 1, 2)
    say_again(store, bob, number, 1, 2, NO, key="by number")
    assert claim(store, bob, 1, held=[number]) == []
    (still,) = claim(store, ann, 1)
    assert still.proposal_id == number
    assert repeat_outcomes(store.reader()) == {}
