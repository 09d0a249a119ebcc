"""Questions that are asked one after the other: the next opens when the one before is not similar.

How far a chain is follows from the stored answers alone, worked out whenever somebody asks: there
is no second state to keep in step with undo, changed answers, several people or several processes.
"""

import json
import sqlite3
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from domain.answers import Kind
from domain.pairs import Pair
from labeling_store.db import Store
from labeling_store.ledger import Ledger

_HAS_CHAINS = """
    SELECT EXISTS (SELECT 1 FROM proposal
        WHERE round_id = :round_id AND state = 'open' AND chain IS NOT NULL)
"""
# The kinds of the responses are looked up only where there are any; NULL: none.
_LINKS = """
    SELECT chain, proposal_id, a, b, unless_implied,
        CASE WHEN state = 'closed' THEN
            (SELECT group_concat(e.kind) FROM response AS r JOIN event AS e USING (event_id)
             WHERE r.proposal_id = p.proposal_id) END
    FROM proposal AS p
    WHERE round_id = :round_id AND chain IS NOT NULL AND state IN ('open', 'closed')
    ORDER BY chain, chain_position, proposal_id
"""
_LEASES = """
    SELECT l.proposal_id, l.member_id, p.a, p.b
    FROM lease AS l CROSS JOIN proposal AS p USING (proposal_id)
    WHERE p.state = 'open' AND l.expires_at > :now AND l.leased_at <= :soon
"""
_UNANSWERED = """
    SELECT p.proposal_id FROM proposal AS p
    WHERE p.proposal_id IN (SELECT value FROM json_each(:held)) AND p.round_id = :round_id
        AND p.chain IS NOT NULL AND p.state = 'open'
        AND NOT EXISTS (SELECT 1 FROM response AS r WHERE r.proposal_id = p.proposal_id)
    ORDER BY p.proposal_id
"""
_RELEASE = """
    DELETE FROM lease
    WHERE member_id = :member_id AND proposal_id IN (SELECT value FROM json_each(:held))
"""

Leases = Mapping[Pair, Collection[int]]


@dataclass(frozen=True)
class Chain:
    """A chain that goes on.

    Attributes:
        next: the question that can be asked now.
        waiting: this one and those that follow if it is not similar.
        questions: the ids of all its questions, answered ones too, by pair.
    """

    next: int
    waiting: Sequence[int]
    questions: Mapping[Pair, int]

    def is_held(self, leases: Leases) -> bool:
        """Whether somebody has a question of it before them."""
        return any(each in leases for each in self.questions)

    def is_free(self, leases: Leases) -> bool:
        """Whether nobody has another question of it than the next before them."""
        return not any(set(leases.get(each, ())) - {self.next} for each in self.questions)


def has_chains(db: sqlite3.Connection, round_id: int) -> bool:
    """Whether a round has open questions in chains."""
    (found,) = db.execute(_HAS_CHAINS, {"round_id": round_id}).fetchone()
    return bool(found)


def open_chains(
    db: sqlite3.Connection, ledger: Ledger, round_id: int
) -> Generator[Chain, None, None]:
    """The chains of a round that go on, as the answers are now, each worked out when it is wanted.

    A question is passed when it was answered "dissimilar" or "unsure"; a further opinion counts
    when it comes, but nobody waits for it. "Similar" anywhere in the chain ends it; so do a skip,
    as the image cannot be judged, and a tie, which is a conflict for the lead. What was said of its
    pair elsewhere counts too; what answers to other pairs imply, only for questions that are asked
    unless implied.

    Args:
        db: a transaction or snapshot, inside of which the ledger is brought up to date.
        ledger: with its lock held.
        round_id: which round.

    Returns:
        In the order of their ranks. To be used up or closed inside the transaction: until then it
        reads.
    """
    if not has_chains(db, round_id):
        return
    ledger.catch_up(db)
    rows = db.execute(_LINKS, {"round_id": round_id})
    for _, links in groupby(rows, key=itemgetter(0)):
        chain = _chain(ledger, links)
        if chain is not None:
            yield chain


def release_settled(
    store: Store, member_id: int, round_id: int, held: Collection[int]
) -> list[int]:
    """Which questions that a member has before them nobody needs to answer any more.

    Their chain has ended since, or what others answered implies them; their leases end.

    Args:
        store: people's work; not inside a transaction.
        member_id: who holds them.
        round_id: which round.
        held: their ids; those of other rounds and outside of chains are kept.
    """
    if not held or not has_chains(store.reader(), round_id):
        return []
    values = {"round_id": round_id, "held": json.dumps([*held]), "member_id": member_id}
    with consistent(store, round_id), store.snapshot() as db:
        wanted = {
            each for chain in open_chains(db, store.ledger, round_id) for each in chain.waiting
        }
        settled = [each for (each,) in db.execute(_UNANSWERED, values) if each not in wanted]
    if settled:
        with store.transaction() as db:
            db.execute(_RELEASE, {**values, "held": json.dumps(settled)})
    return settled


@contextmanager
def consistent(store: Store, round_id: int) -> Iterator[None]:
    """Inside, nobody else of this process reads or changes what the answers say together."""
    with store.ledger.lock:
        if has_chains(store.reader(), round_id):
            # The first time, this reads the whole log: not while others wait for the write lock.
            with store.snapshot() as db:
                store.ledger.catch_up(db)
        yield


def live_leases(
    db: sqlite3.Connection,
    times: Mapping[str, str],
    *,
    member_id: int | None = None,
    held: Collection[int] = (),
) -> Leases:
    """Open questions that people have before them: their ids by pair, from any round.

    Args:
        times: `now`, and the latest moment `soon` from which a lease may come.
        member_id: whose leases count only where they are among `held`; None: all count.
    """
    leases: dict[Pair, set[int]] = {}
    for number, holder, a, b in db.execute(_LEASES, times):
        if holder != member_id or number in held:
            leases.setdefault(Pair(a, b), set()).add(number)
    return leases


def _chain(ledger: Ledger, links: Iterable[sqlite3.Row]) -> Chain | None:
    """The chain of these questions, None if it is over."""
    questions, waiting = {}, []
    for _, number, a, b, unless_implied, said in links:
        asked = Pair(a, b)
        questions[asked] = number
        known = ledger.relation(asked) if unless_implied else ledger.settled(asked).similar
        ends = known if said is None else bool(known) or _answered(ledger, asked, said)
        if ends:
            return None
        if ends is None:
            waiting.append(number)
    return Chain(waiting[0], waiting, questions) if waiting else None


def _answered(ledger: Ledger, asked: Pair, said: str) -> bool:
    """Whether a question that was answered ends its chain."""
    own = ledger.settled(asked)
    return bool(own.similar) or own.tie or (own.similar is None and Kind.SKIP in said.split(","))
