import subprocess
import sys
import time

import pytest
from sqlite_utils import Database

from domain.answers import Kind
from domain.members import Member, Role
from labeling_store import jobs, migrations, rounds
from labeling_store.db import Store
from tests.labeling_store.building import answer, catalogue, claim, pairs_of

OPENER = """
import sys, time
from pathlib import Path
sys.modules["pandas"] = None  # sqlite-utils can do without, and starts in a tenth of the time
from labeling_store.db import Store
time.sleep(max(0, float(sys.argv[2]) - time.time()))
for name in ("labels.db", "jobs.db"):
    store = Store.open(Path(sys.argv[1]) / name, create=True)
    print(store.reader().execute("SELECT count(*) FROM _sqlite_migrations").fetchone()[0])
"""
OLD_QUESTION = """
    INSERT INTO proposal (round_id, a, b, rank, score, reason, is_check, chain, chain_position)
    VALUES (:round_id, 1, :b, 0, 0, '', 0, 0, :place)
"""
SCHEMA = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name"


def schema_of(store):
    return [tuple(row) for row in store.reader().execute(SCHEMA)]


def test_four_processes_may_start_at_once(tmp_path):
    start_at = str(time.time() + 1)
    command = [sys.executable, "-c", OPENER, str(tmp_path), start_at]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    outputs = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0] * 4, outputs
    known = [str(len(migrations.MIGRATIONS[schema])) for schema in ("labels", "jobs")]
    assert [out.split() for out, _ in outputs] == [known] * 4


def test_opening_again_changes_nothing(tmp_path):
    first = Store.open(tmp_path / "labels.db", create=True)
    before = schema_of(first)
    first.close()
    second = Store.open(tmp_path / "labels.db", create=True)
    assert schema_of(second) == before
    assert {name for _, name, _ in before} >= {"event", "event_is_never_changed", "lease"}
    second.close()


def later_version(*steps):
    return {**migrations.MIGRATIONS, "labels": (*migrations.MIGRATIONS["labels"], *steps)}


def number_of(step):
    """The number in a migration's name; some numbers were never used."""
    return int(step.__name__[1:5])


def written_by_version(number, path, monkeypatch):
    """A store in a file of an earlier schema, as an old project has it."""
    known = {
        schema: tuple(step for step in steps if number_of(step) <= number)
        for schema, steps in migrations.MIGRATIONS.items()
    }
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "MIGRATIONS", known)
        return Store.open(path, create=True)


PAST_VERSIONS = [
    (name, number_of(step))
    for name in ("labels.db", "jobs.db")
    for step in migrations.MIGRATIONS[name.removesuffix(".db")][:-1]
]


def m0002_notes(db: Database) -> None:
    db.conn.execute("CREATE TABLE note (text TEXT) STRICT")


def m0003_fails(db: Database) -> None:
    db.conn.execute("CREATE TABLE half (text TEXT) STRICT")
    raise ZeroDivisionError


def test_a_failing_migration_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    Store.open(tmp_path / "labels.db", create=True).close()
    monkeypatch.setattr(migrations, "MIGRATIONS", later_version(m0002_notes, m0003_fails))
    with pytest.raises(ZeroDivisionError):
        Store.open(tmp_path / "labels.db")
    monkeypatch.undo()
    store = Store.open(tmp_path / "labels.db")
    assert not {"note", "half"} & {name for _, name, _ in schema_of(store)}
    store.close()


def test_a_later_version_brings_an_old_file_up(tmp_path, monkeypatch):
    Store.open(tmp_path / "labels.db", create=True).close()
    monkeypatch.setattr(migrations, "MIGRATIONS", later_version(m0002_notes))
    old = Store.open(tmp_path / "labels.db")
    fresh = Store.open(tmp_path / "fresh.db", create=True)
    assert schema_of(old) == schema_of(fresh)
    old.close()
    fresh.close()


@pytest.mark.parametrize(("name", "number"), PAST_VERSIONS)
def test_a_file_of_a_past_version_gets_the_newest_schema(tmp_path, monkeypatch, name, number):
    written_by_version(number, tmp_path / name, monkeypatch).close()
    old = Store.open(tmp_path / name)
    (tmp_path / "fresh").mkdir()
    fresh = Store.open(tmp_path / "fresh" / name, create=True)
    assert schema_of(old) == schema_of(fresh)
    old.close()
    fresh.close()


def test_questions_of_the_fourth_version_are_asked_also_when_implied(tmp_path, monkeypatch):
    old = written_by_version(4, tmp_path / "labels.db", monkeypatch)
    catalogue(old, train=4)
    with old.transaction() as db:
        db.execute("INSERT INTO member (name, role) VALUES ('ann', 'annotator')")
        asked_in = rounds.create_round(db, number=1, strategy="components", model=None)
        for place, b in enumerate((2, 3)):
            db.execute(OLD_QUESTION, {"round_id": asked_in.round_id, "b": b, "place": place})
    old.close()
    store = Store.open(tmp_path / "labels.db")
    ann = Member(1, "ann", Role.ANNOTATOR)
    answer(store, ann, 2, 4, Kind.SIMILAR)
    answer(store, ann, 1, 4, Kind.DISSIMILAR)
    assert pairs_of(claim(store, ann, asked_in.round_id)) == [(1, 2)]
    store.close()


def test_jobs_of_the_first_version_get_a_key_each(tmp_path, monkeypatch):
    old = written_by_version(1, tmp_path / "jobs.db", monkeypatch)
    with old.transaction() as db:
        for kind in ("train", "round"):
            db.execute("INSERT INTO job (kind, params, created_at) VALUES (?, '{}', '')", (kind,))
    old.close()
    store = Store.open(tmp_path / "jobs.db")
    found = jobs.list_jobs(store)
    assert [job.kind for job in found] == ["round", "train"]
    assert len({job.key for job in found} - {""}) == 2
    store.close()
