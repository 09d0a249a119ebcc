"""Rounds: who proposed their questions, and how far they are."""

import sqlite3
from collections.abc import Sequence

from domain.clock import utc_now
from domain.rounds import Round, RoundState

_COLUMNS = "round_id, number, strategy, state, model, created_at, target, notes"
_ADD = f"""
    INSERT INTO round (number, strategy, state, model, created_at, made_by, target, notes)
    VALUES (:number, :strategy, :state, :model, :created_at, :made_by, :target, :notes)
    RETURNING {_COLUMNS}
"""  # noqa: S608 a constant
_LIST = f"SELECT {_COLUMNS} FROM round ORDER BY number"  # noqa: S608 a constant
_NEWEST = f"SELECT {_COLUMNS} FROM round ORDER BY number DESC LIMIT 1"  # noqa: S608 a constant
_SET_STATE = "UPDATE round SET state = :state WHERE round_id = :round_id"
_SET_SOURCE = """
    UPDATE round SET strategy = :strategy, model = :model, made_by = :made_by,
        target = :target, notes = :notes
    WHERE round_id = :round_id
"""
_MADE_BY = f"SELECT {_COLUMNS} FROM round WHERE made_by = :key"  # noqa: S608 a constant


def create_round(
    db: sqlite3.Connection,
    *,
    number: int,
    strategy: str,
    model: str | None,
    target: int | None = None,
    made_by: str | None = None,
    notes: Sequence[str] = (),
) -> Round:
    """A new round that collects answers; its number must be new.

    Args:
        target: after how many answers it can be trained on; None: all its questions.
        made_by: the key of the job that chose its questions.
        notes: what was out of the ordinary in choosing them.
    """
    row = db.execute(
        _ADD,
        {
            "number": number,
            "strategy": strategy,
            "state": RoundState.COLLECTING.value,
            "model": model,
            "created_at": utc_now(),
            "made_by": made_by,
            "target": target,
            "notes": "\n".join(notes),
        },
    ).fetchone()
    return _round(row)


def current_round(db: sqlite3.Connection) -> Round | None:
    """The round with the highest number, None before the first."""
    row = db.execute(_NEWEST).fetchone()
    return _round(row) if row else None


def list_rounds(db: sqlite3.Connection) -> list[Round]:
    """All rounds by ascending number."""
    return [_round(row) for row in db.execute(_LIST)]


def set_round_state(db: sqlite3.Connection, round_id: int, state: RoundState) -> None:
    """Say how far a round is."""
    db.execute(_SET_STATE, {"round_id": round_id, "state": state.value})


def set_round_source(
    db: sqlite3.Connection,
    round_id: int,
    *,
    strategy: str,
    model: str,
    target: int | None = None,
    made_by: str | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Say how questions were chosen that replaced a round's; see `create_round`."""
    values = {"strategy": strategy, "model": model, "target": target, "made_by": made_by}
    lines = {"round_id": round_id, "notes": "\n".join(notes)}
    db.execute(_SET_SOURCE, {**values, **lines})


def round_made_by(db: sqlite3.Connection, key: str) -> Round | None:
    """The round whose questions a job chose, None if it has not, or others took their place."""
    row = db.execute(_MADE_BY, {"key": key}).fetchone()
    return _round(row) if row else None


def _round(row: sqlite3.Row) -> Round:
    notes = tuple(row["notes"].splitlines())
    return Round(**{**dict(row), "state": RoundState(row["state"]), "notes": notes})
