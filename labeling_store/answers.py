"""The answer log: storing answers, and reading what they say.

Events are never changed or deleted; taking an answer back is a further event. All answers handed
over together are committed together, each checked after the one before it.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from domain.answers import Effort, Event, Kind, NewAnswer, PairLabel, Receipt, Source
from domain.clock import utc_now
from domain.members import Member
from domain.pairs import Pair
from labeling_store.conflicts import open_conflicts, pairs_in_conflict
from labeling_store.db import Store
from labeling_store.failures import translated
from labeling_store.recording import record
from labeling_store.votes import STANDING_IN_ORDER, STANDING_OF_PAIR, Vote, settle, votes_by_pair

_KINDS = {kind.value: kind for kind in Kind}
_SOURCES = {source.value: source for source in Source}
_FAR_BEHIND = 20  # events that are read in a tenth of the time that an answer takes
_PAGE = 1000  # events read at once, so that a long export never holds a read open

_EVENTS = """
    SELECT e.event_id, e.key, e.kind, e.source, e.a, e.b, e.similar, m.name AS member,
        e.answered_at, e.shown_at, e.answer_ms, e.round_number, e.model, e.reason,
        e.uncertainty, e.refers_to
    FROM event AS e JOIN member AS m USING (member_id)
"""
_AFTER = " WHERE e.event_id > :after ORDER BY e.event_id LIMIT :limit"
_RECENT = """
    WHERE e.member_id = :member_id AND e.kind <> 'void' AND NOT EXISTS (
        SELECT 1 FROM event AS v WHERE v.kind = 'void' AND v.refers_to = e.event_id)
    ORDER BY e.event_id DESC LIMIT :limit
"""
_OF_PAIR = """
    WHERE e.a = :a AND e.b = :b AND e.kind <> 'void' AND NOT EXISTS (
        SELECT 1 FROM event AS v WHERE v.kind = 'void' AND v.refers_to = e.event_id)
    ORDER BY e.event_id
"""
_BY_KEY = " WHERE e.key = :key"
_COUNTS = "SELECT kind, count(*) FROM event GROUP BY kind"
_VOIDED = """
    SELECT e.kind, count(*) FROM event AS v JOIN event AS e ON e.event_id = v.refers_to
    WHERE v.kind = 'void' GROUP BY e.kind
"""
_MINUTES = """
    SELECT total(min(answer_ms, :most_ms)) / 60000.0
    FROM (SELECT answer_ms FROM event ORDER BY event_id LIMIT :first)
"""
_LABEL_CHANGES = """
    SELECT count(*) FROM (SELECT kind FROM event ORDER BY event_id LIMIT -1 OFFSET :after)
    WHERE kind IN ('similar', 'dissimilar', 'void', 'resolution')
"""
_LABEL_CHANGES_AFTER = """
    SELECT count(*) FROM event
    WHERE stored_at > :moment AND kind IN ('similar', 'dissimilar', 'void', 'resolution')
"""
_FACTS = """
    SELECT e.event_id, e.source, e.answered_at, e.round_number, m.name AS member
    FROM event AS e JOIN member AS m USING (member_id)
"""
_FACTS_OF_PAIR = _FACTS + " WHERE e.a = :a AND e.b = :b"
_ANSWERED_AFTER = """
    SELECT DISTINCT a, b FROM event
    WHERE (a, b) > (:a, :b) AND (:image_id IS NULL OR :image_id IN (a, b))
    ORDER BY a, b LIMIT :limit
"""


def record_answers(
    store: Store, member: Member, answers: Sequence[NewAnswer], *, now: str | None = None
) -> list[Receipt]:
    """Store answers durably, and say what became of each.

    One transaction: when this returns, all of them survive a power cut; when it raises, none was
    stored. An answer with a known key changes nothing and is REPEATED; one that cannot be stored
    (unknown image, nothing to take back, not allowed, the key of another answer) is REJECTED and
    leaves the others alone.
    An answer that contradicts earlier ones is stored, and its receipt says so.

    Args:
        store: people's work.
        member: who answers; only a lead or owner may send resolutions, take back others' answers,
            or import answers under another name.
        answers: in the order they were given.
        now: UTC ISO 8601 text; the clock if None.

    Raises:
        StoreError: nothing could be saved.
    """
    (receipts,) = record_parcels(store, [(member, answers)], now=now)
    return receipts


def record_parcels(
    store: Store,
    parcels: Sequence[tuple[Member, Sequence[NewAnswer]]],
    *,
    now: str | None = None,
) -> list[list[Receipt]]:
    """Answers of several members in one transaction, so that they share one flush of the disk.

    Returns:
        The receipts of each parcel; see `record_answers`, also for errors.
    """
    moment = now or utc_now()
    with writing(store) as db:
        return [
            [record(db, store.ledger, member, answer, now=moment) for answer in answers]
            for member, answers in parcels
        ]


@contextmanager
def writing(store: Store) -> Iterator[sqlite3.Connection]:
    """A transaction in which answers are recorded; the ledger follows it, also when it fails."""
    ledger = store.ledger
    with ledger.lock:
        # The first time, this reads the whole log: not while others wait for the write lock.
        with translated(store.path):
            behind = last_event_id(store.reader()) - ledger.last_event_id
        if behind > _FAR_BEHIND:
            with store.snapshot() as db:
                ledger.catch_up(db)
        before = ledger.last_event_id
        try:
            with store.transaction() as db:
                yield db
        except BaseException:
            if ledger.last_event_id != before:  # it took in what was not saved
                ledger.forget()
            raise


def events(db: sqlite3.Connection, *, after: int = 0) -> Iterator[Event]:
    """The log from the event after the given id on, oldest first."""
    while True:
        rows = db.execute(_EVENTS + _AFTER, {"after": after, "limit": _PAGE}).fetchall()
        yield from map(event_of, rows)
        if len(rows) < _PAGE:
            return
        after = rows[-1]["event_id"]


def recent_answers(db: sqlite3.Connection, member_id: int, limit: int) -> list[Event]:
    """A member's newest standing events: neither voids nor what a void took back."""
    rows = db.execute(_EVENTS + _RECENT, {"member_id": member_id, "limit": limit})
    return [event_of(row) for row in rows]


def standing_events(db: sqlite3.Connection, asked: Pair) -> list[Event]:
    """What was said of a pair and not taken back, resolutions and skips too; oldest first."""
    return [event_of(row) for row in db.execute(_EVENTS + _OF_PAIR, asked._asdict())]


def label_of(events: Sequence[Event]) -> bool | None:
    """The label that a pair's standing events, oldest first, come to; None: none, or a tie."""
    ids = {name: number for number, name in enumerate(dict.fromkeys(e.member for e in events))}
    return settle([Vote(e.event_id, ids[e.member], e.kind, e.similar) for e in events]).similar


def find_event(db: sqlite3.Connection, key: str) -> Event | None:
    """The event of that idempotency key, None if there is none."""
    row = db.execute(_EVENTS + _BY_KEY, {"key": key}).fetchone()
    return event_of(row) if row else None


def last_event_id(db: sqlite3.Connection) -> int:
    """The id of the newest event, 0 before the first."""
    (newest,) = db.execute("SELECT coalesce(max(event_id), 0) FROM event").fetchone()
    return int(newest)


def effort(db: sqlite3.Connection) -> Effort:
    """What people have given: bits are standing similar and dissimilar answers, repeats included.

    Source: ANNEAL, bits of annotation; voided, skipped, unsure and implied count 0.
    """
    sent = Counter[str](dict(db.execute(_COUNTS).fetchall()))
    standing = sent - Counter(dict(db.execute(_VOIDED).fetchall()))
    similar, dissimilar = standing[Kind.SIMILAR], standing[Kind.DISSIMILAR]
    return Effort(
        bits=similar + dissimilar,
        answers=sent.total(),
        similar=similar,
        dissimilar=dissimilar,
        unsure=standing[Kind.UNSURE],
        skipped=standing[Kind.SKIP],
    )


def minutes_spent(db: sqlite3.Connection, *, first: int, most_s: float) -> float:
    """How long people looked at what the first so many events answer, in minutes.

    Answers without a time, such as imported ones, count 0; one that took longer than `most_s`
    counts that long: somebody went for a coffee.
    """
    (minutes,) = db.execute(_MINUTES, {"first": first, "most_ms": 1000 * most_s}).fetchone()
    return float(minutes)


def label_changes(db: sqlite3.Connection, *, after: int) -> int:
    """How many events gave, took back or settled labels, after the first so many events."""
    (count,) = db.execute(_LABEL_CHANGES, {"after": after}).fetchone()
    return int(count)


def label_changes_after(db: sqlite3.Connection, moment: str) -> int:
    """How many events gave, took back or settled labels, and were stored after a moment."""
    (count,) = db.execute(_LABEL_CHANGES_AFTER, {"moment": moment}).fetchone()
    return int(count)


def pair_labels(db: sqlite3.Connection) -> list[PairLabel]:
    """The current label of every pair with a standing answer, by ascending pair."""
    votes = votes_by_pair(db.execute(STANDING_IN_ORDER))
    facts = {row["event_id"]: row for row in db.execute(_FACTS)}
    disputed = {conflict.pair for conflict in open_conflicts(db)}
    return [
        _pair_label(each, votes[each], facts, in_conflict=each in disputed)
        for each in sorted(votes)
    ]


def pairs_answered(
    db: sqlite3.Connection, *, after: Pair, limit: int, image_id: int | None = None
) -> list[Pair]:
    """So many pairs that the log names, by ascending pair, from the one after the given on.

    Args:
        db: the store.
        after: the pair to go on from; (0, 0) for the first.
        limit: how many at most.
        image_id: only pairs of this image.
    """
    values = {**after._asdict(), "limit": limit, "image_id": image_id}
    return [Pair(row["a"], row["b"]) for row in db.execute(_ANSWERED_AFTER, values)]


def labels_of_pairs(db: sqlite3.Connection, pairs: Sequence[Pair]) -> list[PairLabel]:
    """The current labels of those of the pairs that have a standing answer, in their order."""
    disputed = pairs_in_conflict(db, pairs)
    found = []
    for each in pairs:
        votes = votes_by_pair(db.execute(STANDING_OF_PAIR, each._asdict())).get(each)
        if votes is None:
            continue
        rows = db.execute(_FACTS_OF_PAIR, each._asdict())
        facts = {row["event_id"]: row for row in rows}
        found.append(_pair_label(each, votes, facts, in_conflict=each in disputed))
    return found


def _pair_label(
    labelled: Pair, votes: list[Vote], facts: Mapping[int, sqlite3.Row], *, in_conflict: bool
) -> PairLabel:
    newest = facts[votes[-1].event_id]
    names = dict.fromkeys(facts[vote.event_id]["member"] for vote in votes)
    return PairLabel(
        pair=labelled,
        similar=settle(votes).similar,
        members=tuple(names),
        source=Source(newest["source"]),
        answered_at=newest["answered_at"],
        round_number=newest["round_number"],
        in_conflict=in_conflict,
    )


def event_of(row: sqlite3.Row) -> Event:
    """The event of a row with all its columns and the member's name."""
    return Event(
        event_id=row["event_id"],
        key=row["key"],
        kind=_KINDS[row["kind"]],  # quicker than Kind(…), and an export has a million
        source=_SOURCES[row["source"]],
        pair=Pair(row["a"], row["b"]),
        member=row["member"],
        answered_at=row["answered_at"],
        shown_at=row["shown_at"],
        answer_ms=row["answer_ms"],
        round_number=row["round_number"],
        model=row["model"],
        reason=row["reason"],
        refers_to=row["refers_to"],
        similar=None if row["similar"] is None else bool(row["similar"]),
        uncertainty=row["uncertainty"],
    )
