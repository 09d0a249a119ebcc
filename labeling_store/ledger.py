"""What the answer log says now, kept in memory and brought up to the log's last event on demand.

A cache, never a source: it is keyed by the last event it has seen, so that several processes agree,
and it can be thrown away at any time. The label of a pair is the majority of its members' latest
standing answers; labels enter the closure in the order of the events that gave them, so that a
contradiction is laid to the later answer.
"""

import gc
import sqlite3
import threading
from bisect import bisect_left
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from annealing.transitivity import Closure
from domain.answers import Kind
from domain.pairs import Pair

_BULK = 1000  # events to catch up with, from which reading the whole log may be quicker
_BULK_SHARE = 1 / 8  # and which share of the labels they must be at least

_NEW = """
    SELECT event_id, a, b, kind FROM event WHERE event_id > :after ORDER BY event_id LIMIT :limit
"""
_NEWEST = "SELECT coalesce(max(event_id), 0) FROM event"
_STANDING = """
    SELECT e.event_id, e.a, e.b, e.member_id, e.kind, e.similar FROM event AS e
    WHERE e.kind <> 'void' AND NOT EXISTS
        (SELECT 1 FROM event AS v WHERE v.kind = 'void' AND v.refers_to = e.event_id)
"""
STANDING_IN_ORDER = _STANDING + " ORDER BY e.event_id"
STANDING_OF_PAIR = _STANDING + " AND e.a = :a AND e.b = :b ORDER BY e.event_id"
_UNLESS_TAKEN_BACK = """
    SELECT event_id, a, b, kind FROM event WHERE kind <> 'void' ORDER BY event_id
"""
_TAKEN_BACK = "SELECT refers_to FROM event WHERE kind = 'void'"
_KINDS = {kind.value: kind for kind in Kind}
_WORDS = {None: None, 0: False, 1: True}
_LABELS = {kind.value: kind is Kind.SIMILAR for kind in Kind if kind.is_label}

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

    def is_up_to_date(self, db: sqlite3.Connection) -> bool:
        """Whether nothing was added to the log since the last call of `catch_up`."""
        (newest,) = db.execute(_NEWEST).fetchone()
        return bool(newest == self.last_event_id)

    def catch_up(self, db: sqlite3.Connection) -> set[Pair]:
        """Take in the events since the last call; the pairs whose finding changed by them.

        Called inside a transaction or a snapshot, so that all it reads is of one moment.
        """
        bulk = max(_BULK, int(_BULK_SHARE * len(self._settled)))
        ids = {"after": self.last_event_id, "limit": bulk + 1}
        new = db.execute(_NEW, ids).fetchall()
        if not new:
            return set()
        self.memo.clear()
        try:
            if len(new) > bulk:
                (newest,) = db.execute(_NEWEST).fetchone()
                changed = self._rebuild(_settled_everywhere(db))
            else:
                newest = new[-1]["event_id"]
                changed = self._replace(self._settled_by(db, new))
        except BaseException:  # half taken in
            self.forget()
            raise
        self.last_event_id = newest
        return changed

    def findings(self) -> dict[Pair, Finding]:
        """Pairs in conflict: answers that contradict earlier ones, and ties."""
        return {**self._clashes, **self._ties}

    def finding(self, asked: Pair) -> Finding | None:
        """The conflict that this pair opened and that still holds, if any."""
        return self._clashes.get(asked) or self._ties.get(asked)

    def in_conflict(self, asked: Pair) -> bool:
        """Whether this pair opened a conflict that still holds."""
        return self.finding(asked) is not None

    def labels(self) -> dict[Pair, bool]:
        """The labelled pairs in the order of the events that gave the labels."""
        return {labelled: bool(self._settled[labelled].similar) for _, labelled in self._order}

    def settled(self, asked: Pair) -> Settled:
        """What the standing answers to this very pair come to."""
        return self._settled.get(asked, Settled())

    def relation(self, asked: Pair) -> bool | None:
        """What the answers say of a pair, by themselves or by implication; None: nothing."""
        return self._closure.relation(*asked)

    def stands_for(self, asked: Pair) -> int:
        """How many pairs an answer to one speaks of: of all known to be similar to its images.

        As many where the relation is known already as there would have been about.
        """
        first, second = (self._closure.root(each) for each in asked)
        size = len(self._closure.members(first))
        other = len(self._closure.members(second))
        return max(1, size - 1) if first == second else size * other

    def proof(
        self, first: int, second: int, *, without: Set[Pair] = frozenset()
    ) -> tuple[Pair, ...]:
        """The fewest labelled pairs that say what is said of two images; see `Closure.proof`."""
        return self._closure.proof(first, second, without=without)

    def disputes(self) -> list[Set[Pair]]:
        """The answers that each contradicting one contradicts, which put each other in doubt."""
        return [{*clash.evidence} for clash in self._clashes.values()]

    def components(self) -> list[tuple[int, ...]]:
        """The images of each group that accepted answers put together."""
        return self._closure.components()

    def count_relations(self, within: Set[int] | None) -> int | None:
        """How many pairs are answered or implied; None where that is not so simple.

        It is not where answers contradict each other, or go beyond the images that count.
        """
        simple = not self._clashes and (within is None or self._closure.numbers() <= within)
        return self._closure.count_relations() if simple else None

    def checked(self) -> tuple[int, int]:
        """How many labels earlier ones implied or contradicted; how many they contradicted."""
        return self._closure.checked, len(self._clashes)

    def _rebuild(self, settled: dict[Pair, Settled]) -> set[Pair]:
        """Put everybody's new state in place of all that was; the pairs whose finding changed."""
        before = self.findings()
        with _no_collector():
            self._settled, self._closure = settled, Closure()
            self._ties = {q: Finding(now.since, (q,)) for q, now in settled.items() if now.tie}
            self._order = sorted(
                (now.since, each) for each, now in settled.items() if now.similar is not None
            )
            for _, each in self._order:
                self._closure.add(each, settled[each].similar is True)
            self._clashes = {
                clash.pair: Finding(settled[clash.pair].since, clash.evidence)
                for clash in self._closure.contradictions
            }
        after = self.findings()
        return {each for each in {**before, **after} if before.get(each) != after.get(each)}

    def _settled_by(
        self, db: sqlite3.Connection, new: Sequence[sqlite3.Row]
    ) -> dict[Pair, Settled]:
        """The state of the pairs of new events; a pair's first event alone says all there is."""
        found: dict[Pair, Settled | None] = {}
        for event_id, a, b, kind in new:
            each = Pair(a, b)
            first = each not in found and each not in self._settled and kind in _LABELS
            found[each] = Settled(_LABELS[kind], event_id) if first else None
        return {each: now or _settled_now(db, each) for each, now in found.items()}

    def _replace(self, settled: Mapping[Pair, Settled]) -> set[Pair]:
        """Put pairs' new states in place of their old ones; the pairs whose finding changed."""
        old = {each: self.settled(each) for each in settled}
        changed = [each for each in settled if settled[each] != old[each]]
        before = {each: self.finding(each) for each in changed}
        gone = {(old[each].since, each) for each in changed if old[each].similar is not None}
        new = [(settled[each].since, each) for each in changed if settled[each].similar is not None]
        self._settled.update(settled)
        for each in changed:
            self._ties.pop(each, None)
            if settled[each].tie:
                self._ties[each] = Finding(settled[each].since, (each,))
        before = {**self._reorder(gone, new), **before}
        return {each for each in before if before[each] != self.finding(each)}

    def _reorder(self, gone: Set[_Line], new: list[_Line]) -> dict[Pair, Finding | None]:
        """Replay the closure from the first change on; what clashed there before or does now."""
        if not gone and not new:
            return {}
        kept = bisect_left(self._order, min([*gone, *new]))
        tail = self._order[kept:]
        before = {each: self._clashes.pop(each) for _, each in tail if each in self._clashes}
        self._closure.rollback(kept)
        self._order[kept:] = sorted([*(line for line in tail if line not in gone), *new])
        found = [each for since, each in self._order[kept:] if self._add(since, each)]
        return {**dict.fromkeys(found), **before}

    def _add(self, since: int, answered: Pair) -> bool:
        """Take a label in; whether it clashes with those before it."""
        self._closure.add(answered, self._settled[answered].similar is True)
        clash = self._closure.contradiction_at(len(self._closure) - 1)
        if clash is not None:
            self._clashes[answered] = Finding(since, clash.evidence)
        return clash is not None


def votes_by_pair(rows: Iterable[sqlite3.Row]) -> dict[Pair, list[Vote]]:
    """Standing events grouped by their pair, in the order of the rows."""
    votes: dict[Pair, list[Vote]] = {}
    for event_id, a, b, member_id, kind, similar in rows:
        vote = Vote(event_id, member_id, _KINDS[kind], _WORDS[similar])
        votes.setdefault(Pair(a, b), []).append(vote)
    return votes


def _settled_everywhere(db: sqlite3.Connection) -> dict[Pair, Settled]:
    """The state of every pair with a standing event; quick where most have just one."""
    settled: dict[Pair, Settled] = {}
    others: dict[Pair, None] = {}
    with _no_collector():
        rows = db.cursor()
        rows.row_factory = None  # plain tuples
        taken_back = {event_id for (event_id,) in rows.execute(_TAKEN_BACK)}
        for event_id, a, b, kind in rows.execute(_UNLESS_TAKEN_BACK):
            if event_id in taken_back:
                continue
            said = Settled(_LABELS.get(kind), event_id)
            if settled.setdefault(each := Pair(a, b), said) is not said or kind not in _LABELS:
                others[each] = None
        for each in others:
            settled[each] = _settled_now(db, each)
    return settled


def _settled_now(db: sqlite3.Connection, asked: Pair) -> Settled:
    rows = db.execute(STANDING_OF_PAIR, asked._asdict())
    return settle(votes_by_pair(rows).get(asked, ()))


@contextmanager
def _no_collector() -> Iterator[None]:
    """Spare a million new tuples the search for cycles, which takes longer than making them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
