"""Trained models of a project and what they scored; exactly one at most is active."""

import sqlite3
from collections.abc import Mapping

from domain.errors import StoreError
from domain.rounds import Run

_ADD = """
    INSERT INTO run (name, round_number, created_at, backbone, depth, bits, answers,
        known_pairs, active, made_by)
    VALUES (:name, :round_number, :created_at, :backbone, :depth, :bits, :answers,
        :known_pairs, 0, :made_by)
"""
_ADD_METRIC = "INSERT INTO metric (run, name, value) VALUES (:run, :name, :value)"
_ADD_IF_ABSENT = """
    INSERT INTO metric (run, name, value) VALUES (:run, :name, :value) ON CONFLICT DO NOTHING
"""
_COLUMNS = "name, round_number, created_at, backbone, depth, bits, answers, known_pairs, active"
_LIST = f"SELECT {_COLUMNS} FROM run ORDER BY created_at, rowid"  # noqa: S608 a constant
_ACTIVE = f"SELECT {_COLUMNS} FROM run WHERE active = 1"  # noqa: S608 a constant
_MADE_BY = f"SELECT {_COLUMNS} FROM run WHERE made_by = :key"  # noqa: S608 a constant
_MAKERS = "SELECT name, made_by FROM run WHERE made_by IS NOT NULL"
_METRICS = "SELECT name, value FROM metric WHERE run = :run ORDER BY name"


def add_run(db: sqlite3.Connection, run: Run, *, made_by: str | None = None) -> None:
    """Store a run with its metrics; an active one takes the place of the active one before.

    `made_by` is the key of the job that trained it.
    """
    db.execute(_ADD, {**vars(run), "metrics": None, "made_by": made_by})
    db.executemany(
        _ADD_METRIC,
        [{"run": run.name, "name": name, "value": value} for name, value in run.metrics.items()],
    )
    if run.active:
        activate_run(db, run.name)


def list_runs(db: sqlite3.Connection) -> list[Run]:
    """All runs, oldest first."""
    return [_run(db, row) for row in db.execute(_LIST).fetchall()]


def active_run(db: sqlite3.Connection) -> Run | None:
    """The run that searches and proposes, None before the first."""
    row = db.execute(_ACTIVE).fetchone()
    return _run(db, row) if row else None


def run_made_by(db: sqlite3.Connection, key: str) -> Run | None:
    """The run that a job trained, None if it has not."""
    row = db.execute(_MADE_BY, {"key": key}).fetchone()
    return _run(db, row) if row else None


def makers(db: sqlite3.Connection) -> dict[str, str]:
    """The key of the job that trained each run, by the run's name; of those that a job did."""
    return dict(db.execute(_MAKERS).fetchall())


def add_metrics(db: sqlite3.Connection, name: str, metrics: Mapping[str, float]) -> None:
    """Keep further figures of a run; those that it has stay as they are."""
    values = [{"run": name, "name": metric, "value": value} for metric, value in metrics.items()]
    db.executemany(_ADD_IF_ABSENT, values)


def activate_run(db: sqlite3.Connection, name: str) -> None:
    """Make an earlier (or later) run the active one.

    Raises:
        StoreError: there is no run of that name.
    """
    if db.execute("SELECT 1 FROM run WHERE name = :name", {"name": name}).fetchone() is None:
        raise StoreError(f'There is no run "{name}".', "Choose one of the runs listed.")
    db.execute("UPDATE run SET active = 0 WHERE active = 1")
    db.execute("UPDATE run SET active = 1 WHERE name = :name", {"name": name})


def activate_none(db: sqlite3.Connection) -> None:
    """Leave no run active, as before the first: its files are gone."""
    db.execute("UPDATE run SET active = 0 WHERE active = 1")


def _run(db: sqlite3.Connection, row: sqlite3.Row) -> Run:
    metrics = dict(db.execute(_METRICS, {"run": row["name"]}).fetchall())
    return Run(**{**dict(row), "active": bool(row["active"])}, metrics=metrics)
