"""Random logs, written by two stores in turn, against a reference worked out from the log alone."""

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.answers import Kind, NewAnswer, Propagation, ReceiptStatus, Source
from domain.members import Role
from domain.pairs import Pair
from labeling_store import answers, checks, ledger, members, relations, settling, votes
from labeling_store.conflicts import open_conflicts
from labeling_store.db import Store
from tests.annealing.closure_reference import fixed_point
from tests.labeling_store.building import catalogue

PAIRS = [Pair(a, b) for a in range(1, 5) for b in range(a + 1, 5)]
NAMES = ["ann", "bob", "lead"]


def label_of(log):
    """A pair's label from its standing events: majority of the latest, or the lead's last word."""
    latest = {
        event.member: event.similar for event in log if event.kind not in ("skip", "resolution")
    }
    words = [event.similar for event in log if event.kind == "resolution"]
    if words:
        return words[-1], False
    count = Counter(latest.values())
    tie = count[True] == count[False] > 0
    return (None if count[True] == count[False] else count[True] > count[False]), tie


def since_of(log):
    """The event from which on the label was what it is."""
    states = [label_of(log[: length + 1]) for length in range(len(log))]
    first = len(states) - 1
    while first > 0 and states[first - 1] == states[-1]:
        first -= 1
    return log[first].event_id


@dataclass(frozen=True)
class Expected:
    """What a log comes to, worked out by brute force."""

    order: list[Pair]
    labels: dict[Pair, bool | None]
    ties: set[Pair]
    known: dict[Pair, bool]
    clashes: dict[Pair, dict[Pair, bool]]  # with the answers taken in before


def reference(events):
    voided = {event.refers_to for event in events if event.kind == "void"}
    standing = [e for e in events if e.kind != "void" and e.event_id not in voided]
    logs = {q: [e for e in standing if e.pair == q] for q in {e.pair for e in standing}}
    labels = {q: label_of(log) for q, log in logs.items()}
    order = sorted((since_of(logs[q]), q) for q, (said, _) in labels.items() if said is not None)
    taken, known, clashes = {}, {}, {}
    for _, q in order:
        if known.get(q, labels[q][0]) != labels[q][0]:
            clashes[q] = dict(taken)
        else:
            taken[q] = labels[q][0]
            known = fixed_point(taken)
    return Expected(
        [q for _, q in order],
        {q: said for q, (said, _) in labels.items()},
        {q for q, (_, tie) in labels.items() if tie},
        known,
        clashes,
    )


def proves(evidence, taken, q, similar):
    """Whether these answers, all of them taken in, imply the label, and no fewer of them do."""
    said = {each: taken[each] for each in evidence}
    fewer = [{e: y for e, y in said.items() if e != left_out} for left_out in said]
    return fixed_point(said).get(q) == similar and all(q not in fixed_point(f) for f in fewer)


class LogAgainstReference(RuleBasedStateMachine):
    @initialize()
    def start(self):
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "labels.db"
        self.stores = [Store.open(path, create=True), Store.open(path)]
        catalogue(self.stores[0], train=4)
        with self.stores[0].transaction() as db:
            self.members = {
                name: members.ensure_member(db, name, Role(role))
                for name, role in zip(NAMES, ["annotator", "annotator", "lead"], strict=True)
            }
        self.keys = []

    def teardown(self):
        for store in getattr(self, "stores", []):
            store.close()
        if hasattr(self, "folder"):
            self.folder.cleanup()

    def send(self, store, name, kind, q, **more):
        key = f"key {len(self.keys)}"
        new = NewAnswer(key, kind, q, **more)
        (receipt,) = answers.record_answers(self.stores[store], self.members[name], [new])
        self.keys.append(key)
        return receipt

    @rule(
        store=st.integers(0, 1),
        name=st.sampled_from(NAMES),
        kind=st.sampled_from([Kind.SIMILAR, Kind.DISSIMILAR] * 3 + [Kind.UNSURE, Kind.SKIP]),
        q=st.sampled_from(PAIRS),
    )
    def answer(self, store, name, kind, q):
        receipt = self.send(store, name, kind, q)
        assert receipt.status is ReceiptStatus.STORED
        expected = reference(self.log())
        assert receipt.conflict == (kind.is_label and q in {*expected.clashes, *expected.ties})

    @rule(store=st.integers(0, 1), name=st.sampled_from([*NAMES, "new"]), data=st.data())
    def import_several(self, store, name, data):
        said = data.draw(st.dictionaries(st.sampled_from(PAIRS), st.booleans(), max_size=5))
        new = [
            NewAnswer(
                f"import {len(self.keys) + number}",
                Kind.SIMILAR if similar else Kind.DISSIMILAR,
                q,
                source=Source.IMPORT,
                member=name,
            )
            for number, (q, similar) in enumerate(said.items())
        ]
        receipts = answers.record_answers(self.stores[store], self.members["lead"], new)
        assert all(receipt.status is ReceiptStatus.STORED for receipt in receipts)
        self.keys += [each.key for each in new]

    @rule(
        store=st.integers(0, 1),
        q=st.sampled_from(PAIRS),
        similar=st.sampled_from([True, False, None]),
    )
    def say_as_lead(self, store, q, similar):
        self.send(store, "lead", Kind.RESOLUTION, q, similar=similar)

    @precondition(lambda self: open_conflicts(self.stores[0].reader()))
    @rule(store=st.integers(0, 1), keep=st.booleans(), data=st.data())
    def settle_a_conflict(self, store, keep, data):
        found = data.draw(st.sampled_from(open_conflicts(self.stores[store].reader())))
        dropped = data.draw(st.sampled_from(found.evidence))
        words = {found.pair: True} if keep else {dropped: None}
        key = f"settled {len(self.keys)}"
        settling.settle_conflict(
            self.stores[store], self.members["lead"], found, words, key=key, reason=""
        )
        self.keys.append(f"{key}.0")

    @precondition(lambda self: self.keys)
    @rule(store=st.integers(0, 1), data=st.data())
    def undo(self, store, data):
        key = data.draw(st.sampled_from(self.keys[-6:]))
        self.send(store, "lead", Kind.VOID, PAIRS[0], refers_to_key=key)

    @invariant()
    def both_stores_say_what_the_log_says(self):
        if not hasattr(self, "stores"):
            return
        expected = reference(self.log())
        conflicts = {*expected.clashes, *expected.ties}
        stored = {c.pair: c.evidence for c in open_conflicts(self.stores[1].reader())}
        assert stored.keys() == conflicts
        for q, taken in expected.clashes.items():
            assert proves(stored[q], taken, q, not expected.labels[q])
        said = {label.pair: label.similar for label in answers.pair_labels(self.stores[0].reader())}
        assert said == expected.labels
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ledger, "_BULK", 0)  # read at once, not one event after the other
            patch.setattr(votes, "_PAGE", 3)
            for few in (0, 10):  # of the pairs with several events: read together, looked up
                patch.setattr(votes, "_FEW", few)
                said_at_once = votes.settled_everywhere(self.stores[0].reader())
                assert {q: now.similar for q, now in said_at_once.items()} == expected.labels
                assert checks.stale_conflicts(self.stores[1]) == []
        for store in self.stores:
            known = relations.known_relations(store, Propagation.OFF)
            assert [each.pair for each in known] == expected.order
            assert {q: found.evidence for q, found in store.ledger.findings().items()} == stored
            for q in PAIRS:
                assert relations.relation(store, q.b, q.a) == expected.known.get(q)
                proof = relations.proof(store, *q)
                labels = {each: expected.labels[each] for each in proof}
                assert fixed_point(labels).get(q) == expected.known.get(q)

    def log(self):
        return list(answers.events(self.stores[0].reader()))


LogAgainstReference.TestCase.settings = settings(
    max_examples=20, stateful_step_count=20, deadline=None
)
TestLogAgainstReference = LogAgainstReference.TestCase
