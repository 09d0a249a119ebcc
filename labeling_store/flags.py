"""Flags: what people point out about questions and images while they answer.

A flag is never changed; taking it back, or a lead's dealing with it, is a row of its own. Flags
change no label and count no bits.
"""

import sqlite3
from collections.abc import Iterator, Sequence

from domain.answers import Receipt, ReceiptStatus
from domain.clock import utc_now
from domain.flags import LONGEST_NOTE, Flag, FlagEnd, NewFlag
from domain.members import Member
from domain.pairs import Pair
from labeling_store.db import Store

_BY_KEY = "SELECT flag_id, member_id FROM flag WHERE key = :key"
_IMAGES = "SELECT count(*) FROM image WHERE image_id IN (:a, :b)"
# A question that the round has no more is not worth losing the flag for.
_ADD = """
    INSERT INTO flag (key, member_id, a, b, proposal_id, note, flagged_at, stored_at)
    VALUES (:key, :member_id, :a, :b,
        (SELECT proposal_id FROM proposal WHERE proposal_id = :proposal_id),
        :note, :flagged_at, :now)
"""
_END = """
    INSERT INTO flag_end (flag_id, key, kind, member_id, ended_at)
    VALUES (:flag_id, :key, :kind, :member_id, :now)
    ON CONFLICT DO NOTHING
"""
_COUNT_OPEN = """
    SELECT count(*) FROM flag AS f
    WHERE NOT EXISTS (SELECT 1 FROM flag_end AS e WHERE e.flag_id = f.flag_id)
"""
_FLAGS = """
    SELECT f.flag_id, f.key, m.name, f.a, f.b, f.note, f.flagged_at, r.number,
        e.kind, em.name AS ended_by, e.ended_at
    FROM flag AS f JOIN member AS m USING (member_id)
        LEFT JOIN proposal AS p USING (proposal_id) LEFT JOIN round AS r USING (round_id)
        LEFT JOIN flag_end AS e USING (flag_id) LEFT JOIN member AS em ON em.member_id = e.member_id
"""
_LIST_OPEN = _FLAGS + " WHERE e.kind IS NULL ORDER BY f.flag_id DESC LIMIT :limit OFFSET :skip"
_ABOUT = """
    WHERE (f.a = :a AND f.b = :b) OR (f.b IS NULL AND f.a IN (:a, :b)) ORDER BY f.flag_id DESC
"""
_ALL = " ORDER BY f.flag_id"


def record_flags(
    store: Store, member: Member, flags: Sequence[NewFlag], *, now: str | None = None
) -> list[Receipt]:
    """Store flags and their taking back durably, in their order; what became of each.

    One with a known key changes nothing and is REPEATED; one that cannot be stored (unknown image,
    no such flag, somebody else's, too long a note) is REJECTED and leaves the others alone.

    Raises:
        StoreError: nothing could be saved.
    """
    moment = now or utc_now()
    with store.transaction() as db:
        return [_record(db, member, each, moment) for each in flags]


def open_flags(db: sqlite3.Connection, *, limit: int, skip: int = 0) -> list[Flag]:
    """Flags that stand, the newest first, from the one after so many on."""
    return [_flag(row) for row in db.execute(_LIST_OPEN, {"limit": limit, "skip": skip})]


def flags_about(db: sqlite3.Connection, asked: Pair) -> list[Flag]:
    """All flags of a pair or of one of its images alone, the newest first."""
    return [_flag(row) for row in db.execute(_FLAGS + _ABOUT, asked._asdict())]


def all_flags(db: sqlite3.Connection) -> Iterator[Flag]:
    """All flags, those that ended too, the oldest first."""
    return map(_flag, db.execute(_FLAGS + _ALL))


def count_open(db: sqlite3.Connection) -> int:
    """How many flags stand."""
    (count,) = db.execute(_COUNT_OPEN).fetchone()
    return int(count)


def deal_with(db: sqlite3.Connection, member: Member, flag_id: int, *, now: str) -> bool:
    """Say that nothing is left to do about a flag; False where it had ended before."""
    key = f"dealt-with-{flag_id}"
    return _end(db, member, flag_id, key=key, kind=FlagEnd.DEALT_WITH, now=now)


def _record(db: sqlite3.Connection, member: Member, new: NewFlag, now: str) -> Receipt:
    if new.takes_back_key is not None:
        return _take_back(db, member, new, new.takes_back_key, now)
    stored = db.execute(_BY_KEY, {"key": new.key}).fetchone()
    if stored is not None:
        return Receipt(new.key, ReceiptStatus.REPEATED)
    if len(new.note) > LONGEST_NOTE:
        return _rejected(
            new, f"The note has {len(new.note)} characters, of {LONGEST_NOTE} at most."
        )
    images = {"a": new.image_a, "b": new.image_b}
    (known,) = db.execute(_IMAGES, images).fetchone()
    if known != len({*images.values()} - {None}):
        return _rejected(new, f"{new.image_a} or {new.image_b} is no image of the archive.")
    values = {**vars(new), **images, "member_id": member.member_id, "now": now}
    db.execute(_ADD, {**values, "flagged_at": new.flagged_at or now})
    return Receipt(new.key, ReceiptStatus.STORED)


def _take_back(
    db: sqlite3.Connection, member: Member, new: NewFlag, target_key: str, now: str
) -> Receipt:
    target = db.execute(_BY_KEY, {"key": target_key}).fetchone()
    if target is None or target["member_id"] != member.member_id:
        return _rejected(new, f'You set no flag "{target_key}" to take back.')
    kind, flag_id = FlagEnd.TAKEN_BACK, target["flag_id"]
    ended = _end(db, member, flag_id, key=new.key, kind=kind, now=now)
    return Receipt(new.key, ReceiptStatus.STORED if ended else ReceiptStatus.REPEATED)


def _end(
    db: sqlite3.Connection, member: Member, flag_id: int, *, key: str, kind: FlagEnd, now: str
) -> bool:
    values = {"flag_id": flag_id, "key": key, "kind": kind.value, "now": now}
    return db.execute(_END, {**values, "member_id": member.member_id}).rowcount > 0


def _flag(row: sqlite3.Row) -> Flag:
    return Flag(
        flag_id=row["flag_id"],
        key=row["key"],
        member=row["name"],
        image_ids=tuple(each for each in (row["a"], row["b"]) if each is not None),
        note=row["note"],
        flagged_at=row["flagged_at"],
        round_number=row["number"],
        end=None if row["kind"] is None else FlagEnd(row["kind"]),
        ended_by=row["ended_by"],
        ended_at=row["ended_at"],
    )


def _rejected(new: NewFlag, why: str) -> Receipt:
    return Receipt(new.key, ReceiptStatus.REJECTED, message=why)
