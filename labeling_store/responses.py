"""What members responded to a round's questions, and what an answer or its undo changes there.

A question is closed for everybody by its first response; see `labeling_store.queue`.
"""

import sqlite3

from domain.answers import Kind
from domain.pairs import Pair
from domain.rounds import AnsweredProposal
from labeling_store.queue import lease_again

_ANSWERED = """
    SELECT p.a, p.b, e.kind, p.similarity, p.threshold, p.is_check,
        p.asked_of IS NOT NULL AS is_repeat, max(e.event_id)
    FROM proposal AS p JOIN response AS r USING (proposal_id) JOIN event AS e USING (event_id)
    WHERE p.round_id = :round_id GROUP BY p.proposal_id ORDER BY p.rank, p.chain_position
"""
_ASKED = """
    SELECT proposal_id FROM proposal WHERE proposal_id = :proposal_id AND a = :a AND b = :b
        AND (asked_of IS NULL OR asked_of = :member_id)
    UNION SELECT proposal_id FROM proposal WHERE a = :a AND b = :b AND state = 'open'
        AND (asked_of IS NULL OR asked_of = :member_id)
"""
_RESPOND = """
    INSERT INTO response (proposal_id, member_id, event_id)
    VALUES (:proposal_id, :member_id, :event_id)
    ON CONFLICT (proposal_id, member_id) DO UPDATE SET event_id = excluded.event_id
"""
_END_LEASE = "DELETE FROM lease WHERE proposal_id = :proposal_id AND member_id = :member_id"
_SETTLE_STATE = """
    UPDATE proposal SET state = iif(
        EXISTS (SELECT 1 FROM response AS r WHERE r.proposal_id = proposal.proposal_id),
        'closed', 'open')
    WHERE proposal_id = :proposal_id
"""
_RESPONDED_WITH = "SELECT proposal_id, member_id FROM response WHERE event_id = :event_id"
_EARLIER = """
    SELECT max(e.event_id) FROM event AS e
    WHERE e.proposal_id = :proposal_id AND e.member_id = :member_id
        AND e.kind NOT IN ('void', 'resolution')
        AND NOT EXISTS (SELECT 1 FROM event AS v WHERE v.kind = 'void' AND v.refers_to = e.event_id)
"""
_TAKE_BACK = "DELETE FROM response WHERE proposal_id = :proposal_id AND member_id = :member_id"


def answered_proposals(db: sqlite3.Connection, round_id: int) -> list[AnsweredProposal]:
    """The questions of a round that somebody responded to, each with the latest standing kind."""
    return [
        AnsweredProposal(
            pair=Pair(row["a"], row["b"]),
            kind=Kind(row["kind"]),
            similarity=row["similarity"],
            threshold=row["threshold"],
            check=bool(row["is_check"]),
            repeat=bool(row["is_repeat"]),
        )
        for row in db.execute(_ANSWERED, {"round_id": round_id})
    ]


def respond(
    db: sqlite3.Connection, member_id: int, event_id: int, *, pair: Pair, proposal_id: int | None
) -> None:
    """Close, for this member, the question answered and every open one about the same pair."""
    about = {**pair._asdict(), "proposal_id": proposal_id, "member_id": member_id}
    asked = db.execute(_ASKED, about).fetchall()
    for (question,) in asked:
        ids = {"proposal_id": question, "member_id": member_id, "event_id": event_id}
        db.execute(_RESPOND, ids)
        db.execute(_END_LEASE, ids)
        db.execute(_SETTLE_STATE, ids)


def reopen(
    db: sqlite3.Connection, event_id: int, *, lease_to: int | None, now: str, lease_s: float
) -> None:
    """Undo what `respond` did for an event, unless an earlier answer of the member stands again.

    The question is leased to `lease_to`, so that the one who took the answer back gets it.
    """
    for question, member_id in db.execute(_RESPONDED_WITH, {"event_id": event_id}).fetchall():
        ids = {"proposal_id": question, "member_id": member_id}
        (earlier,) = db.execute(_EARLIER, ids).fetchone()
        if earlier is not None:
            db.execute(_RESPOND, {**ids, "event_id": earlier})
            continue
        db.execute(_TAKE_BACK, ids)
        db.execute(_SETTLE_STATE, ids)
        if lease_to is not None:
            lease_again(db, lease_to, question, now=now, lease_s=lease_s)
