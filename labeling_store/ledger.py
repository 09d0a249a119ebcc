"""What the answer log says now, kept in memory and brought up to the log's last event on demand.

A cache, never a source: it is keyed by the last event it has seen, so that several processes agree,
and it can be thrown away at any time. The label of a pair is the majority of its members' latest
standing answers; labels enter the closure in the order of the events that gave them, so that a
contradiction is laid to the later answer.
"""

import sqlite3
import threading
from bisect import bisect_left
from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import dataclass

from annealing.transitivity import Closure, Outcome
from domain.answers import Kind
from domain.pairs import Pair
from labeling_store.votes import Settled, no_collector, settled_everywhere, settled_now

_BULK = 1000  # events to catch up with, from which reading the whole log may be quicker
_BULK_SHARE = 1 / 8  # and which share of the labels they must be at least

_NEW = """
    SELECT event_id, a, b, kind FROM event WHERE event_id > :after ORDER BY event_id LIMIT :limit
"""
_NEWEST = "SELECT coalesce(max(event_id), 0) FROM event"
_LABELS = {kind.value: kind is Kind.SIMILAR for kind in Kind if kind.is_label}


@dataclass(frozen=True)
class Finding:
    """A contradiction in the log: the event that brought it, and the answers it clashes with."""

    event_id: int
    evidence: tuple[Pair, ...]


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
        self._order: list[int] = []  # the events that gave pairs their labels
        self._closure = Closure()  # these labels, in this order
        self._clashes: dict[Pair, int] = {}  # labels that contradict those before them; their place
        self._ties: dict[Pair, Finding] = {}

    def is_up_to_date(self, db: sqlite3.Connection) -> bool:
        """Whether nothing was added to the log since the last call of `catch_up`."""
        (newest,) = db.execute(_NEWEST).fetchone()
        return bool(newest == self.last_event_id)

    def catch_up(self, db: sqlite3.Connection) -> set[Pair]:
        """Take in the events since the last call; the pairs whose finding may differ by them.

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
                changed = self._rebuild(settled_everywhere(db))
            else:
                newest = new[-1]["event_id"]
                changed = self._take_in(db, new)
        except BaseException:  # half taken in
            self.forget()
            raise
        self.last_event_id = newest
        return changed

    def findings(self) -> dict[Pair, Finding]:
        """Pairs in conflict: answers that contradict earlier ones, and ties."""
        clashes = {each: self._clash(place) for each, place in self._clashes.items()}
        return {**clashes, **self._ties}

    def finding(self, asked: Pair) -> Finding | None:
        """The conflict that this pair opened and that still holds, if any."""
        place = self._clashes.get(asked)
        return self._ties.get(asked) if place is None else self._clash(place)

    def in_conflict(self, asked: Pair) -> bool:
        """Whether this pair opened a conflict that still holds."""
        return asked in self._clashes or asked in self._ties

    def labels(self) -> dict[Pair, bool]:
        """The labelled pairs in the order of the events that gave the labels."""
        return dict(self._closure.answers_from(0))

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

    def prepare_proofs(self) -> None:
        """Make now what the first proof of a long log would take some tenths of a second for."""
        self._closure.links()

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
        """Put everybody's new state in place of all that was; the pairs in conflict before or now.

        Against what answers they speak is not searched: nearly always they are in the queue.
        """
        before = {*self._clashes, *self._ties}
        with no_collector():
            labels = [(each, now) for each, now in settled.items() if now.similar is not None]
            labels.sort(key=lambda label: label[1].since)
            self._settled, self._closure = settled, Closure()
            self._order = [now.since for _, now in labels]
            self._closure.extend(
                [each for each, _ in labels], [now.similar is True for _, now in labels]
            )
            self._ties = {q: Finding(now.since, (q,)) for q, now in settled.items() if now.tie}
            self._clashes = {labels[place][0]: place for place in self._closure.contradicting()}
        return before.union(self._clashes, self._ties)

    def _take_in(self, db: sqlite3.Connection, new: Sequence[sqlite3.Row]) -> set[Pair]:
        """Take new events in, one by one while each is the first of its pair and gives it a label.

        Such an event alone says all there is. After another kind of event, the rest together.
        """
        clashing = set[Pair]()
        for place, (event_id, a, b, kind) in enumerate(new):
            each, similar = Pair(a, b), _LABELS.get(kind)
            if similar is None or each in self._settled:
                return clashing | self._replace(self._settled_by(db, new[place:]))
            self._settled[each] = Settled(similar, event_id)
            if self._add(event_id, each, similar):
                clashing.add(each)
        return clashing

    def _settled_by(
        self, db: sqlite3.Connection, new: Sequence[sqlite3.Row]
    ) -> dict[Pair, Settled]:
        """The state of the pairs of new events."""
        found: dict[Pair, Settled | None] = {}
        for event_id, a, b, kind in new:
            each = Pair(a, b)
            first = each not in found and each not in self._settled and kind in _LABELS
            found[each] = Settled(_LABELS[kind], event_id) if first else None
        return {each: now or settled_now(db, each) for each, now in found.items()}

    def _replace(self, settled: Mapping[Pair, Settled]) -> set[Pair]:
        """Put pairs' new states in place of their old ones; the pairs whose finding may differ."""
        changed = {each: now for each, now in settled.items() if now != self.settled(each)}
        old = [self.settled(each) for each in changed]
        gone = {was.since for was in old if was.similar is not None}
        new = {now.since: each for each, now in changed.items() if now.similar is not None}
        differing = {each for each in changed if each in self._ties}
        self._settled.update(settled)
        for each, now in changed.items():
            self._ties.pop(each, None)
            if now.tie:
                self._ties[each] = Finding(now.since, (each,))
                differing.add(each)
        return differing | self._reorder(gone, new)

    def _reorder(self, gone: Set[int], new: Mapping[int, Pair]) -> set[Pair]:
        """Replay the closure from the first change on; what clashed there before or does now."""
        if not gone and not new:
            return set()
        kept = bisect_left(self._order, min([*gone, *new]))
        tail = [each for each, _ in self._closure.answers_from(kept)]
        clashed = {each for each in tail if self._clashes.pop(each, None) is not None}
        left = {
            since: each
            for since, each in zip(self._order[kept:], tail, strict=True)
            if since not in gone
        }
        self._closure.rollback(kept)
        del self._order[kept:]
        for since, each in sorted({**left, **new}.items()):
            if self._add(since, each, self._settled[each].similar is True):
                clashed.add(each)
        return clashed

    def _add(self, since: int, answered: Pair, similar: bool) -> bool:
        """Take a label in; whether it clashes with those before it."""
        self._order.append(since)
        outcome = self._closure.add(answered, similar)
        if outcome is not Outcome.CONFLICT:
            return False
        self._clashes[answered] = len(self._order) - 1
        return True

    def _clash(self, place: int) -> Finding:
        return Finding(self._order[place], self._closure.contradiction_at(place).evidence)
