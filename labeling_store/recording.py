"""Storing one answer inside a transaction: checks, the event, and all that follows from it."""

import sqlite3
from dataclasses import replace

from domain.answers import Kind, NewAnswer, Receipt, ReceiptStatus, Source
from domain.members import Member, Role
from domain.pairs import Pair
from labeling_store import responses
from labeling_store.conflicts import update_conflicts
from labeling_store.ledger import Ledger
from labeling_store.members import ensure_member

REOPENED_LEASE_S = 300.0  # how long a question stays with the one who took its answer back

_BY_KEY = "SELECT event_id, kind, a, b, member_id FROM event WHERE key = :key"
_IMAGES = "SELECT count(*) FROM image WHERE image_id IN (:a, :b)"
_VOID_OF = "SELECT event_id FROM event WHERE kind = 'void' AND refers_to = :event_id"
# The last thing that stands of what the member said of the pair: else it is said anew. Without its
# plus, SQLite looks whether `kind` fits the index of voids, and prepares the statement every time.
_SAME_RESPONSE = """
    SELECT e.event_id FROM response AS r JOIN event AS e USING (event_id)
    WHERE r.proposal_id = :proposal_id AND r.member_id = :member_id
        AND e.proposal_id = :proposal_id AND +e.kind = :kind AND e.a = :a AND e.b = :b
        AND NOT EXISTS (SELECT 1 FROM event AS n
            WHERE n.a = e.a AND n.b = e.b AND n.member_id = e.member_id
                AND n.event_id > e.event_id AND n.kind NOT IN ('void', 'resolution')
                AND NOT EXISTS (SELECT 1 FROM event AS v
                    WHERE v.kind = 'void' AND v.refers_to = n.event_id))
"""
_QUESTION = """
    SELECT r.number, p.score FROM proposal AS p JOIN round AS r USING (round_id)
    WHERE p.proposal_id = :proposal_id AND p.a = :a AND p.b = :b
"""
_ROUND_NUMBER = "SELECT number FROM round WHERE round_id = :round_id"
_ADD = """
    INSERT INTO event (key, kind, source, a, b, similar, member_id, answered_at, stored_at,
        shown_at, answer_ms, proposal_id, round_number, model, reason, uncertainty, refers_to)
    VALUES (:key, :kind, :source, :a, :b, :similar, :member_id, :answered_at, :stored_at,
        :shown_at, :answer_ms, :proposal_id, :round_number, :model, :reason, :uncertainty,
        :refers_to)
    RETURNING event_id
"""


class _Rejected(Exception):
    """This answer cannot be stored; the others can."""


class _Repeated(Exception):
    """This answer is in the log already, as the event of this id."""

    def __init__(self, event_id: int) -> None:
        super().__init__()
        self.event_id = event_id


def record(
    db: sqlite3.Connection, ledger: Ledger, member: Member, answer: NewAnswer, *, now: str
) -> Receipt:
    """Store one answer in a savepoint of the open transaction; see `answers.record_answers`."""
    db.execute("SAVEPOINT answer")
    try:
        event_id = _store(db, member, answer, now=now)
    except (_Rejected, _Repeated, sqlite3.IntegrityError, OverflowError) as reason:
        db.execute("ROLLBACK TO answer")
        db.execute("RELEASE answer")
        if isinstance(reason, _Repeated):
            clash = ledger.in_conflict(answer.pair)
            return Receipt(answer.key, ReceiptStatus.REPEATED, reason.event_id, clash)
        return Receipt(answer.key, ReceiptStatus.REJECTED, message=str(reason))
    update_conflicts(db, ledger, ledger.catch_up(db), now=now)
    db.execute("RELEASE answer")
    clash = answer.kind.is_label and ledger.in_conflict(answer.pair)
    return Receipt(answer.key, ReceiptStatus.STORED, event_id, clash)


def _store(db: sqlite3.Connection, member: Member, answer: NewAnswer, *, now: str) -> int:
    stored = db.execute(_BY_KEY, {"key": answer.key}).fetchone()
    if stored is not None:
        _refuse_other_answer(stored, member, answer)
        raise _Repeated(stored["event_id"])
    author = _author(db, member, answer)
    if answer.kind is Kind.VOID:
        return _take_back(db, member, author, answer, now=now)
    if answer.kind is Kind.RESOLUTION:
        return _resolve(db, member, author, answer, now=now)
    _refuse_same_response(db, author, answer)
    event_id = _insert(db, author, answer, now=now)
    responses.respond(
        db, author.member_id, event_id, pair=answer.pair, proposal_id=answer.proposal_id
    )
    return event_id


def _refuse_other_answer(stored: sqlite3.Row, member: Member, answer: NewAnswer) -> None:
    """A client that uses a key twice would lose its second answer without a word."""
    # An import may name people otherwise than when they answered.
    is_import = answer.source is not Source.CLICK or answer.member is not None
    same_member = is_import or stored["member_id"] == member.member_id
    same_pair = answer.kind is Kind.VOID or Pair(stored["a"], stored["b"]) == answer.pair
    if stored["kind"] != answer.kind or not same_member or not same_pair:
        raise _Rejected(f'The key "{answer.key}" belongs to another answer; use each key once.')


def _author(db: sqlite3.Connection, member: Member, answer: NewAnswer) -> Member:
    """Whose answer it is: an import may bring other people's."""
    if answer.member is None or answer.member == member.name:
        return member
    if member.role is Role.ANNOTATOR:
        raise _Rejected(f'Only a lead may store answers of others; "{member.name}" is not one.')
    return ensure_member(db, answer.member, Role.ANNOTATOR)


def _refuse_same_response(db: sqlite3.Connection, author: Member, answer: NewAnswer) -> None:
    """Two tabs may answer one question, each with its own key; the same answer counts once."""
    ids = {"proposal_id": answer.proposal_id, "member_id": author.member_id}
    about = {**answer.pair._asdict(), "kind": answer.kind.value}
    same = db.execute(_SAME_RESPONSE, {**ids, **about}).fetchone()
    if same is not None:
        raise _Repeated(same["event_id"])


def _resolve(
    db: sqlite3.Connection, member: Member, author: Member, answer: NewAnswer, *, now: str
) -> int:
    if member.role is Role.ANNOTATOR:
        raise _Rejected(f'Only a lead may settle conflicts; "{member.name}" is not one.')
    settled = db.execute(_BY_KEY, {"key": answer.refers_to_key}).fetchone()
    if answer.refers_to_key is not None and settled is None:
        raise _Rejected(f'There is no answer "{answer.refers_to_key}" to settle.')
    return _insert(db, author, answer, now=now, refers_to=settled and settled["event_id"])


def _take_back(
    db: sqlite3.Connection, member: Member, author: Member, answer: NewAnswer, *, now: str
) -> int:
    target = db.execute(_BY_KEY, {"key": answer.refers_to_key}).fetchone()
    if target is None:
        raise _Rejected(f'There is no answer "{answer.refers_to_key}" to take back.')
    if target["kind"] == Kind.VOID:
        raise _Rejected("An undo cannot be taken back; answer the pair again.")
    own = target["member_id"] == author.member_id
    if not own and member.role is Role.ANNOTATOR:
        raise _Rejected("Only a lead may take back answers of others.")
    event_id: int = target["event_id"]
    done = db.execute(_VOID_OF, {"event_id": event_id}).fetchone()
    if done is not None:
        raise _Repeated(done["event_id"])
    of_target = replace(answer, pair=Pair(target["a"], target["b"]), proposal_id=None)
    void_id = _insert(db, author, of_target, now=now, refers_to=event_id)
    lease_to = author.member_id if own else None
    responses.reopen(db, event_id, lease_to=lease_to, now=now, lease_s=REOPENED_LEASE_S)
    return void_id


def _insert(
    db: sqlite3.Connection,
    author: Member,
    answer: NewAnswer,
    *,
    now: str,
    refers_to: int | None = None,
) -> int:
    (known,) = db.execute(_IMAGES, answer.pair._asdict()).fetchone()
    if known != 2:
        raise _Rejected(f"{answer.pair.a} and {answer.pair.b} are not two images of the archive.")
    values = {
        **vars(answer),
        **answer.pair._asdict(),
        **_asked_in(db, answer),
        "kind": answer.kind.value,
        "source": answer.source.value,
        "similar": _word(answer),
        "member_id": author.member_id,
        "answered_at": answer.answered_at or now,
        "stored_at": now,
        "reason": answer.reason or None,
        "answer_ms": answer.answer_ms if (answer.answer_ms or 0) >= 0 else None,
        "refers_to": refers_to,
    }
    del values["pair"]
    event_id: int = db.execute(_ADD, values).fetchone()["event_id"]
    return event_id


def _asked_in(db: sqlite3.Connection, answer: NewAnswer) -> dict[str, float | int | None]:
    """The question an answer belongs to; one about another pair is none."""
    ids = {"proposal_id": answer.proposal_id, **answer.pair._asdict()}
    question = db.execute(_QUESTION, ids).fetchone() if answer.proposal_id is not None else None
    if question is not None:
        return {
            "proposal_id": answer.proposal_id,
            "round_number": question["number"],
            "uncertainty": 0.0 - question["score"],
        }
    named = db.execute(_ROUND_NUMBER, {"round_id": answer.round_id}).fetchone()
    number = named["number"] if named else answer.round_number
    return {"proposal_id": None, "round_number": number, "uncertainty": answer.uncertainty}


def _word(answer: NewAnswer) -> int | None:
    if answer.kind is Kind.RESOLUTION:
        return None if answer.similar is None else int(answer.similar)
    return int(answer.kind is Kind.SIMILAR) if answer.kind.is_label else None
