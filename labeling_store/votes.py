"""What members said of pairs, and the labels that come of it.

The label of a pair is the majority of its members' latest standing answers; a lead's word on it
beats all.
"""

import gc
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from domain.answers import Kind
from domain.pairs import Pair

_PAGE = 20_000  # events of the whole log in memory at once
_FEW = 1 / 40  # of all pairs: so many are looked up in the time that reading the whole log takes

_STANDING = """
    SELECT e.event_id, e.a, e.b, e.member_id, e.kind, e.similar FROM event AS e
    WHERE e.kind <> 'void' AND NOT EXISTS
        (SELECT 1 FROM event AS v WHERE v.kind = 'void' AND v.refers_to = e.event_id)
"""
STANDING_IN_ORDER = _STANDING + " ORDER BY e.event_id"
STANDING_OF_PAIR = _STANDING + " AND e.a = :a AND e.b = :b ORDER BY e.event_id"
# Of what gives no label at once `similar` is NULL, the word of a resolution too.
_UNLESS_TAKEN_BACK = """
    SELECT event_id, a, b, iif(kind = 'resolution', NULL, similar) FROM event
    WHERE kind <> 'void' ORDER BY event_id
"""
_TAKEN_BACK = "SELECT refers_to FROM event WHERE kind = 'void'"
_KINDS = {kind.value: kind for kind in Kind}
_WORDS = {None: None, 0: False, 1: True}


class Vote(NamedTuple):
    """A standing event of a pair; `similar` is what it says of the pair."""

    event_id: int
    member_id: int
    kind: Kind
    similar: bool | None


class Settled(NamedTuple):
    """What a pair's standing events come to.

    Attributes:
        similar: the majority's or the lead's word; None: none, or a tie.
        since: the event that gave the pair this label; 0 while it never had one.
        tie: as many members say similar as say dissimilar.
    """

    similar: bool | None = None
    since: int = 0
    tie: bool = False


# As Pair(a, b) and Settled(…), in a third of the time
_pair: Callable[[tuple[int, int]], Pair] = partial(tuple.__new__, Pair)
_first: Callable[[tuple[bool | None, int, bool]], Settled] = partial(tuple.__new__, Settled)


def settle(votes: Sequence[Vote]) -> Settled:
    """The label of one pair from its standing events, oldest first.

    A member's later answer replaces their own earlier one, unsure does not vote, and a skip says
    nothing. A lead's latest resolution beats all.
    """
    if len(votes) == 1 and votes[0].kind.is_label:  # nearly every pair
        return Settled(votes[0].similar, votes[0].event_id)
    latest: dict[int, bool | None] = {}
    verdict: Vote | None = None
    label, since, tie = None, 0, False
    for vote in votes:
        if vote.kind is Kind.RESOLUTION:
            verdict = vote
        elif vote.kind is not Kind.SKIP:
            latest[vote.member_id] = vote.similar
        balance = _balance(latest)
        now = verdict.similar if verdict else _sign(balance)
        tie_now = verdict is None and balance == 0 and any(v is not None for v in latest.values())
        if (now, tie_now) != (label, tie):
            label, since, tie = now, vote.event_id, tie_now
    return Settled(label, since, tie)


def _balance(latest: Mapping[int, bool | None]) -> int:
    return sum(0 if said is None else 1 if said else -1 for said in latest.values())


def _sign(balance: int) -> bool | None:
    return None if balance == 0 else balance > 0


def votes_by_pair(rows: Iterable[sqlite3.Row]) -> dict[Pair, list[Vote]]:
    """Standing events grouped by their pair, in the order of the rows."""
    votes: dict[Pair, list[Vote]] = {}
    for event_id, a, b, member_id, kind, similar in rows:
        vote = Vote(event_id, member_id, _KINDS[kind], _WORDS[similar])
        votes.setdefault(Pair(a, b), []).append(vote)
    return votes


def settled_everywhere(db: sqlite3.Connection) -> dict[Pair, Settled]:
    """The state of every pair with a standing event; quick where most have just one."""
    settled: dict[Pair, Settled] = {}
    several = set[Pair]()  # pairs of which more than one event speaks, or one without a label
    with no_collector():
        rows = db.cursor()
        rows.row_factory = None  # plain tuples
        taken_back = {event_id for (event_id,) in rows.execute(_TAKEN_BACK)}
        rows.execute(_UNLESS_TAKEN_BACK)
        while page := rows.fetchmany(_PAGE):
            standing = [row for row in page if row[0] not in taken_back] if taken_back else page
            said = {_pair((a, b)): _first((_WORDS[word], at, False)) for at, a, b, word in standing}
            if len(said) < len(standing) or not settled.keys().isdisjoint(said.keys()):
                times = Counter((a, b) for _, a, b, _ in standing)
                several.update(each for each in said if times[each] > 1 or each in settled)
            several.update(each for each, now in said.items() if now.similar is None)
            settled |= said
        settled.update(_settled_of(db, several, of=len(settled)))
    return settled


def _settled_of(
    db: sqlite3.Connection, wanted: Set[Pair], *, of: int
) -> Iterator[tuple[Pair, Settled]]:
    """The states of these pairs: each looked up, or where they are many of all, in one go."""
    if len(wanted) < _FEW * of:
        yield from ((each, settled_now(db, each)) for each in wanted)
        return
    rows = (row for row in db.execute(STANDING_IN_ORDER) if (row["a"], row["b"]) in wanted)
    for each, votes in votes_by_pair(rows).items():
        yield each, settle(votes)


def settled_now(db: sqlite3.Connection, asked: Pair) -> Settled:
    """The state of one pair."""
    rows = db.execute(STANDING_OF_PAIR, asked._asdict())
    return settle(votes_by_pair(rows).get(asked, ()))


@contextmanager
def no_collector() -> Iterator[None]:
    """Spare a million new tuples the search for cycles, which takes longer than making them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
