"""The conflicts queue: contradictions people should look at, kept in step with the answer log."""

import json
import sqlite3
from collections.abc import Iterable, Sequence

from domain.answers import Conflict
from domain.pairs import Pair
from labeling_store.ledger import Ledger

_OPEN = """
    SELECT conflict_id, a, b, event_id, evidence, opened_at FROM conflict
    WHERE closed_at IS NULL ORDER BY conflict_id LIMIT :limit OFFSET :offset
"""
_ONE = """
    SELECT conflict_id, a, b, event_id, evidence, opened_at FROM conflict
    WHERE closed_at IS NULL AND conflict_id = :conflict_id
"""
_OF_PAIRS = """
    SELECT c.a, c.b FROM json_each(:pairs) AS asked
        JOIN conflict AS c ON c.a = asked.value ->> 0 AND c.b = asked.value ->> 1
    WHERE c.closed_at IS NULL
"""
_COUNT = "SELECT count(*) FROM conflict WHERE closed_at IS NULL"
_ADD = """
    INSERT INTO conflict (a, b, event_id, evidence, opened_at)
    VALUES (:a, :b, :event_id, :evidence, :now)
"""
_CLOSE = "UPDATE conflict SET closed_at = :now WHERE a = :a AND b = :b AND closed_at IS NULL"
_STORED = """
    SELECT event_id, evidence FROM conflict WHERE a = :a AND b = :b AND closed_at IS NULL
"""
_CHANGE = """
    UPDATE conflict SET event_id = :event_id, evidence = :evidence
    WHERE a = :a AND b = :b AND closed_at IS NULL
"""


def open_conflicts(
    db: sqlite3.Connection, *, limit: int | None = None, offset: int = 0
) -> list[Conflict]:
    """Contradictions that still hold, oldest first; all of them, or so many from a place on."""
    page = {"limit": -1 if limit is None else limit, "offset": offset}
    return [_conflict(row) for row in db.execute(_OPEN, page)]


def count_open_conflicts(db: sqlite3.Connection) -> int:
    """How many contradictions still hold."""
    (count,) = db.execute(_COUNT).fetchone()
    return int(count)


def pairs_in_conflict(db: sqlite3.Connection, pairs: Sequence[Pair]) -> set[Pair]:
    """Those of the pairs that opened a contradiction that still holds."""
    rows = db.execute(_OF_PAIRS, {"pairs": json.dumps(pairs)})
    return {Pair(row["a"], row["b"]) for row in rows}


def find_open_conflict(db: sqlite3.Connection, conflict_id: int) -> Conflict | None:
    """The conflict of that id; None if there is none, or it holds no more."""
    row = db.execute(_ONE, {"conflict_id": conflict_id}).fetchone()
    return _conflict(row) if row else None


def update_conflicts(
    db: sqlite3.Connection, ledger: Ledger, changed: Iterable[Pair], *, now: str
) -> None:
    """Open, change or close the conflicts of pairs whose finding may have changed."""
    for pair in changed:
        finding = ledger.finding(pair)
        values = {**pair._asdict(), "now": now}
        if finding is None:
            db.execute(_CLOSE, values)
            continue
        values |= {"event_id": finding.event_id, "evidence": json.dumps(finding.evidence)}
        stored = db.execute(_STORED, values).fetchone()
        if stored is None:
            db.execute(_ADD, values)
        elif tuple(stored) != (values["event_id"], values["evidence"]):
            db.execute(_CHANGE, values)


def _conflict(row: sqlite3.Row) -> Conflict:
    return Conflict(
        conflict_id=row["conflict_id"],
        pair=Pair(row["a"], row["b"]),
        event_id=row["event_id"],
        evidence=tuple(Pair(*each) for each in json.loads(row["evidence"])),
        opened_at=row["opened_at"],
    )
