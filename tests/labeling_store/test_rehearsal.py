"""A rehearsed import says what the import does, and changes nothing."""

import hashlib

import pytest

from domain.answers import Kind
from domain.members import Role
from labeling_store import answers
from labeling_store.conflicts import open_conflicts
from labeling_store.exchange import import_rows, rehearse_import
from labeling_store.members import ensure_member
from tests.labeling_store.building import exported, said


@pytest.fixture
def lead(store):
    with store.transaction() as connection:
        return ensure_member(connection, "lead", Role.LEAD)


def row(a=1, b=2, similar=1, **more):
    return {"image_a": f"{a:04}.png", "image_b": f"{b:04}.png", "similar": similar, **more}


def state(store):
    files = sorted(store.path.parent.glob("labels.db*"))
    return [
        (path.name, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in files
        if not path.name.endswith("-shm")  # readers mark their place in it
    ], answers.last_event_id(store.reader())


ROWS = [
    row(1, 3, 0, member="eve"),
    row(4, 5, 1, key="k1"),
    row(6, 7, ""),
    row(8, 9, kind="skip"),
    row(1, 2, 1, key="known"),
    row(1, 9, 1, source="implied"),
]
ROWS[3]["similar"] = ""


@pytest.fixture
def answered(store, ann):
    new = [said("known", 1, 2), said("other", 2, 3)]
    answers.record_answers(store, ann, new)
    return store


def test_a_rehearsal_says_what_would_happen(answered, lead):
    found = rehearse_import(answered, lead, ROWS)
    assert found.kinds == {"dissimilar": 1, "similar": 1, "unsure": 1, "skip": 1}
    report = found.report
    assert (found.rows, report.stored, report.repeated, report.implied) == (6, 4, 1, 1)
    assert (report.conflicts, found.opened) == (1, 1)
    assert found.new_members == ("eve",)
    assert found.problems == ()


def test_a_rehearsal_changes_nothing(answered, lead):
    before = state(answered)
    rehearse_import(answered, lead, ROWS)
    assert state(answered) == before
    assert open_conflicts(answered.reader()) == []


def test_the_import_then_does_what_was_said(answered, lead):
    said_before = rehearse_import(answered, lead, ROWS)
    report = import_rows(answered, lead, ROWS, pause=lambda _: None)
    assert report == said_before.report
    assert len(open_conflicts(answered.reader())) == said_before.opened


def test_rows_that_would_keep_the_file_out_are_named_beside_the_good_ones(answered, lead):
    bad = [row(1, 99), row(1, 98), row(3, 3), row(4, 5, "maybe")]
    found = rehearse_import(answered, lead, [*ROWS, *bad])
    (problem,) = found.problems
    assert "4 of 10 rows cannot be imported" in problem
    assert "no such image in the archive: '0099.png' (row 7), '0098.png' (row 8)" in problem
    assert found.report.stored == 4


def test_missing_columns_are_a_problem(answered, lead):
    found = rehearse_import(answered, lead, [{"a": 1}])
    assert "Row 1 has no column image_a" in found.problems[0]
    assert found.report.stored == 0


def test_an_annotator_is_told_what_only_a_lead_may_import(answered, bob):
    found = rehearse_import(answered, bob, [row(member="ann"), row(5, 6)])
    assert "only a lead may import" in found.problems[0]


def test_a_whole_log_is_known_already(answered, ann, lead):
    answers.record_answers(answered, ann, [said("no", 1, 3, Kind.DISSIMILAR)])
    rows = exported(answered, "answers")
    found = rehearse_import(answered, lead, rows)
    assert (found.report.stored, found.report.repeated, found.opened) == (0, 3, 0)


@pytest.mark.parametrize("name", ["a;b", "line\nend", "x" * 81, "\u202eevil"])
def test_names_that_no_member_can_have_are_refused(answered, lead, name):
    found = rehearse_import(answered, lead, [row(5, 6, member=name)])
    assert "A member's name" in found.problems[0]
