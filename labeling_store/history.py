"""The answer log a page at a time, newest first: of a member, of a pair, of what fits a filter.

Every statement walks the log from its end and stops when the page is full, so that a long log
costs no more than a short one; only filters that fit little look further.
"""

import sqlite3

from domain.history import LogFilter, LoggedEvent
from domain.pairs import Pair
from labeling_store.answers import event_of

_LOGGED = """
    SELECT e.event_id, e.key, e.kind, e.source, e.a, e.b, e.similar, m.name AS member,
        e.answered_at, e.shown_at, e.answer_ms, e.round_number, e.model, e.reason,
        e.uncertainty, e.refers_to, e.proposal_id, vm.name AS taken_back_by,
        v.answered_at AS taken_back_at, p.asked_of IS e.member_id AS hidden_repeat,
        p.similarity, p.threshold
    FROM event AS e JOIN member AS m USING (member_id)
        LEFT JOIN event AS v ON v.kind = 'void' AND v.refers_to = e.event_id
        LEFT JOIN member AS vm ON vm.member_id = v.member_id
        LEFT JOIN proposal AS p ON p.proposal_id = e.proposal_id
    WHERE true
"""
_NO_VOIDS = " AND e.kind <> 'void'"
_BY_KEY = " AND e.key = :key"
_PAGE = " ORDER BY e.event_id DESC LIMIT :limit OFFSET :skip"
_STANDS = """
    {0}.kind <> 'void' AND NOT EXISTS
        (SELECT 1 FROM event AS v WHERE v.kind = 'void' AND v.refers_to = {0}.event_id)
"""
# The plus keeps SQLite to the order of the log, or to the events of a pair: stopping at a full page
# is quicker than going through all of a member or of a kind.
_CLAUSES = {
    "member_id": " AND +{0}.member_id = :member_id",
    "kind": " AND +{0}.kind = :kind",
    "source": " AND {0}.source = :source",
    "round_number": " AND {0}.round_number = :round_number",
    "pair": " AND {0}.a = :a AND {0}.b = :b",
    "in_conflict": """
        AND ({0}.a, {0}.b) IN (SELECT a, b FROM conflict WHERE closed_at IS NULL)
    """,
}
_NEWEST_OF_PAIR = "SELECT e.a, e.b FROM event AS e WHERE"
_NONE_NEWER = """
    AND NOT EXISTS (SELECT 1 FROM event AS n
        WHERE n.a = e.a AND n.b = e.b AND n.event_id > e.event_id AND
"""


def logged_events(
    db: sqlite3.Connection, wanted: LogFilter, *, limit: int, skip: int = 0, voids: bool = False
) -> list[LoggedEvent]:
    """Events that fit, the newest first; those taken back too.

    Args:
        wanted: what they must be.
        limit: how many at most.
        skip: without so many of the newest.
        voids: whether to list the taking back as events of their own.
    """
    clauses = ("" if voids else _NO_VOIDS) + _clauses(wanted, "e")
    values = {**_values(wanted), "limit": limit, "skip": skip}
    return [_logged(row) for row in db.execute(_LOGGED + clauses + _PAGE, values)]


def find_logged(db: sqlite3.Connection, key: str) -> LoggedEvent | None:
    """The event of that idempotency key, None if there is none."""
    row = db.execute(_LOGGED + _BY_KEY, {"key": key}).fetchone()
    return _logged(row) if row else None


def answered_pairs(
    db: sqlite3.Connection, wanted: LogFilter, *, limit: int, skip: int = 0
) -> list[Pair]:
    """Pairs with a standing event that fits, those with the newest such event first."""
    of_event = _STANDS.format("e") + _clauses(wanted, "e")
    of_newer = _STANDS.format("n") + _clauses(wanted, "n") + ")"
    statement = _NEWEST_OF_PAIR + of_event + _NONE_NEWER + of_newer + _PAGE
    rows = db.execute(statement, {**_values(wanted), "limit": limit, "skip": skip})
    return [Pair(row["a"], row["b"]) for row in rows]


def _clauses(wanted: LogFilter, alias: str) -> str:
    unset = (None, False)
    names = [name for name, value in vars(wanted).items() if not any(value is no for no in unset)]
    return "".join(_CLAUSES[name].format(alias) for name in names)


def _values(wanted: LogFilter) -> dict[str, object]:
    pair = {} if wanted.pair is None else wanted.pair._asdict()
    return {**vars(wanted), **pair, "pair": None}


def _logged(row: sqlite3.Row) -> LoggedEvent:
    return LoggedEvent(
        event=event_of(row),
        proposal_id=row["proposal_id"],
        taken_back_by=row["taken_back_by"],
        taken_back_at=row["taken_back_at"],
        hidden_repeat=bool(row["hidden_repeat"]),
        similarity=row["similarity"],
        threshold=row["threshold"],
    )
