from dataclasses import replace

import pytest

from domain.answers import Effort, Kind, ReceiptStatus, Source
from domain.clock import later
from domain.pairs import Pair
from labeling_store import answers, images, members
from labeling_store.conflicts import open_conflicts
from labeling_store.db import Store
from tests.labeling_store.building import NOW, ask, said, undo

CONTRADICTION = [
    said("k1", 1, 2),
    said("k2", 2, 3),
    said("k3", 1, 3, Kind.DISSIMILAR),
]


def record(store, member, *new):
    return answers.record_answers(store, member, new, now=NOW)


def statuses(receipts):
    return [receipt.status.value for receipt in receipts]


def kinds(store):
    return [event.kind.value for event in answers.events(store.reader())]


def similar_of(store, a, b):
    return {label.pair: label.similar for label in answers.pair_labels(store.reader())}[Pair(a, b)]


def test_an_answer_is_kept_with_all_it_came_with(store, ann):
    ask(store, 3)
    full = said(
        "k", 1, 3, Kind.DISSIMILAR, shown_at=later(NOW, -3), answered_at=later(NOW, -1),
        answer_ms=2000, proposal_id=2, model="run-1", reason="reason 1",
    )  # fmt: skip
    (receipt,) = record(store, ann, full)
    (event,) = answers.events(store.reader())
    assert receipt.event_id == event.event_id
    for name in ("key", "kind", "source", "pair", "shown_at", "answered_at", "answer_ms", "model"):
        assert getattr(event, name) == getattr(full, name)
    assert (event.member, event.round_number, event.reason) == ("ann", 1, "reason 1")
    assert (event.similar, event.refers_to, event.uncertainty) == (False, None, 0.1)


def test_the_key_of_another_answer_is_refused_rather_than_taken_for_a_repetition(store, ann, bob):
    """A client with poor keys would lose answers otherwise, and believe them stored."""
    record(store, ann, said("k", 1, 2), said("l", 1, 3), undo("u", "l"))
    others = [said("k", 1, 2, Kind.DISSIMILAR), said("k", 1, 3), undo("k", "l")]
    receipts = record(store, ann, *others) + record(store, bob, said("k", 1, 2))
    assert statuses(receipts) == ["rejected"] * 4
    assert "another answer" in receipts[0].message
    assert statuses(record(store, ann, said("k", 1, 2), undo("u", "l"))) == ["repeated"] * 2


def test_the_same_key_is_stored_once(store, ann):
    first = record(store, ann, said("k", 1, 2))
    again = record(store, ann, said("k", 1, 2), said("k", 1, 2))
    assert statuses(again) == ["repeated", "repeated"]
    assert {receipt.event_id for receipt in again} == {first[0].event_id}
    assert kinds(store) == ["similar"]


def test_two_tabs_with_the_same_question_count_once(store, ann):
    ask(store, 1)
    record(store, ann, said("tab 1", 1, 2, proposal_id=1))
    second = record(store, ann, said("tab 2", 1, 2, proposal_id=1))
    assert statuses(second) == ["repeated"]
    assert answers.effort(store.reader()).bits == 1


def test_an_impossible_answer_is_rejected_and_the_others_stored(store, ann):
    far = said("far", 1, 2**70)
    backwards = replace(said("back", 1, 2), pair=Pair(2, 1))
    receipts = record(
        store, ann, said("k1", 1, 2), said("x", 1, 999), far, backwards, said("k2", 2, 3)
    )
    assert statuses(receipts) == ["stored", "rejected", "rejected", "rejected", "stored"]
    assert "999" in receipts[1].message
    assert [event.key for event in answers.events(store.reader())] == ["k1", "k2"]


def test_an_answer_for_another_pair_than_the_question_is_kept_without_it(store, ann):
    ask(store, 2)
    record(store, ann, said("k", 5, 6, proposal_id=1))
    (event,) = answers.events(store.reader())
    assert (event.pair, event.round_number) == (Pair(5, 6), None)


def test_a_contradiction_is_stored_and_opens_a_conflict_with_its_evidence(store, ann):
    receipts = record(store, ann, *CONTRADICTION)
    assert [receipt.conflict for receipt in receipts] == [False, False, True]
    (conflict,) = open_conflicts(store.reader())
    assert conflict.pair == Pair(1, 3)
    assert conflict.event_id == receipts[2].event_id
    assert conflict.evidence == (Pair(1, 2), Pair(2, 3))
    assert kinds(store) == ["similar", "similar", "dissimilar"]


@pytest.mark.parametrize("undone", ["k1", "k2", "k3"])
def test_an_undo_of_either_side_ends_the_conflict(store, ann, undone):
    record(store, ann, *CONTRADICTION)
    record(store, ann, undo("v", undone))
    assert open_conflicts(store.reader()) == []


def test_an_undo_may_bring_another_conflict_to_light(store, ann):
    """With the first answer gone, a later one is taken in and contradicts those after it."""
    record(
        store, ann,
        said("k1", 1, 2, Kind.DISSIMILAR), said("k2", 2, 3, Kind.SIMILAR),
        said("k3", 1, 3, Kind.SIMILAR), said("k4", 1, 4), said("k5", 3, 4, Kind.DISSIMILAR),
    )  # fmt: skip
    assert [conflict.pair for conflict in open_conflicts(store.reader())] == [Pair(1, 3)]
    record(store, ann, undo("v", "k1"))
    assert [conflict.pair for conflict in open_conflicts(store.reader())] == [Pair(3, 4)]


def test_an_undo_leaves_the_log_and_takes_the_label(store, ann):
    record(store, ann, said("k", 1, 2), undo("v", "k", a=5, b=6))
    log = list(answers.events(store.reader()))
    assert [(event.kind, event.pair) for event in log] == [
        (Kind.SIMILAR, Pair(1, 2)),
        (Kind.VOID, Pair(1, 2)),
    ]
    assert log[1].refers_to == log[0].event_id
    assert answers.pair_labels(store.reader()) == []


def test_undoing_twice_is_harmless(store, ann):
    receipts = record(store, ann, said("k", 1, 2), undo("v1", "k"), undo("v2", "k"))
    assert statuses(receipts) == ["stored", "stored", "repeated"]
    assert kinds(store) == ["similar", "void"]


@pytest.mark.parametrize("refers_to", ["nothing", None, "v"])
def test_what_was_never_answered_cannot_be_undone(store, ann, refers_to):
    receipts = record(store, ann, said("k", 1, 2), undo("v", "k"), undo("w", refers_to))
    assert receipts[2].status is ReceiptStatus.REJECTED
    assert receipts[2].message


def test_only_a_lead_takes_back_answers_of_others(store, ann, bob, owner):
    record(store, ann, said("k", 1, 2))
    assert statuses(record(store, bob, undo("v", "k"))) == ["rejected"]
    assert statuses(record(store, owner, undo("w", "k"))) == ["stored"]


def test_only_a_lead_settles_conflicts_or_answers_for_others(store, ann, owner):
    settle = said("r", 1, 2, Kind.RESOLUTION, similar=True)
    other = said("o", 1, 3, source=Source.IMPORT, member="eve")
    assert statuses(record(store, ann, settle, other)) == ["rejected", "rejected"]
    assert statuses(record(store, owner, settle, other)) == ["stored", "stored"]
    assert members.find_member(store.reader(), "eve").role == "annotator"


def test_the_majority_of_members_labels_a_pair(store, ann, bob, owner):
    record(store, ann, said("a", 1, 2))
    record(store, bob, said("b", 1, 2, Kind.DISSIMILAR))
    assert similar_of(store, 1, 2) is None
    (tie,) = open_conflicts(store.reader())
    assert (tie.pair, tie.evidence) == (Pair(1, 2), (Pair(1, 2),))
    record(store, owner, said("o", 1, 2, Kind.DISSIMILAR))
    assert similar_of(store, 1, 2) is False
    assert open_conflicts(store.reader()) == []


def test_a_members_later_answer_replaces_their_own(store, ann, bob):
    record(store, ann, said("a1", 1, 2), said("a2", 1, 2, Kind.DISSIMILAR))
    assert similar_of(store, 1, 2) is False
    assert open_conflicts(store.reader()) == []
    assert answers.effort(store.reader()).bits == 2


def test_unsure_takes_a_vote_back_and_a_skip_says_nothing(store, ann):
    record(store, ann, said("k1", 1, 2), said("k2", 1, 2, Kind.SKIP))
    assert similar_of(store, 1, 2) is True
    record(store, ann, said("k3", 1, 2, Kind.UNSURE))
    assert similar_of(store, 1, 2) is None


def test_a_leads_resolution_beats_all_later_answers_too(store, ann, bob, owner):
    record(store, ann, said("a", 1, 2))
    settled = said("r", 1, 2, Kind.RESOLUTION, similar=False, refers_to_key="a")
    record(store, owner, settled)
    record(store, bob, said("b", 1, 2))
    assert similar_of(store, 1, 2) is False
    assert list(answers.events(store.reader()))[1].refers_to == 1
    record(store, owner, undo("v", "r"))
    assert similar_of(store, 1, 2) is True


def test_settling_the_late_answer_for_the_others_ends_the_conflict(store, ann, owner):
    record(store, ann, *CONTRADICTION)
    record(store, owner, said("r", 1, 3, Kind.RESOLUTION, similar=True, refers_to_key="k3"))
    assert open_conflicts(store.reader()) == []
    assert similar_of(store, 1, 3) is True


def test_effort_counts_standing_answers_as_bits_and_everything_as_answers(store, ann, bob):
    record(
        store, ann,
        said("1", 1, 2), said("2", 1, 3, Kind.DISSIMILAR), said("3", 1, 4, Kind.UNSURE),
        said("4", 1, 5, Kind.SKIP), said("5", 1, 6), undo("6", "5"),
    )  # fmt: skip
    record(store, bob, said("7", 1, 2))
    expected = Effort(bits=3, answers=7, similar=2, dissimilar=1, unsure=1, skipped=1)
    assert answers.effort(store.reader()) == expected


def test_the_log_is_read_in_pages_and_from_any_place(store, ann, monkeypatch):
    monkeypatch.setattr(answers, "_PAGE", 2)
    record(store, ann, *(said(f"k{n}", 1, 2 + n) for n in range(7)))
    everything = [event.event_id for event in answers.events(store.reader())]
    assert everything == list(range(1, 8))
    assert [event.event_id for event in answers.events(store.reader(), after=5)] == [6, 7]
    assert answers.last_event_id(store.reader()) == 7


def test_recent_answers_are_the_members_own_newest_first(store, ann, bob):
    record(store, ann, said("a1", 1, 2), said("a2", 1, 3))
    record(store, bob, said("b", 1, 4))
    recent = answers.recent_answers(store.reader(), ann.member_id, 5)
    assert [event.key for event in recent] == ["a2", "a1"]


def test_pair_labels_say_who_and_whether_disputed(store, ann, bob):
    record(store, ann, *CONTRADICTION)
    record(store, bob, said("b", 1, 2))
    labels = {label.pair: label for label in answers.pair_labels(store.reader())}
    assert labels[Pair(1, 2)].members == ("ann", "bob")
    assert [labels[q].in_conflict for q in sorted(labels)] == [False, True, False]


def test_two_processes_agree_on_a_conflict(store, ann):
    """Each process has its own picture of the log; the log decides."""
    second = Store.open(store.path)
    record(store, ann, said("k1", 1, 2))
    answers.record_answers(second, ann, [said("k2", 2, 3)])
    (receipt,) = record(store, ann, said("k3", 1, 3, Kind.DISSIMILAR))
    assert receipt.conflict
    assert open_conflicts(second.reader()) == open_conflicts(store.reader())
    answers.record_answers(second, ann, [undo("v", "k1")])
    assert open_conflicts(store.reader()) == []
    second.close()


def test_a_failed_transaction_leaves_no_trace_in_memory(store, ann, monkeypatch):
    record(store, ann, said("k1", 1, 2))

    def fail(*_, **__):
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr("labeling_store.recording.responses.respond", fail)
        with pytest.raises(ZeroDivisionError):
            record(store, ann, said("k2", 2, 3))
    (receipt,) = record(store, ann, said("k3", 1, 3, Kind.DISSIMILAR))
    assert not receipt.conflict
    assert kinds(store) == ["similar", "dissimilar"]


def test_parcels_of_several_members_are_stored_together(store, ann, bob):
    parcels = [(ann, [said("a", 1, 2)]), (bob, [said("b", 1, 2), said("b", 1, 2)])]
    receipts = answers.record_parcels(store, parcels)
    assert [statuses(each) for each in receipts] == [["stored"], ["stored", "repeated"]]
    assert [event.member for event in answers.events(store.reader())] == ["ann", "bob"]


def test_images_added_later_can_be_answered(store, ann):
    assert statuses(record(store, ann, said("k", 30, 31))) == ["rejected"]
    with store.transaction() as db:
        old = images.list_images(db)[0]
        new = replace(old, path="later.png")
        fields = {
            k: v
            for k, v in vars(new).items()
            if k not in ("image_id", "duplicate_group", "split_group", "part")
        }
        images.add_images(
            db, [images.ScannedImage(**fields)],
            duplicate_groups=[99], split_groups=[99], parts=[old.part],
        )  # fmt: skip
    assert statuses(record(store, ann, said("k", 30, 31))) == ["stored"]


def test_label_changes_are_counted_from_a_moment_on(store, ann):
    record(store, ann, said("k1", 1, 2), said("k2", 2, 3))
    db = store.reader()
    assert [answers.label_changes(db, after=n) for n in (0, 1, 2)] == [2, 1, 0]
    record(store, ann, said("k3", 3, 4, Kind.SKIP), said("k4", 4, 5, Kind.UNSURE))
    assert answers.label_changes(db, after=2) == 0
    record(store, ann, undo("v", "k1"))
    assert answers.label_changes(db, after=2) == 1


def test_labels_of_some_pairs_are_those_among_all(store, ann):
    record(store, ann, *CONTRADICTION, said("k4", 4, 5))
    everything = answers.pair_labels(store.reader())
    assert [each.in_conflict for each in everything] == [False, True, False, False]
    some = [each.pair for each in everything[::-1]]
    assert answers.labels_of_pairs(store.reader(), some) == everything[::-1]
    assert answers.labels_of_pairs(store.reader(), [Pair(7, 8)]) == []


def test_an_answer_under_the_number_of_another_question_is_no_repetition(store, ann):
    """Its question may be of an older state, or of another client's making."""
    ask(store, 3)
    asked = {"proposal_id": 1}
    receipts = record(store, ann, said("k1", 1, 2, **asked), said("k2", 8, 9, **asked))
    assert statuses(receipts) == ["stored", "stored"]
    assert similar_of(store, 8, 9) is True


def test_the_answer_before_the_last_can_be_given_again_to_the_same_question(store, ann):
    ask(store, 3)
    asked = {"proposal_id": 1}
    record(store, ann, said("k1", 1, 2, **asked), said("found", 1, 2, Kind.DISSIMILAR))
    assert statuses(record(store, ann, said("k2", 1, 2, **asked))) == ["stored"]
    assert similar_of(store, 1, 2) is True
    assert statuses(record(store, ann, said("k3", 1, 2, **asked))) == ["repeated"]
