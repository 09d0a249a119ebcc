"""The conflicts queue: contradictions people should look at, kept in step with the answer log."""

import json
import sqlite3

from domain.answers import Conflict
from domain.pairs import Pair
from labeling_store.ledger import Ledger

_OPEN = """
    SELECT conflict_id, a, b, event_id, evidence, opened_at FROM conflict
    WHERE closed_at IS NULL ORDER BY conflict_id
"""
_ADD = """
    INSERT INTO conflict (a, b, event_id, evidence, opened_at)
    VALUES (:a, :b, :event_id, :evidence, :now)
"""
_CLOSE = "UPDATE conflict SET closed_at = :now WHERE conflict_id = :conflict_id"
_CHANGE = """
    UPDATE conflict SET event_id = :event_id, evidence = :evidence
    WHERE conflict_id = :conflict_id
"""


def open_conflicts(db: sqlite3.Connection) -> list[Conflict]:
    """Contradictions that still hold, oldest first."""
    return [
        Conflict(
            conflict_id=row["conflict_id"],
            pair=Pair(row["a"], row["b"]),
            event_id=row["event_id"],
            evidence=tuple(Pair(*each) for each in json.loads(row["evidence"])),
            opened_at=row["opened_at"],
        )
        for row in db.execute(_OPEN)
    ]


def update_conflicts(db: sqlite3.Connection, ledger: Ledger, *, now: str) -> None:
    """Open what the ledger found, and close what no longer holds (an answer was taken back)."""
    findings = ledger.findings()
    for conflict in open_conflicts(db):
        finding = findings.pop(conflict.pair, None)
        ids = {"conflict_id": conflict.conflict_id}
        if finding is None:
            db.execute(_CLOSE, {**ids, "now": now})
        elif (finding.event_id, finding.evidence) != (conflict.event_id, conflict.evidence):
            values = {"event_id": finding.event_id, "evidence": json.dumps(finding.evidence)}
            db.execute(_CHANGE, {**ids, **values})
    for pair, finding in findings.items():
        values = {"event_id": finding.event_id, "evidence": json.dumps(finding.evidence)}
        db.execute(_ADD, {**pair._asdict(), **values, "now": now})
