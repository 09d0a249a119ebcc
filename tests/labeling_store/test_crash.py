"""Answers survive the death of the process that stores them, wholly or not at all."""

import logging
import random
import shutil

import pytest

from benchmarks import crash_writer
from domain.answers import Kind
from labeling_store import answers
from labeling_store.db import Store
from tests.labeling_store.building import NOW, ask, claim, said, undo

TABLES = ("event", "response", "lease", "proposal", "conflict")


def test_no_acknowledged_answer_is_lost_or_doubled_when_writers_are_killed(tmp_path):
    seed = random.SystemRandom().randrange(2**32)
    logging.getLogger(__name__).warning("python -m benchmarks.crash --quick --seed %d", seed)
    outcome = crash_writer.measure(tmp_path, 20, random.Random(seed))
    assert outcome.acknowledged > 20
    assert outcome.is_good, outcome


def everything(path):
    """All rows that an answer may change."""
    store = Store.open(path)
    db = store.reader()
    rows = {}
    for name in TABLES:
        found = db.execute(f"SELECT * FROM {name}")  # noqa: S608 a constant
        rows[name] = [tuple(row) for row in found]
    assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    store.close()
    return rows


CONTRADICTING = [said("third", 1, 3, Kind.DISSIMILAR, proposal_id=2)]
TAKING_BACK = [undo("undo", "first")]


@pytest.mark.parametrize("new", [CONTRADICTING, TAKING_BACK, CONTRADICTING + TAKING_BACK])
def test_an_answer_is_stored_wholly_or_not_at_all(store, ann, new, tmp_path):
    """The files as they are before each statement are what a process that dies there leaves."""
    claim(store, ann, ask(store, 3))
    answers.record_answers(store, ann, [said("first", 1, 2, proposal_id=1), said("second", 2, 3)])
    left = []

    def keep_the_files(_):
        left.append(tmp_path / f"{len(left)}.db")
        for ending in ("", "-wal"):
            shutil.copy(f"{store.path}{ending}", f"{left[-1]}{ending}")

    before = everything(store.path)
    store.reader().set_trace_callback(keep_the_files)
    answers.record_answers(store, ann, new, now=NOW)
    store.reader().set_trace_callback(None)
    after = everything(store.path)
    assert len(left) > 10
    assert len(after["event"]) == len(before["event"]) + len(new)
    assert [path.name for path in left if everything(path) != before] == []
