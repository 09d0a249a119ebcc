import os
import sqlite3
import threading

import pytest

from domain.clock import utc_now
from domain.errors import SchemaError, StoreError
from domain.images import Part
from domain.members import Role
from domain.rounds import RoundState, Run
from labeling_store import answers, db, images, jobs, members, queue, rounds, runs
from labeling_store.db import Store
from labeling_store.migrations import APPLICATION_ID
from tests.labeling_store.building import ask, catalogue, claim, said, scanned, undo


def test_a_missing_file_is_named_with_the_next_step(tmp_path):
    with pytest.raises(StoreError, match=r"labels.db is missing.*init --images"):
        Store.open(tmp_path / "labels.db")
    assert not (tmp_path / "labels.db").exists()


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough to look at"])
def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "labels.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is no database of Anneal"):
        Store.open(path)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_refused(tmp_path):
    path = tmp_path / "labels.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE recipe (name TEXT)")
    other.close()
    with pytest.raises(StoreError, match="another program"):
        Store.open(path, create=True)


def test_a_truncated_database_is_called_damaged(tmp_path):
    path = tmp_path / "labels.db"
    Store.open(path, create=True).close()
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(StoreError, match="damaged"):
        Store.open(path)


@pytest.mark.parametrize("name", ["labels.db", "jobs.db"])
def test_a_newer_schema_is_refused(tmp_path, name):
    path = tmp_path / name
    store = Store.open(path, create=True)
    with store.transaction() as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES (?, ?, '')",
            (name.removesuffix(".db"), "m0999_from_the_future"),
        )
    store.close()
    with pytest.raises(SchemaError, match=r"newer version.*m0999_from_the_future"):
        Store.open(path)


def test_a_read_only_project_can_be_read_but_not_written(tmp_path, monkeypatch):
    path = tmp_path / "labels.db"
    writable = Store.open(path, create=True)
    catalogue(writable, train=3)
    writable.close()
    monkeypatch.setattr(os, "access", lambda where, mode: mode != os.W_OK)
    store = Store.open(path)
    assert len(images.list_images(store.reader())) == 3
    with pytest.raises(StoreError, match="cannot be written"), store.transaction() as connection:
        connection.execute("DELETE FROM quarantine")
    store.close()


def test_an_error_takes_the_whole_transaction_back(store):
    def add_and_fail():
        with store.transaction() as connection:
            members.ensure_member(connection, "ann", Role.ANNOTATOR)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        add_and_fail()
    assert members.find_member(store.reader(), "ann") is None
    with store.transaction() as connection:
        members.ensure_member(connection, "bob", Role.ANNOTATOR)


def test_transactions_are_not_nested(store):
    with store.transaction(), pytest.raises(RuntimeError), store.transaction():
        pass


def test_another_writer_is_waited_for_and_then_reported(store, monkeypatch):
    monkeypatch.setattr(db, "BUSY_TIMEOUT_S", 0.05)
    second = Store.open(store.path)
    locked = pytest.raises(StoreError, match=r"Not saved: .* is locked")
    with store.transaction(), locked, second.transaction():
        pass
    with second.transaction() as connection:
        members.ensure_member(connection, "ann", Role.ANNOTATOR)
    second.close()


def test_a_file_that_another_is_just_making_is_waited_for(tmp_path):
    other = sqlite3.connect(tmp_path / "labels.db", isolation_level=None, check_same_thread=False)
    other.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    other.execute("BEGIN IMMEDIATE")
    done = threading.Timer(0.2, lambda: other.execute("ROLLBACK"))
    done.start()
    opened = Store.open(tmp_path / "labels.db", create=True)
    assert opened.reader().execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    done.join()
    opened.close()
    other.close()


def test_a_file_that_stays_locked_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(db, "BUSY_TIMEOUT_S", 0.1)
    other = sqlite3.connect(tmp_path / "labels.db", isolation_level=None)
    other.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked by another"):
        Store.open(tmp_path / "labels.db", create=True)
    other.close()


def test_a_full_disk_says_not_saved_and_works_again_after(store, owner):
    connection = store.reader()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()
    long = [said(f"k{n}", 1, 2 + n, reason="why " * 2000) for n in range(20)]
    with pytest.raises(StoreError, match=r"Not saved: .* the disk is full"):
        answers.record_answers(store, owner, long)
    assert answers.last_event_id(connection) == 0
    connection.execute("PRAGMA max_page_count = 100000").fetchone()
    receipts = answers.record_answers(store, owner, long)
    assert [receipt.status for receipt in receipts] == ["stored"] * 20


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event SET kind = 'dissimilar', similar = 0",
        "DELETE FROM event",
        "INSERT OR REPLACE INTO event SELECT * FROM event",
    ],
)
def test_the_answer_log_cannot_be_changed(store, owner, statement):
    answers.record_answers(store, owner, [said("k", 1, 2)])
    before = list(answers.events(store.reader()))
    with pytest.raises(sqlite3.IntegrityError, match="append-only"), store.transaction() as conn:
        conn.execute(statement)
    assert list(answers.events(store.reader())) == before


@pytest.mark.parametrize(("a", "b"), [(2, 1), (1, 1), (1, 99)])
def test_the_schema_refuses_pairs_that_cannot_be(store, owner, a, b):
    insert = """
        INSERT INTO event (key, kind, source, a, b, similar, member_id, answered_at, stored_at)
        VALUES ('k', 'similar', 'click', ?, ?, 1, 1, '', '')
    """
    with pytest.raises(sqlite3.IntegrityError), store.transaction() as connection:
        connection.execute(insert, (a, b))


def test_every_write_begins_immediate(store, owner, ann, tmp_path):
    """A deferred transaction that becomes a writer fails at once beside another writer."""
    work = Store.open(tmp_path / "jobs.db", create=True)
    statements = []
    store.reader().set_trace_callback(statements.append)
    work.reader().set_trace_callback(statements.append)
    round_id = ask(store, 5)
    claim(store, owner, round_id)
    answers.record_answers(store, owner, [said("k", 1, 2, proposal_id=1), undo("v", "k")])
    with store.transaction() as connection:
        images.add_images(
            connection,
            [scanned("x.png")],
            duplicate_groups=[1],
            split_groups=[1],
            parts=[Part.TEST],
        )
        queue.withdraw_open(connection, round_id)
        queue.release(connection)
        rounds.set_round_state(connection, round_id, RoundState.DONE)
        runs.add_run(connection, Run("r", 1, utc_now(), "b", "head", 1, 1, 1, True, {"map": 0.5}))
    job_id = jobs.enqueue(work, "train", {})
    job = jobs.claim_job(work, "w", now=utc_now())
    jobs.heartbeat(work, job_id, job.attempt, progress=0.5, message="")
    jobs.append_log(work, job_id, "line")
    jobs.finish(work, job_id, job.attempt)
    work.close()
    inside = False
    for statement in statements:
        verb = statement.split()[0].upper()
        if verb in {"INSERT", "UPDATE", "DELETE", "REPLACE"}:
            assert inside, statement
        inside = (inside or statement == "BEGIN IMMEDIATE") and verb not in {"COMMIT", "ROLLBACK"}
    assert statements.count("BEGIN IMMEDIATE") == 9


def test_every_connection_is_durable_and_checks_foreign_keys(store):
    pragmas = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "recursive_triggers": 1}
    found = {}

    def look():
        for name in [*pragmas, "wal_autocheckpoint"]:
            (found[name],) = store.reader().execute(f"PRAGMA {name}").fetchone()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == {**pragmas, "wal_autocheckpoint": 0}


def test_only_the_checkpointing_process_folds_the_log(tmp_path):
    path = tmp_path / "labels.db"
    writer = Store.open(path, create=True)
    catalogue(writer, train=50)
    writer.checkpoint()
    assert b"0050.png" not in path.read_bytes()
    keeper = Store.open(path, checkpoints=True)
    keeper.checkpoint()
    assert b"0050.png" in path.read_bytes()
    assert len(images.list_images(writer.reader())) == 50
    keeper.close()
    writer.close()


def test_a_log_that_was_folded_in_is_written_over_in_the_room_it_has(store, ann):
    keeper = Store.open(store.path, checkpoints=True)
    log = store.path.with_name("labels.db-wal")

    def answer(first):
        for number in range(first, first + 10):
            answers.record_answers(store, ann, [said(f"k{number}", 1, 2 + number % 29)])
        return log.stat().st_size

    size = answer(0)
    keeper.checkpoint()
    assert log.stat().st_size == size
    assert answer(10) == size
    keeper.checkpoint()
    store.reader().execute("PRAGMA journal_size_limit = 50000").fetchall()
    assert answer(20) < size  # a long one gives its room back
    assert len(list(answers.events(store.reader()))) == 30
    keeper.close()


def test_connections_of_ended_threads_are_closed(store):
    def read():
        store.reader().execute("SELECT 1").fetchone()

    for _ in range(20):
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    assert len(store._connections) == 1


@pytest.mark.parametrize(
    ("version", "safe"), [((3, 40, 1), False), ((3, 51, 2), False), ((3, 51, 3), True)]
)
def test_an_old_sqlite_is_a_warning(monkeypatch, version, safe):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    assert (db.sqlite_warning() is None) == safe
