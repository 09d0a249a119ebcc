"""Settling conflicts: a lead's word on pairs, stored as resolutions in the answer log.

A resolution is an event like any other: it stands until it is taken back. All that one settlement
says is stored in one transaction with what follows from it, and shares the event that it refers to,
the member and the moment.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence

from domain.answers import Conflict, Kind, NewAnswer, ReceiptStatus, Said, Settlement
from domain.clock import utc_now
from domain.errors import InputError
from domain.members import Member, Role
from domain.pairs import Pair, pair
from labeling_store.answers import writing
from labeling_store.conflicts import find_open_conflict
from labeling_store.db import Store
from labeling_store.members import check_actor
from labeling_store.recording import record

_KEY_OF = "SELECT key FROM event WHERE event_id = :event_id"
_KNOWN_KEY = "SELECT count(*) FROM event WHERE key = :key"
_STANDING = """
    kind = 'resolution' AND NOT EXISTS
        (SELECT 1 FROM event AS v WHERE v.kind = 'void' AND v.refers_to = e.event_id)
"""
_SETTLEMENTS = f"""
    SELECT max(e.event_id) AS newest, m.name AS member, e.answered_at, max(e.reason) AS reason,
        o.a AS of_a, o.b AS of_b,
        json_group_array(json_array(e.event_id, e.a, e.b, e.similar, e.key)) AS said
    FROM event AS e JOIN member AS m USING (member_id)
        LEFT JOIN event AS o ON o.event_id = e.refers_to
    WHERE e.{_STANDING.strip()}
    GROUP BY e.refers_to, e.member_id, e.answered_at
    ORDER BY newest DESC LIMIT :limit OFFSET :offset
"""  # noqa: S608 a constant
_OF_WORD = f"""
    SELECT e.key FROM event AS w JOIN event AS e ON e.refers_to IS w.refers_to
        AND e.member_id = w.member_id AND e.answered_at = w.answered_at
    WHERE w.key = :key AND w.kind = 'resolution' AND e.{_STANDING.strip()}
    ORDER BY e.event_id
"""  # noqa: S608 a constant
_COUNT = f"""
    SELECT count(*) FROM (SELECT DISTINCT refers_to, member_id, answered_at FROM event AS e
        WHERE e.{_STANDING.strip()})
"""  # noqa: S608 a constant


def settle_conflict(
    store: Store,
    actor: Member,
    seen: Conflict,
    words: Mapping[Pair, bool | None],
    *,
    key: str,
    reason: str,
) -> None:
    """Store a lead's word on pairs of a conflict; what then still contradicts is a conflict again.

    Args:
        store: people's work.
        actor: a lead or owner.
        seen: the conflict as the lead saw it.
        words: what each pair is from now on; None: it has no label.
        key: idempotency key; a settlement sent again changes nothing.
        reason: what the lead decided, in words.

    Raises:
        AccessError: the actor is no lead.
        InputError: the conflict holds no more, or has changed since.
        StoreError: nothing could be saved.
    """
    now = utc_now()
    with writing(store) as db:
        check_actor(db, actor, Role.LEAD, to="settle conflicts")
        if not db.execute(_KNOWN_KEY, {"key": _part(key, 0)}).fetchone()[0]:
            _check_unchanged(db, seen)
        opened_by = db.execute(_KEY_OF, {"event_id": seen.event_id}).fetchone()["key"]
        for number, (each, similar) in enumerate(words.items()):
            word = NewAnswer(
                key=_part(key, number),
                kind=Kind.RESOLUTION,
                pair=each,
                answered_at=now,
                reason=reason,
                refers_to_key=opened_by,
                similar=similar,
            )
            _record(db, store, actor, word, now=now)


def take_settlement_back(store: Store, actor: Member, keys: Sequence[str]) -> None:
    """Void the resolutions with these keys, all or none; done before, it changes nothing.

    Raises:
        AccessError: the actor is no lead.
        InputError: there is no such event.
        StoreError: nothing could be saved.
    """
    now = utc_now()
    with writing(store) as db:
        check_actor(db, actor, Role.LEAD, to="take settlements back")
        for key in keys:
            void = NewAnswer(
                key=f"undo {key}",
                kind=Kind.VOID,
                pair=pair(0, 1),  # the event's own counts
                answered_at=now,
                refers_to_key=key,
            )
            _record(db, store, actor, void, now=now)


def settlements(db: sqlite3.Connection, *, limit: int, offset: int = 0) -> list[Settlement]:
    """What leads have settled and not taken back, newest first."""
    return [
        _settlement(row) for row in db.execute(_SETTLEMENTS, {"limit": limit, "offset": offset})
    ]


def count_settlements(db: sqlite3.Connection) -> int:
    """How many settlements stand."""
    (count,) = db.execute(_COUNT).fetchone()
    return int(count)


def keys_of_settlement(db: sqlite3.Connection, key: str) -> list[str]:
    """The keys of all that stands of the settlement that a resolution is part of."""
    return [each for (each,) in db.execute(_OF_WORD, {"key": key})]


def _part(key: str, number: int) -> str:
    return f"{key}.{number}"


def _check_unchanged(db: sqlite3.Connection, seen: Conflict) -> None:
    if find_open_conflict(db, seen.conflict_id) != seen:
        raise InputError(
            "This conflict was settled or has changed meanwhile.",
            "Look at the list of conflicts as it is now.",
        )


def _record(
    db: sqlite3.Connection, store: Store, actor: Member, answer: NewAnswer, *, now: str
) -> None:
    receipt = record(db, store.ledger, actor, answer, now=now)
    if receipt.status is ReceiptStatus.REJECTED:
        raise InputError(receipt.message, "Reload the page to see the current state.")


def _settlement(row: sqlite3.Row) -> Settlement:
    said = [
        Said(Pair(a, b), None if similar is None else bool(similar), key)
        for _, a, b, similar, key in sorted(json.loads(row["said"]))
    ]
    own = said[0].pair if row["of_a"] is None else Pair(row["of_a"], row["of_b"])
    return Settlement(
        event_id=row["newest"],
        pair=own,
        member=row["member"],
        settled_at=row["answered_at"],
        reason=row["reason"] or "",
        words=tuple(said),
    )
