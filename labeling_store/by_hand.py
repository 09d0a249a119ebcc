"""Questions that a lead chose by hand: asked before all others, until somebody answers them.

Their ranks are below 0, which those of no other question are. Each is a chain of one, so that it is
passed over once other answers imply its answer. What the worker asks next does not take their
place: a new round takes them over.
"""

import sqlite3
from collections.abc import Sequence

from domain.pairs import Pair
from labeling_store.queue import AT_REST, times

_FRONT = """
    SELECT min(coalesce(min(rank), 0), 0), min(coalesce(min(chain), 0), 0) FROM proposal
    WHERE round_id = :round_id
"""
_ASK = """
    INSERT INTO proposal (round_id, a, b, rank, score, reason, is_check, chain, unless_implied)
    VALUES (:round_id, :a, :b, :rank, 0.0, :reason, 0, :chain, 1)
    ON CONFLICT (round_id, a, b) DO UPDATE SET
        rank = excluded.rank, state = 'open', score = excluded.score, reason = excluded.reason,
        chain = excluded.chain, chain_position = 0, unless_implied = 1, is_check = 0,
        similarity = NULL, threshold = NULL, cluster = NULL, overlap = 1, asked_of = NULL
        WHERE state = 'withdrawn'
"""
_FIND = "SELECT proposal_id, a, b, rank, reason, chain FROM proposal WHERE rank < 0 AND"
_LEAVE = "UPDATE proposal SET state = 'withdrawn' WHERE proposal_id = :proposal_id"
_IN_QUEUE = "SELECT a, b FROM proposal WHERE round_id = :round_id AND state <> 'withdrawn'"


def ask_first(db: sqlite3.Connection, round_id: int, pairs: Sequence[Pair], reason: str) -> int:
    """Put pairs before all questions of a round, in their order.

    Returns:
        How many were not in the round's queue already.
    """
    rank, chain = db.execute(_FRONT, {"round_id": round_id}).fetchone()
    asked = 0
    for place, each in enumerate(pairs):
        back = place - len(pairs)
        values = {"rank": rank + back, "chain": chain + back, "reason": reason}
        asked += db.execute(_ASK, {**values, **each._asdict(), "round_id": round_id}).rowcount
    return asked


def take_over(db: sqlite3.Connection, earlier_id: int, round_id: int, *, now: str) -> int:
    """Ask in a new, still empty round what was asked by hand in an earlier one; how many.

    Questions that somebody has before them stay where they are: they come back answered.
    """
    found = db.execute(_FIND + AT_REST, {"round_id": earlier_id, **times(now)}).fetchall()
    for row in found:
        db.execute(_ASK, {**dict(row), "round_id": round_id})
        db.execute(_LEAVE, {"proposal_id": row["proposal_id"]})
    return len(found)


def pairs_in_queue(db: sqlite3.Connection, round_id: int) -> set[Pair]:
    """The pairs that a round asks or asked, whoever chose them."""
    return {Pair(row["a"], row["b"]) for row in db.execute(_IN_QUEUE, {"round_id": round_id})}
