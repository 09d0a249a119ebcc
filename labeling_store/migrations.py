"""Versions of the two databases' schemas, and bringing a file to the newest one.

A migration is never edited after a release. `transform()` of sqlite-utils drops triggers: a
migration that uses it makes them again.
"""

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from domain.errors import SchemaError, StoreError
from labeling_store import first_schema, schema

if TYPE_CHECKING:
    from sqlite_utils import Database

Migration = Callable[["Database"], None]

APPLICATION_ID = 0x414E4E4C  # "ANNL" in the file's header: this database is ours
JOBS_FILE = "jobs.db"

_TABLES = "SELECT count(*) FROM sqlite_schema WHERE type = 'table'"
_HAS_VERSIONS = "SELECT count(*) FROM sqlite_schema WHERE name = '_sqlite_migrations'"
_APPLIED = "SELECT name FROM _sqlite_migrations WHERE migration_set = :schema"


def m0001_labels(db: "Database") -> None:
    """Images, members, rounds, questions, leases, the answer log, conflicts and runs."""
    for statement in first_schema.LABELS_0001:
        db.conn.execute(statement)


def m0002_labels(db: "Database") -> None:
    """Which job made a run and a round's questions."""
    for statement in schema.LABELS_0002:
        db.conn.execute(statement)


def m0003_labels(db: "Database") -> None:
    """How many answers a round wants; it may have more questions."""
    for statement in schema.LABELS_0003:
        db.conn.execute(statement)


def m0004_labels(db: "Database") -> None:
    """What a lead should know about a round's questions."""
    for statement in schema.LABELS_0004:
        db.conn.execute(statement)


def m0005_labels(db: "Database") -> None:
    """Questions that are passed over once their answer is implied; chains found quicker."""
    for statement in schema.LABELS_0005:
        db.conn.execute(statement)


def m0006_labels(db: "Database") -> None:
    """Members who left, and tokens of scripts."""
    for statement in schema.LABELS_0006:
        db.conn.execute(statement)


def m0007_labels(db: "Database") -> None:
    """Hidden repeats for one member, second opinions found quickly, and reports about people."""
    for statement in schema.LABELS_0007:
        db.conn.execute(statement)


def m0010_labels(db: "Database") -> None:
    """Open questions and leases that hold, found without looking at the others."""
    for statement in schema.LABELS_0010:
        db.conn.execute(statement)


def m0011_labels(db: "Database") -> None:
    """Flags of annotators, and instructions for them."""
    for statement in schema.LABELS_0011:
        db.conn.execute(statement)


def m0012_labels(db: "Database") -> None:
    """By whom members are known who sign in with a provider."""
    for statement in schema.LABELS_0012:
        db.conn.execute(statement)


def m0001_jobs(db: "Database") -> None:
    """Jobs of the worker and their logs."""
    for statement in first_schema.JOBS_0001:
        db.conn.execute(statement)


def m0002_jobs(db: "Database") -> None:
    """Keys by which a job finds what an earlier attempt did, and who queued it."""
    for statement in schema.JOBS_0002:
        db.conn.execute(statement)


MIGRATIONS: Mapping[str, tuple[Migration, ...]] = {
    "labels": (
        m0001_labels,
        m0002_labels,
        m0003_labels,
        m0004_labels,
        m0005_labels,
        m0006_labels,
        m0007_labels,
        m0010_labels,
        m0011_labels,
        m0012_labels,
    ),
    "jobs": (m0001_jobs, m0002_jobs),
}


def schema_of(path: Path) -> str:
    """Which schema a file has, by its name."""
    return "jobs" if path.name == JOBS_FILE else "labels"


def newest(schema_name: str) -> str:
    """The name of the newest version of a schema that this program knows."""
    return MIGRATIONS[schema_name][-1].__name__


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring a file to the newest schema, once, whoever else starts at the same time.

    Raises:
        SchemaError: a newer version of the program wrote the file.
        StoreError: the file is a database of something else.
    """
    check_version(db, path)
    if {step.__name__ for step in MIGRATIONS[schema_of(path)]} <= _applied(db, path):
        return
    # sqlite-utils begins deferred transactions, with which all but one of several processes that
    # start together fail; inside this one they become savepoints.
    db.execute("BEGIN IMMEDIATE")
    try:
        _apply(db, path)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def check_version(db: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that this version of the program does not understand.

    Raises:
        SchemaError: a newer version of the program wrote the file.
        StoreError: the file is a database of something else.
    """
    # In this order: another process may create the tables between the two statements.
    (tables,) = db.execute(_TABLES).fetchone()
    (written_by,) = db.execute("PRAGMA application_id").fetchone()
    if tables and written_by != APPLICATION_ID:
        raise StoreError(f"{path} is a database of another program.", "Choose another file.")
    known = {step.__name__ for step in MIGRATIONS[schema_of(path)]}
    newer = _applied(db, path) - known
    if newer:
        raise SchemaError(
            f"{path} was written by a newer version of Anneal (schema {max(newer)}; this version "
            f"knows {max(known)}).",
            "Update Anneal, or bring a backup back that this version wrote.",
        )


def _applied(db: sqlite3.Connection, path: Path) -> set[str]:
    if db.execute(_HAS_VERSIONS).fetchone()[0] == 0:
        return set()
    return {row["name"] for row in db.execute(_APPLIED, {"schema": schema_of(path)})}


def _apply(db: sqlite3.Connection, path: Path) -> None:
    # Imported here because it imports pandas: more than a second at every start of the program.
    from sqlite_utils import Database, Migrations

    migrations = Migrations(schema_of(path))
    for step in MIGRATIONS[schema_of(path)]:
        migrations()(step)
    migrations.apply(Database(db))
