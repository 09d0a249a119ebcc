"""Databases that past versions of the program wrote are brought up with all that is in them.

The files in `tests/fixtures/schemas` are dumps of databases that the program of that time made, run
from its commit, with every kind of row. With a migration comes one of its version.
"""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from domain.answers import Kind, Propagation
from domain.errors import SchemaError
from domain.members import Member, Role
from domain.pairs import Pair
from domain.sign_ins import Identity
from labeling_store import (
    answers,
    checks,
    conflicts,
    flags,
    guides,
    images,
    jobs,
    members,
    relations,
    rounds,
    runs,
    sign_ins,
)
from labeling_store.db import Store
from labeling_store.exchange import COLUMNS, import_rows
from labeling_store.migrations import APPLICATION_ID, MIGRATIONS
from tests.labeling_store.building import claim, exported, said, take_back
from tests.labeling_store.test_migrations import schema_of, written_by_version

FIXTURES = Path(__file__).parents[1] / "fixtures" / "schemas"
LABELS = sorted(FIXTURES.glob("labels-*.sql"))
JOBS = sorted(FIXTURES.glob("jobs-*.sql"))
LATER = "2026-02-01T00:00:00.000+00:00"
EVERYTHING = "SELECT * FROM "
NUMBER = re.compile(r"m(\d{4})")
OWNER, ANN = Member(1, "owner", Role.OWNER), Member(2, "ann", Role.ANNOTATOR)


def loaded(dump, folder):
    """The database of a dump, in a file."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{dump.name.split('-')[0]}.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(dump.read_text(encoding="utf-8"))
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.commit()
    return path


def number_of(dump):
    return int(NUMBER.search(dump.name)[1])


def content(path):
    """Every row of every table, by column name."""
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        tables = [
            name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
        ours = [name for name in tables if not name.startswith(("sqlite_", "_sqlite"))]
        return {name: [dict(row) for row in db.execute(EVERYTHING + name)] for name in ours}


@pytest.fixture(params=LABELS, ids=lambda dump: dump.stem)
def old(request, tmp_path):
    """A file as a past version left it."""
    return loaded(request.param, tmp_path)


@pytest.fixture
def store(old):
    opened = Store.open(old)
    yield opened
    opened.close()


@pytest.mark.parametrize(("schema", "dumps"), [("labels", LABELS), ("jobs", JOBS)])
def test_there_is_a_dump_of_the_newest_version_and_of_those_before(schema, dumps):
    """m0010 was followed by two in one release."""
    numbers = [int(NUMBER.search(step.__name__)[1]) for step in MIGRATIONS[schema]]
    assert [number_of(dump) for dump in dumps] == [each for each in numbers if each != 11]


@pytest.mark.parametrize("dump", [*LABELS, *JOBS], ids=lambda dump: dump.stem)
def test_a_migration_is_never_edited_after_its_version(dump, tmp_path, monkeypatch):
    past = loaded(dump, tmp_path / "past")
    (tmp_path / "now").mkdir()
    now = written_by_version(number_of(dump), tmp_path / "now" / past.name, monkeypatch)
    with closing(sqlite3.connect(past)) as db:
        kept = {tuple(row) for row in db.execute("SELECT type, name, sql FROM sqlite_schema")}
    made = {tuple(row) for row in schema_of(now)}
    now.close()
    assert {squeezed(part) for part in made} == {squeezed(part) for part in kept if part[2]}


def squeezed(part):
    """A dump changes white space at the ends of statements."""
    kind, name, sql = part
    return kind, name, " ".join(sql.split())


@pytest.mark.parametrize("dump", [*LABELS, *JOBS], ids=lambda dump: dump.stem)
def test_the_schema_is_that_of_a_fresh_database(dump, tmp_path):
    upgraded = Store.open(loaded(dump, tmp_path / "past"))
    (tmp_path / "new").mkdir()
    fresh = Store.open(tmp_path / "new" / upgraded.path.name, create=True)
    assert {squeezed(part) for part in schema_of(upgraded)} == {
        squeezed(part) for part in schema_of(fresh)
    }
    upgraded.close()
    fresh.close()


@pytest.mark.parametrize("dump", [*LABELS, *JOBS], ids=lambda dump: dump.stem)
def test_every_row_is_kept(dump, tmp_path):
    path = loaded(dump, tmp_path)
    before = content(path)
    Store.open(path).close()
    after = content(path)
    assert sum(map(len, before.values())) > (30 if dump in LABELS else 2)
    for table, rows in before.items():
        old_columns = rows[0].keys() if rows else ()
        kept = [{name: row[name] for name in old_columns} for row in after[table]]
        assert kept == rows, table


def test_the_log_stays_append_only(store):
    for statement in ("UPDATE event SET kind = 'skip'", "DELETE FROM event"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"), store.transaction() as db:
            db.execute(statement)
    assert answers.last_event_id(store.reader()) == 11


def test_what_people_did_reads_as_before(store):
    db = store.reader()
    events = list(answers.events(db))
    assert [event.kind for event in events] == [
        *("similar", "similar", "dissimilar", "unsure", "skip", "similar", "void", "dissimilar"),
        *("similar", "dissimilar", "resolution"),
    ]
    assert [event.member for event in events][6:9] == ["owner", "éva", "owner"]
    assert answers.effort(db).bits == 6
    assert [image.path for image in images.list_images(db)][3:5] == [
        "forest/é.png",
        "=river/c1.png",
    ]
    assert [each.name for each in members.list_members(db)] == ["owner", "ann", "éva"]
    assert [run.active for run in runs.list_runs(db)] == [False, True]
    assert [each.state for each in rounds.list_rounds(db)] == ["collecting"]
    assert [each.pair for each in conflicts.open_conflicts(db)] == [Pair(1, 3)]
    known = relations.known_relations(store, Propagation.CLOSURE)
    assert {each.pair for each in known if each.similar} >= {Pair(1, 2)}


def test_flags_instructions_and_sign_ins_of_m0012_read_as_before(tmp_path):
    store = Store.open(loaded(FIXTURES / "labels-m0012.sql", tmp_path))
    db = store.reader()
    (flag,) = flags.open_flags(db, limit=10)
    assert (flag.member, flag.image_ids, flag.note) == ("ann", (1, 2), "clouds; =1+1 <b>")
    guide = guides.newest_guide(db)
    assert guide.text == "Same land use, whatever the season."
    assert [(each.pair, each.similar) for each in guide.examples] == [
        ((1, 2), True),
        ((1, 5), False),
    ]
    assert sign_ins.member_of(db, Identity("https://id.example.org", "4711")) == ANN
    assert sign_ins.expected(db, "eva@example.org").name == "éva"
    store.close()


def test_the_checks_find_nothing(store):
    for check in (checks.damage, checks.lost_answers, checks.stale_conflicts):
        assert check(store) == []


def test_people_go_on(store):
    taken = answers.find_event(store.reader(), "click-0")
    take_back(store, ANN, taken.key, now=LATER)
    (asked,) = claim(store, ANN, 1, count=1, now=LATER)
    assert asked.pair == taken.pair
    new = said("new", *asked.pair, Kind.DISSIMILAR, proposal_id=asked.proposal_id)
    (receipt,) = answers.record_answers(store, ANN, [new])
    assert (receipt.event_id, receipt.message) == (13, "")


def test_their_exports_go_into_a_new_project(store, tmp_path):
    rows = exported(store, "answers")
    assert set(rows[0]) == set(COLUMNS["answers"])
    again = import_rows(store, OWNER, rows, pause=lambda _: None)
    assert (again.stored, again.repeated) == (0, 11)


@pytest.mark.parametrize("dump", JOBS, ids=lambda dump: dump.stem)
def test_jobs_of_past_versions_are_listed_and_done(dump, tmp_path):
    queue = Store.open(loaded(dump, tmp_path))
    assert [(job.kind, job.state) for job in jobs.list_jobs(queue)] == [
        ("round", "queued"),
        ("prepare", "done"),
    ]
    assert [line.text for line in jobs.job_log(queue, 1)] == ["it's done"]
    job = jobs.claim_job(queue, "w", now=LATER)
    assert job.params == {"pairs": 3, "device": "cpu"}
    queue.close()


def test_a_newer_schema_is_refused_and_left_alone(old):
    newest = MIGRATIONS["labels"][-1].__name__
    Store.open(old).close()
    with closing(sqlite3.connect(old)) as db:
        db.execute("UPDATE _sqlite_migrations SET name = 'm9999_labels' WHERE name = ?", (newest,))
        db.commit()
    before = old.read_bytes()
    with pytest.raises(SchemaError, match=r"newer version of Anneal \(schema m9999_labels"):
        Store.open(old)
    assert old.read_bytes() == before
