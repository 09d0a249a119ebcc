"""Flags are stored once, end once, and are their author's or a lead's to end."""

import pytest

from domain.answers import ReceiptStatus
from domain.flags import LONGEST_NOTE, FlagEnd, NewFlag
from domain.pairs import Pair
from labeling_store import answers, flags
from tests.labeling_store.building import NOW, ask


def record(store, member, *new):
    receipts = flags.record_flags(store, member, new, now=NOW)
    return [receipt.status.value for receipt in receipts]


def notes(store):
    return [flag.note for flag in flags.open_flags(store.reader(), limit=9)]


def flag(key, note="", b=2):
    return NewFlag(key, 1, b, note=note)


def unflag(key, target):
    return NewFlag(key, 1, None, takes_back_key=target)


def test_flags_are_listed_newest_first_with_what_they_are_about(store, ann, bob):
    record(store, ann, flag("one", "clouds"), flag("two", "black", b=None))
    record(store, bob, flag("three", "<img onerror=x>"))
    found = flags.open_flags(store.reader(), limit=2)
    assert [(each.member, each.image_ids, each.note) for each in found] == [
        ("bob", (1, 2), "<img onerror=x>"),
        ("ann", (1,), "black"),
    ]
    (oldest,) = flags.open_flags(store.reader(), limit=2, skip=2)
    assert (oldest.note, oldest.flagged_at) == ("clouds", NOW)
    assert flags.count_open(store.reader()) == 3


def test_a_flag_sent_again_is_stored_once(store, ann):
    assert record(store, ann, flag("one"), flag("one")) == ["stored", "repeated"]
    assert record(store, ann, flag("one")) == ["repeated"]
    assert flags.count_open(store.reader()) == 1


def test_taking_back_ends_ones_own_flag_once(store, ann):
    sent = [flag("one"), unflag("undo", "one"), unflag("undo", "one"), unflag("again", "one")]
    assert record(store, ann, *sent) == ["stored", "stored", "repeated", "repeated"]
    assert notes(store) == []


def test_somebody_elses_flag_cannot_be_taken_back(store, ann, bob):
    record(store, ann, flag("one", "mine"))
    assert record(store, bob, unflag("undo", "one"), unflag("no", "none")) == ["rejected"] * 2
    assert notes(store) == ["mine"]


@pytest.mark.parametrize(
    "bad",
    [
        NewFlag("bad-image", 1, 99),
        NewFlag("bad-lone-image", 99, None),
        flag("bad-note", "x" * (LONGEST_NOTE + 1)),
    ],
    ids=lambda new: new.key,
)
def test_one_that_cannot_be_stored_is_refused_and_the_others_are_kept(store, ann, bad):
    receipts = flags.record_flags(store, ann, [bad, flag("good", "good")], now=NOW)
    assert [receipt.status for receipt in receipts] == [
        ReceiptStatus.REJECTED,
        ReceiptStatus.STORED,
    ]
    assert receipts[0].message
    assert notes(store) == ["good"]


def test_a_question_that_is_gone_does_not_lose_the_flag(store, ann):
    assert record(store, ann, NewFlag("one", 1, 2, proposal_id=999)) == ["stored"]


def test_a_lead_takes_a_flag_off_the_list_once(store, ann, owner):
    record(store, ann, flag("one"), flag("two", "stays"))
    (_, first) = flags.open_flags(store.reader(), limit=2)
    with store.transaction() as db:
        assert flags.deal_with(db, owner, first.flag_id, now=NOW)
        assert not flags.deal_with(db, owner, first.flag_id, now=NOW)
    assert notes(store) == ["stays"]
    assert record(store, ann, unflag("late", "one")) == ["repeated"]


def test_flags_are_no_answers(store, ann):
    record(store, ann, flag("one"))
    assert answers.last_event_id(store.reader()) == 0


def test_the_flags_of_a_pair_are_its_own_and_those_of_its_images_alone(store, ann, owner):
    ask(store, 1)
    record(store, ann, NewFlag("pair", 1, 2, proposal_id=1), flag("image", b=None))
    record(store, ann, flag("other", b=3), NewFlag("elsewhere", 4, None), unflag("undo", "image"))
    alone, together = flags.flags_about(store.reader(), Pair(1, 2))
    assert (alone.key, alone.end, alone.ended_by) == ("image", FlagEnd.TAKEN_BACK, "ann")
    assert (together.key, together.round_number, together.end) == ("pair", 1, None)
    with store.transaction() as db:
        flags.deal_with(db, owner, together.flag_id, now=NOW)
    found = {each.key: each for each in flags.all_flags(store.reader())}
    assert [*found] == ["pair", "image", "other", "elsewhere"]
    ended = found["pair"]
    assert (ended.end, ended.ended_by, ended.ended_at) == (FlagEnd.DEALT_WITH, "owner", NOW)
