import sqlite3
import threading
import time

import pytest

from domain.answers import Kind
from domain.errors import StoreError
from labeling_store import answers, checks
from labeling_store.db import Store
from tests.labeling_store.building import said


def test_a_copy_is_of_one_moment_while_others_write(store, ann, bob, tmp_path):
    stop = threading.Event()

    def answer_on(member):
        number = 0
        while not stop.is_set():
            number += 1
            pair_of_events = [said(f"{member.name} {number} {half}", 1, 2) for half in "ab"]
            answers.record_answers(store, member, pair_of_events)

    writers = [threading.Thread(target=answer_on, args=(each,)) for each in (ann, bob)]
    for writer in writers:
        writer.start()
    try:
        for number in range(5):
            time.sleep(0.05)
            before = answers.last_event_id(store.reader())
            path = tmp_path / f"copy{number}.db"
            store.copy_to(path)
            assert_whole_copy(path, before)
    finally:
        stop.set()
        for writer in writers:
            writer.join()


def assert_whole_copy(path, at_least):
    checks.check_copy(path)
    copy = Store(path, read_only=True)
    keys = [event.key for event in answers.events(copy.reader())]
    copy.close()
    assert len(keys) >= at_least > 0
    halves = [key.rsplit(" ", 1) for key in keys]
    assert {name for name, half in halves if half == "a"} == {
        name for name, half in halves if half == "b"
    }
    assert [each.name for each in path.parent.glob(f"{path.name}-*")] == []


def test_a_damaged_copy_is_refused(store, ann, tmp_path):
    answers.record_answers(store, ann, [said(f"k{n}", 1, 2) for n in range(500)])
    path = tmp_path / "copy.db"
    store.copy_to(path)
    content = bytearray(path.read_bytes())
    content[8192:8292] = b"\xff" * 100
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"):
        checks.check_copy(path)


def test_checks_find_nothing_in_a_healthy_store(store, ann, bob):
    answers.record_answers(store, ann, [said("k1", 1, 2), said("k2", 2, 3)])
    answers.record_answers(store, bob, [said("k3", 1, 999), said("k4", 1, 3)])
    for check in (checks.damage, checks.missing_parts, checks.lost_answers):
        assert check(store) == []
    assert checks.stale_conflicts(store) == []


def tampered(store, statement):
    """Changes the file as no program of ours does, past triggers and foreign keys."""
    with sqlite3.connect(store.path) as db:
        db.execute("DROP TRIGGER IF EXISTS event_is_never_deleted")
        db.execute(statement)
    db.close()


@pytest.mark.parametrize(
    ("statement", "check", "words"),
    [
        ("SELECT 1", checks.missing_parts, "trigger event_is_never_deleted is missing"),
        ("DROP INDEX event_pair", checks.missing_parts, "index event_pair is missing"),
        ("DELETE FROM event WHERE event_id = 2", checks.lost_answers, "has 2 answers, but 3 were"),
        ("DELETE FROM member", checks.damage, "3 rows of event refer to nothing"),
        ("DELETE FROM conflict", checks.stale_conflicts, "1 open conflicts are not those"),
    ],
)
def test_checks_say_what_is_wrong(store, ann, statement, check, words):
    different = said("k3", 1, 3, Kind.DISSIMILAR)
    answers.record_answers(store, ann, [said("k1", 1, 2), said("k2", 2, 3)])
    answers.record_answers(store, ann, [different])
    tampered(store, statement)
    assert any(words in problem for problem in check(store)), check(store)
