"""What follows in the chains of questions, for those who look at a whole chain at once."""

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence

from domain.rounds import QueuedPair
from labeling_store.chains import consistent, has_chains, open_chains
from labeling_store.db import Store
from labeling_store.queue import queued

_QUESTIONS = """
    SELECT p.proposal_id, p.a, p.b, p.reason, p.round_id, r.number, r.model, p.is_check,
        p.similarity, p.threshold, '' AS expires_at
    FROM proposal AS p JOIN round AS r USING (round_id)
    WHERE p.proposal_id IN (SELECT value FROM json_each(:ids))
"""


def following(
    store: Store, round_id: int, first: Collection[int], *, most: int
) -> Mapping[int, list[QueuedPair]]:
    """The questions that come after others if those are not similar.

    They are nobody's: who has the first of a chain keeps all of it from others.

    Args:
        store: people's work; not inside a transaction.
        round_id: which round.
        first: ids of questions that somebody has before them.
        most: how many of a chain at most.

    Returns:
        In their order, by the id of the first; those that are in no chain are left out.
    """
    if not has_chains(store.reader(), round_id):
        return {}
    with consistent(store, round_id), store.snapshot() as db:
        rest = {
            chain.next: chain.waiting[1 : 1 + most]
            for chain in open_chains(db, store.ledger, round_id)
            if chain.next in first
        }
        found = _questions(db, [number for numbers in rest.values() for number in numbers])
    return {number: [found[each] for each in numbers] for number, numbers in rest.items()}


def _questions(db: sqlite3.Connection, ids: Sequence[int]) -> dict[int, QueuedPair]:
    rows = db.execute(_QUESTIONS, {"ids": json.dumps(list(ids))})
    return {row["proposal_id"]: queued(row) for row in rows}
