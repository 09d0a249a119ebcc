"""Versions of the two databases' schemas, and bringing a file to the newest one.

A migration is never edited after a release. `transform()` of sqlite-utils drops triggers: a
migration that uses it makes them again.
"""

import sqlite3
from pathlib import Path

from sqlite_utils import Database, Migrations

from domain.errors import SchemaError, StoreError
from labeling_store import schema

LABELS = Migrations("labels")
JOBS = Migrations("jobs")
JOBS_FILE = "jobs.db"
APPLICATION_ID = 0x414E4E4C  # "ANNL" in the file's header: this database is ours

_TABLES = "SELECT count(*) FROM sqlite_schema WHERE type = 'table'"


@LABELS()
def m0001_labels(db: Database) -> None:
    """Images, members, rounds, questions, leases, the answer log, conflicts and runs."""
    for statement in schema.LABELS_0001:
        db.conn.execute(statement)


@JOBS()
def m0001_jobs(db: Database) -> None:
    """Jobs of the worker and their logs."""
    for statement in schema.JOBS_0001:
        db.conn.execute(statement)


def migrations_of(path: Path) -> Migrations:
    """Which schema a file has, by its name."""
    return JOBS if path.name == JOBS_FILE else LABELS


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring a file to the newest schema, once, whoever else starts at the same time.

    Raises:
        SchemaError: a newer version of the program wrote the file.
        StoreError: the file is a database of something else.
    """
    check_version(db, path)
    if not migrations_of(path).pending(Database(db)):
        return
    # sqlite-utils begins deferred transactions, with which all but one of several processes that
    # start together fail; inside this one they become savepoints.
    db.execute("BEGIN IMMEDIATE")
    try:
        migrations_of(path).apply(Database(db))
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
    (written_by,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute(_TABLES).fetchone()
    if tables and written_by != APPLICATION_ID:
        raise StoreError(f"{path} is a database of another program.", "Choose another file.")
    migrations = migrations_of(path)
    known = {migration.name for migration in migrations._migrations}
    newer = {done.name for done in migrations.applied(Database(db))} - known
    if newer:
        raise SchemaError(
            f"{path} was written by a newer version of Anneal (schema {max(newer)}; this version "
            f"knows {max(known)}).",
            "Update Anneal, or bring a backup back that this version wrote.",
        )
