"""The questions of a round: proposed, leased to a member for a while, answered.

A question is open until somebody has responded to it. A skip is a response too and closes the
question, so that a round always comes to its end; the pair may be proposed again in a later round.
Where further opinions are wanted (`overlap` members), a closed question is asked of others too, for
some rounds, but nobody waits for them: neither the round nor the question's chain. A lease holds a
question for one member until it expires; leases that seem to come from the future (the clock was
set back) do not hold, so that a wrong clock never empties the queue. Questions may stand in chains,
of which one at a time is asked; see `labeling_store.chains`.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from types import MappingProxyType

from domain.clock import later, utc_now
from domain.pairs import Pair
from domain.rounds import Proposal, QueuedPair, QueueStatus
from labeling_store.chains import Chain, Leases, consistent, has_chains, live_leases, open_chains
from labeling_store.db import Store

CLOCK_TOLERANCE_S = 60.0  # longer than a claim waits for the write lock, shorter than people notice
OPINION_ROUNDS = 10  # so many rounds back: who comes new to a project is not kept from its present

_ADD = """
    INSERT INTO proposal (round_id, a, b, rank, score, reason, similarity, threshold, cluster,
        is_check, chain, chain_position, unless_implied, overlap, asked_of)
    VALUES (:round_id, :a, :b, :rank, :score, :reason, :similarity, :threshold, :cluster, :check,
        :chain, :chain_position, :unless_implied, :overlap, :asked_of)
    ON CONFLICT (round_id, a, b) DO UPDATE SET
        rank = excluded.rank, state = 'open', score = excluded.score, reason = excluded.reason,
        similarity = excluded.similarity, threshold = excluded.threshold,
        cluster = excluded.cluster, is_check = excluded.is_check, chain = excluded.chain,
        chain_position = excluded.chain_position, unless_implied = excluded.unless_implied,
        overlap = excluded.overlap, asked_of = excluded.asked_of
        WHERE state = 'withdrawn'
"""
_JOIN_CHAIN = """
    UPDATE proposal SET chain = :chain, chain_position = :chain_position, rank = :rank,
        unless_implied = :unless_implied, asked_of = NULL
    WHERE round_id = :round_id AND a = :a AND b = :b
"""
_NEXT = """
    SELECT coalesce(max(rank) + 1, 0), coalesce(max(chain) + 1, 0) FROM proposal
    WHERE round_id = :round_id
"""
# The questions of a round that nobody answered or holds.
AT_REST = """
    round_id = :round_id AND state = 'open'
        AND NOT EXISTS (SELECT 1 FROM response AS r WHERE r.proposal_id = proposal.proposal_id)
        AND NOT EXISTS (SELECT 1 FROM lease AS l WHERE l.proposal_id = proposal.proposal_id
            AND l.expires_at > :now AND l.leased_at <= :soon)
"""
_WITHDRAW = "UPDATE proposal SET state = 'withdrawn' WHERE rank >= 0 AND"
# A question that a member may have: asked of everybody or of them, not answered by them yet, and
# before fewer others than may answer it.
MAY_HAVE = """
    SELECT p.proposal_id, p.rank, p.chain_position FROM proposal AS p
    WHERE (p.asked_of IS NULL OR p.asked_of = :member_id)
        AND NOT EXISTS (SELECT 1 FROM response AS r
            WHERE r.proposal_id = p.proposal_id AND r.member_id = :member_id)
        AND (SELECT count(*) FROM response AS r WHERE r.proposal_id = p.proposal_id)
            + (SELECT count(*) FROM lease AS l
               WHERE l.proposal_id = p.proposal_id AND l.member_id <> :member_id
                   AND l.expires_at > :now AND l.leased_at <= :soon) < p.overlap
        AND p.state <> 'withdrawn'
"""
OF_HELD = " AND p.proposal_id IN (SELECT value FROM json_each(:held))"
_OF_OPEN = """
        AND p.state = 'open' AND p.round_id = :round_id
        AND p.proposal_id NOT IN (SELECT value FROM json_each(:held))
        AND (p.chain IS NULL OR p.proposal_id IN (SELECT value FROM json_each(:free)))
        AND (:about IS NULL OR p.chain IS NULL AND :about IN (p.a, p.b))
    ORDER BY p.rank LIMIT :count
"""
# What others answered, where the member has said nothing of the pair yet; the + has SQLite look up
# the pair, of which there are few events, and not the member.
_OF_ANSWERED = """
        AND p.state = 'closed' AND p.overlap > 1 AND :about IS NULL
        AND p.round_id BETWEEN :round_id - :rounds_back AND :round_id
        AND p.proposal_id NOT IN (SELECT value FROM json_each(:held))
        AND NOT EXISTS (SELECT 1 FROM event AS e
            WHERE e.a = p.a AND e.b = p.b AND +e.member_id = :member_id AND e.kind <> 'void'
                AND NOT EXISTS (SELECT 1 FROM event AS v
                    WHERE v.kind = 'void' AND v.refers_to = e.event_id))
    ORDER BY p.rank LIMIT :count
"""
# A lease of one's own is prolonged; one that ran out is taken up again.
_LEASE = """
    INSERT INTO lease (proposal_id, member_id, leased_at, expires_at)
    SELECT value, :member_id, :now, :expires_at FROM json_each(:chosen) WHERE true
    ON CONFLICT (proposal_id, member_id)
        DO UPDATE SET leased_at = excluded.leased_at, expires_at = excluded.expires_at
"""
_LEASED_PAIRS = """
    SELECT DISTINCT p.a, p.b FROM lease AS l CROSS JOIN proposal AS p USING (proposal_id)
    WHERE p.round_id = :round_id AND p.state = 'open'
        AND l.expires_at > :now AND l.leased_at <= :soon
"""
_LEASES_BY_MEMBER = """
    SELECT l.member_id, count(*) FROM lease AS l
    WHERE l.expires_at > :now AND l.leased_at <= :soon GROUP BY l.member_id
"""
_LEASED = """
    SELECT p.proposal_id, p.a, p.b, p.reason, p.round_id, r.number, r.model, l.expires_at,
        p.is_check, p.similarity, p.threshold
    FROM proposal AS p JOIN round AS r USING (round_id)
        JOIN lease AS l ON l.proposal_id = p.proposal_id AND l.member_id = :member_id
    WHERE p.proposal_id IN (SELECT value FROM json_each(:chosen))
    ORDER BY p.rank, p.chain_position, p.proposal_id
"""
# Questions for one member alone are extra: nobody else could answer them. Each count has an index
# of its own (and CROSS JOIN keeps to the order of the tables), as this runs at every answer.
_STATUS = """
    WITH held AS MATERIALIZED (
        SELECT DISTINCT p.proposal_id, p.chain IS NULL AND p.asked_of IS NULL AS is_single
        FROM lease AS l CROSS JOIN proposal AS p USING (proposal_id)
        WHERE l.expires_at > :now AND l.leased_at <= :soon
            AND p.round_id = :round_id AND p.state = 'open'
    )
    SELECT
        (SELECT target FROM round WHERE round_id = :round_id) AS target,
        (SELECT count(*) FROM proposal AS p CROSS JOIN response AS r USING (proposal_id)
            WHERE p.round_id = :round_id AND p.state = 'closed') AS answered,
        (SELECT count(*) FROM held) AS leased,
        (SELECT count(*) FROM proposal WHERE round_id = :round_id AND state = 'open'
            AND chain IS NULL AND asked_of IS NULL)
            - (SELECT count(*) FROM held WHERE is_single) AS single
"""


def add_proposals(db: sqlite3.Connection, round_id: int, proposals: Sequence[Proposal]) -> int:
    """Put questions at the end of a round's queue, in their order.

    A pair that the round has already is left as it is; one that was withdrawn is open again. A
    chain stands where its first question stands. A pair of it that the round has already becomes
    part of it, so that the chain waits for whoever has it before them, and knows its answer. A
    single question that is asked unless implied becomes a chain of one.

    Returns:
        How many were new to the round.
    """
    rank, number = db.execute(_NEXT, {"round_id": round_id}).fetchone()
    # As handed over, or a single question's pair -> rank, number in the store.
    chains: dict[int | Pair, tuple[int, int]] = {}
    new = 0
    for place, proposal in enumerate(proposals, start=rank):
        values = {**vars(proposal), **proposal.pair._asdict(), "round_id": round_id, "rank": place}
        del values["pair"]
        if proposal.chain is not None or proposal.unless_implied:
            key = proposal.pair if proposal.chain is None else proposal.chain
            own = chains.setdefault(key, (place, number + len(chains)))
            values["rank"], values["chain"] = own
        added = db.execute(_ADD, values).rowcount
        if not added and proposal.chain is not None:
            db.execute(_JOIN_CHAIN, values)
        new += added
    return new


def withdraw_open(db: sqlite3.Connection, round_id: int, *, now: str | None = None) -> int:
    """Drop the questions of a round that nobody answered or holds; how many.

    Of a chain too, even where somebody holds the question before: those that take their place were
    chosen knowing more. What a lead chose by hand stays; see `labeling_store.by_hand`.
    """
    moment = now or utc_now()
    return db.execute(_WITHDRAW + AT_REST, {"round_id": round_id, **times(moment)}).rowcount


def leased_pairs(db: sqlite3.Connection, round_id: int, now: str) -> list[Pair]:
    """Open pairs of a round that somebody holds: they will come back answered, so ask others."""
    rows = db.execute(
        _LEASED_PAIRS, {"round_id": round_id, "now": now, "soon": later(now, CLOCK_TOLERANCE_S)}
    )
    return [Pair(row["a"], row["b"]) for row in rows]


def claim(
    store: Store,
    member_id: int,
    round_id: int,
    *,
    count: int,
    now: str,
    lease_s: float,
    held: Sequence[int] = (),
    about: int | None = None,
) -> list[QueuedPair]:
    """Further questions for a member, which fewer others have or answered than may, and not they.

    Args:
        store: people's work; not inside a transaction.
        member_id: who will answer.
        round_id: which round to take them from.
        count: how many at most.
        now: UTC ISO 8601 text.
        lease_s: for how many seconds they are kept from others.
        held: ids of the questions that the member has before them; prolonged, not given again.
        about: only open single questions about that image; None: any.

    Returns:
        In the order of the queue, open ones each of another chain; where others' answers want a
        second opinion, those too, at the place that they had in their round. Questions of the
        member's own lease that are not held come in rank like any other: after a reload nothing
        is lost.
    """
    values = {
        "member_id": member_id,
        "round_id": round_id,
        "rounds_back": OPINION_ROUNDS,
        "count": count,
        "held": json.dumps(list(held)),
        "expires_at": later(now, lease_s),
        "about": about,
        **times(now),
    }
    # A lease that a power cut undoes is claimed again: no need to wait for the disk.
    with consistent(store, round_id), store.transaction(durable=False) as db:
        _lease(db, values, db.execute(MAY_HAVE + OF_HELD, values))
        leases = live_leases(db, times(now), member_id=member_id, held={*held})
        with closing(open_chains(db, store.ledger, round_id)) as chains:  # in their order of rank
            values["free"] = json.dumps([*_free(chains, leases, count)])
        found = db.execute(MAY_HAVE + _OF_OPEN, values).fetchall()
        found += db.execute(MAY_HAVE + _OF_ANSWERED, values).fetchall()
        in_order = sorted(found, key=lambda row: (row["rank"], row["chain_position"]))
        values["chosen"] = _lease(db, values, in_order[:count])
        return [queued(row) for row in db.execute(_LEASED, values)]


def release(db: sqlite3.Connection, *, member_id: int | None = None) -> int:
    """End the leases of a member, or of everybody, so that others get the questions; how many."""
    if member_id is None:
        return db.execute("DELETE FROM lease").rowcount
    return db.execute("DELETE FROM lease WHERE member_id = :m", {"m": member_id}).rowcount


def lease_again(
    db: sqlite3.Connection, member_id: int, proposal_id: int, *, now: str, lease_s: float
) -> None:
    """Keep a question for a member, unless others have it by now."""
    values = {
        "member_id": member_id,
        "held": json.dumps([proposal_id]),
        "expires_at": later(now, lease_s),
        **times(now),
    }
    _lease(db, values, db.execute(MAY_HAVE + OF_HELD, values))


def leases_by_member(db: sqlite3.Connection, now: str) -> dict[int, int]:
    """How many unanswered questions each member has before them, of any round."""
    return dict(db.execute(_LEASES_BY_MEMBER, times(now)).fetchall())


def queue_status(store: Store, round_id: int, now: str) -> QueueStatus:
    """How far a round is: what can be asked, what is before people, what came and is wanted.

    Args:
        store: people's work; not inside a transaction.
        round_id: which round.
        now: UTC ISO 8601 text.
    """
    values = {"round_id": round_id, **times(now)}
    if not has_chains(store.reader(), round_id):
        return _status(store.reader().execute(_STATUS, values).fetchone())
    with consistent(store, round_id), store.snapshot() as db:
        row = db.execute(_STATUS, values).fetchone()
        chains = [*open_chains(db, store.ledger, round_id)]
        leases = live_leases(db, times(now))
    return _status(row, chains, leases)


def _free(chains: Iterable[Chain], leases: Leases, count: int) -> Iterator[int]:
    """What can be asked next in chains, until so many of them are before nobody."""
    for chain in chains:
        if count <= 0:
            return
        if chain.is_free(leases):
            yield chain.next
            count -= not chain.is_held(leases)


def _lease(
    db: sqlite3.Connection, values: Mapping[str, object], rows: Iterable[sqlite3.Row]
) -> str:
    """Lease what these rows name to a member; their ids as JSON."""
    chosen = json.dumps([row["proposal_id"] for row in rows])
    db.execute(_LEASE, {**values, "chosen": chosen})
    return chosen


def _status(
    row: sqlite3.Row, chains: Sequence[Chain] = (), leases: Leases = MappingProxyType({})
) -> QueueStatus:
    held = {number for numbers in leases.values() for number in numbers}
    at_rest = sum(not chain.is_held(leases) for chain in chains)
    # Before somebody as a question of an earlier round; the answer will count for this one too.
    elsewhere = sum(not held & {*chain.questions.values()} for chain in chains) - at_rest
    waiting = sum(number not in held for chain in chains for number in chain.waiting)
    most: int = row["single"] + waiting + row["leased"] + row["answered"]
    return QueueStatus(
        open=row["single"] + at_rest,
        leased=row["leased"] + elsewhere,
        answered=row["answered"],
        target=most if row["target"] is None else min(row["target"], most),
    )


def times(now: str) -> dict[str, str]:
    """Now, and from when on a lease comes from a clock that was set back, as queries name them."""
    return {"now": now, "soon": later(now, CLOCK_TOLERANCE_S)}


def queued(row: sqlite3.Row) -> QueuedPair:
    """The question of a row with all its columns and its round's."""
    return QueuedPair(
        proposal_id=row["proposal_id"],
        pair=Pair(row["a"], row["b"]),
        reason=row["reason"],
        round_id=row["round_id"],
        round_number=row["number"],
        model=row["model"],
        lease_expires_at=row["expires_at"],
        check=bool(row["is_check"]),
        similarity=row["similarity"],
        threshold=row["threshold"],
    )
