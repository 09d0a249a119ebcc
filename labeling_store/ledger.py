"""What the answer log says now, kept in memory and brought up to the log's last event on demand.

A cache, never a source: it is keyed by the last event it has seen, so that several processes agree,
and it can be thrown away at any time. The label of a pair is the majority of its members' latest
standing answers; labels enter the closure in the order of the events that gave them, so that a
contradiction is laid to the later answer.
"""

import sqlite3
import threading
from bisect import bisect_left
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from annealing.transitivity import Closure
from domain.answers import Kind
from domain.pairs import Pair

_BULK = 1000  # pairs to catch up with, from which reading the whole log is quicker

_NEW_PAIRS = """
    SELECT event_id, a, b FROM event WHERE event_id > :after ORDER BY event_id
"""
_STANDING = """
    SELECT e.event_id, e.a, e.b, e.member_id, e.kind, e.similar FROM event AS e
    WHERE e.kind <> 'void' AND NOT EXISTS
        (SELECT 1 FROM event AS v WHERE v.kind = 'void' AND v.refers_to = e.event_id)
"""
STANDING_IN_ORDER = _STANDING + " ORDER BY e.event_id"
_OF_PAIR = " AND e.a = :a AND e.b = :b ORDER BY e.event_id"
_KINDS = {kind.value: kind for kind in Kind}
_WORDS = {None: None, 0: False, 1: True}

_Line = tuple[int, Pair]  # an event, and the pair it gave its label


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


@dataclass(frozen=True)
class Finding:
    """A contradiction in the log: the event that brought it, and the answers it clashes with."""

    event_id: int
    evidence: tuple[Pair, ...]


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


class Ledger:
    """Labels in order, their closure, and the contradictions among them.

    Hold `lock` from before the transaction until after its commit, so that no other thread sees
    events that are not committed; after a failed transaction call `forget`.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.forget()

    def forget(self) -> None:
        """Start again from nothing at the next `catch_up`."""
        self.last_event_id = 0
        self.memo: dict[Hashable, int] = {}  # figures worked out from this state of the log
        self._settled: dict[Pair, Settled] = {}
        self._order: list[_Line] = []
        self._closure = Closure()  # one answer for each line of the order
        self._clashes: dict[Pair, Finding] = {}
        self._ties: dict[Pair, Finding] = {}

    def catch_up(self, db: sqlite3.Connection) -> bool:
        """Take in the events since the last call; whether contradictions may have changed."""
        new = db.execute(_NEW_PAIRS, {"after": self.last_event_id}).fetchall()
        if not new:
            return False
        touched = dict.fromkeys(Pair(row["a"], row["b"]) for row in new)
        if len(touched) > _BULK:
            standing = _settled_everywhere(db)
            settled = {each: standing.get(each, Settled()) for each in {**self._settled, **touched}}
        else:
            settled = {each: _settled_now(db, each) for each in touched}
        self.last_event_id = new[-1]["event_id"]
        self.memo.clear()
        return self._replace(settled)

    def findings(self) -> dict[Pair, Finding]:
        """Pairs in conflict: answers that contradict earlier ones, and ties."""
        return {**self._clashes, **self._ties}

    def in_conflict(self, asked: Pair) -> bool:
        """Whether this pair opened a conflict that still holds."""
        return asked in self._clashes or asked in self._ties

    def labels(self) -> dict[Pair, bool]:
        """The labelled pairs in the order of the events that gave the labels."""
        return {labelled: bool(self._settled[labelled].similar) for _, labelled in self._order}

    def settled(self, asked: Pair) -> Settled:
        """What the standing answers to this very pair come to."""
        return self._settled.get(asked, Settled())

    def relation(self, asked: Pair) -> bool | None:
        """What the answers say of a pair, by themselves or by implication; None: nothing."""
        return self._closure.relation(*asked)

    def checked(self) -> tuple[int, int]:
        """How many labels earlier ones implied or contradicted; how many they contradicted."""
        return self._closure.checked, len(self._clashes)

    def _replace(self, settled: Mapping[Pair, Settled]) -> bool:
        """Put pairs' new states in place of their old ones; whether contradictions may differ."""
        old = {each: self._settled.get(each, Settled()) for each in settled}
        changed = [each for each in settled if settled[each] != old[each]]
        gone = {(old[each].since, each) for each in changed if old[each].similar is not None}
        new = [(settled[each].since, each) for each in changed if settled[each].similar is not None]
        for each in changed:
            self._ties.pop(each, None)
            self._settled[each] = settled[each]
            if settled[each].tie:
                self._ties[each] = Finding(settled[each].since, (each,))
        ties_changed = any(old[each].tie or settled[each].tie for each in changed)
        return self._reorder(gone, new) or ties_changed

    def _reorder(self, gone: Set[_Line], new: list[_Line]) -> bool:
        """Replay the closure from the first change on; whether contradictions may differ."""
        if not gone and not new:
            return False
        kept = bisect_left(self._order, min([*gone, *new]))
        tail = self._order[kept:]
        clashes_before = len(self._clashes)
        for _, each in tail:
            self._clashes.pop(each, None)
        self._closure.rollback(kept)
        self._order[kept:] = sorted([*(line for line in tail if line not in gone), *new])
        for since, each in self._order[kept:]:
            self._add(since, each)
        return bool(tail) or len(self._clashes) != clashes_before

    def _add(self, since: int, answered: Pair) -> None:
        self._closure.add(answered, bool(self._settled[answered].similar))
        clash = self._closure.contradiction_at(len(self._closure) - 1)
        if clash is not None:
            self._clashes[answered] = Finding(since, clash.evidence)


def votes_by_pair(rows: Iterable[sqlite3.Row]) -> dict[Pair, list[Vote]]:
    """Standing events grouped by their pair, in the order of the rows."""
    votes: dict[Pair, list[Vote]] = {}
    for event_id, a, b, member_id, kind, similar in rows:
        vote = Vote(event_id, member_id, _KINDS[kind], _WORDS[similar])
        votes.setdefault(Pair(a, b), []).append(vote)
    return votes


def _settled_everywhere(db: sqlite3.Connection) -> dict[Pair, Settled]:
    votes = votes_by_pair(db.execute(STANDING_IN_ORDER))
    return {each: settle(cast) for each, cast in votes.items()}


def _settled_now(db: sqlite3.Connection, asked: Pair) -> Settled:
    rows = db.execute(_STANDING + _OF_PAIR, asked._asdict())
    return settle(votes_by_pair(rows).get(asked, ()))
