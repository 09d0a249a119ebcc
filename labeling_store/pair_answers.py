"""What a member, or everybody, has said of given pairs; for pages that show pairs on their own."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from domain.answers import Kind
from domain.pairs import Pair
from labeling_store.db import Store

_OWN = """
    SELECT e.event_id, e.key, e.kind, e.a, e.b,
        EXISTS (SELECT 1 FROM event AS v WHERE v.kind = 'void' AND v.refers_to = e.event_id)
            AS taken_back
    FROM json_each(:pairs) AS asked
    JOIN event AS e ON e.a = asked.value ->> 0 AND e.b = asked.value ->> 1
    WHERE e.member_id = :member_id
    ORDER BY e.event_id
"""


@dataclass(frozen=True)
class OwnAnswer:
    """What a member has said of a pair.

    Attributes:
        last_event_id: of their newest event about the pair, voids included.
        kind: of the answer that stands; None where none does.
        key: of that answer, to take it back; empty where none stands.
    """

    last_event_id: int
    kind: Kind | None
    key: str


def own_answers(
    db: sqlite3.Connection, member_id: int, pairs: Sequence[Pair]
) -> dict[Pair, OwnAnswer]:
    """A member's newest standing answer to each pair; pairs they never answered are absent."""
    asked = {"pairs": json.dumps(pairs), "member_id": member_id}
    found: dict[Pair, OwnAnswer] = {}
    for row in db.execute(_OWN, asked):
        of = Pair(row["a"], row["b"])
        before = found.get(of)
        stands = not row["taken_back"] and row["kind"] not in (Kind.VOID, Kind.RESOLUTION)
        kind = Kind(row["kind"]) if stands else before and before.kind
        key = row["key"] if stands else before.key if before else ""
        found[of] = OwnAnswer(row["event_id"], kind or None, key)
    return found


def relations_of(store: Store, pairs: Sequence[Pair]) -> dict[Pair, bool]:
    """What all answers say of each pair, by themselves or by implication; others are absent."""
    ledger = store.ledger
    with ledger.lock, store.snapshot() as db:
        ledger.catch_up(db)
        found = {each: ledger.relation(each) for each in pairs}
    return {each: similar for each, similar in found.items() if similar is not None}


def groups_of_similar(store: Store) -> list[tuple[int, ...]]:
    """Images that answers call similar, directly or through others; groups of two or more."""
    with store.ledger.lock, store.snapshot() as db:
        store.ledger.catch_up(db)
        groups = store.ledger.components()
    return [group for group in groups if len(group) > 1]
