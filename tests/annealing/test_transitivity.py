import json
from itertools import combinations, product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from annealing.one_step import one_step
from annealing.transitivity import Closure, Outcome
from domain.pairs import Pair, pair
from tests.annealing.closure_reference import fixed_point

ORACLES = json.loads((Path(__file__).parent.parent / "fixtures/transitivity.json").read_text())
FEW_PAIRS = [Pair(a, b) for a, b in combinations(range(6), 2)]


def labels_of(annotated):
    return {pair(a, b): bool(y) for a, b, y in annotated}


def answers(max_size=25):
    return st.lists(st.tuples(st.sampled_from(FEW_PAIRS), st.booleans()), max_size=max_size)


@pytest.mark.parametrize("name", ["transitivity", "conflict"])
def test_one_step_gives_the_figures_of_the_specification(name):
    labels = labels_of(ORACLES[name]["inputs"]["annotated"])
    implied = one_step(labels)
    expected = ORACLES[name]["expected"]
    assert [[*q, int(y)] for q, y in implied.relations.items()] == expected["one_step_new"]
    assert [list(q) for q in implied.conflicts] == expected["one_step_conflicts"]
    total = expected.get("one_step_total", len(labels))  # nothing new where all is in conflict
    assert len(labels) + len(implied.relations) == total


def test_closure_gives_the_figures_of_the_specification():
    case = ORACLES["transitivity"]
    closure = Closure()
    labels = labels_of(case["inputs"]["annotated"])
    assert [closure.add(q, y) for q, y in labels.items()] == case["expected"]["events"]
    known = sorted([*q, int(y)] for q, y in closure.relations())
    assert known == case["expected"]["closure"]
    assert len(known) == case["expected"]["closure_size"]
    assert [list(c) for c in closure.components()] == case["expected"]["components"]


def test_the_later_of_two_contradicting_answers_is_not_taken_in():
    case = ORACLES["conflict"]
    closure = Closure()
    labels = labels_of(case["inputs"]["annotated"])
    assert [closure.add(q, y) for q, y in labels.items()] == case["expected"]["store_events"]
    (found,) = closure.contradictions
    assert [[*found.pair, int(found.similar)]] == case["expected"]["store_conflicts"]
    assert found.evidence == (Pair(1, 2), Pair(0, 1), Pair(0, 3))
    assert closure.relation(2, 3) is True


def test_one_step_proofs_are_two_answers_that_share_one_number():
    implied = one_step({Pair(0, 1): True, Pair(1, 2): True, Pair(0, 3): True, Pair(2, 3): True})
    assert implied.proofs[Pair(0, 2)] == (
        (Pair(0, 1), Pair(1, 2)),
        (Pair(0, 3), Pair(2, 3)),
    )


@given(answers())
def test_one_step_equals_a_loop_over_all_two_answers(given_answers):
    labels = dict(given_answers)
    said = {}
    for (left, y_left), (right, y_right) in combinations(labels.items(), 2):
        ends = set(left) ^ set(right)
        if len(ends) == 2 and (y_left or y_right):
            said.setdefault(pair(*ends), set()).add(y_left and y_right)
    implied = one_step(labels)
    clash = {q for q, ys in said.items() if len(ys | {labels.get(q, min(ys))}) > 1}
    new = {q: min(ys) for q, ys in said.items() if q not in labels and q not in clash}
    assert implied.relations == new
    assert set(implied.conflicts) == clash


@settings(max_examples=50)
@given(answers(max_size=14))
def test_closure_holds_all_that_one_step_implies_of_consistent_answers(given_answers):
    closure = Closure()
    for answered, similar in given_answers:
        closure.add(answered, similar)
    if not closure.contradictions:
        known = dict(closure.relations())
        assert one_step(dict(given_answers)).relations.items() <= known.items()


class ClosureAgainstBruteForce(RuleBasedStateMachine):
    """Adds, contradicts, takes back; the reference applies the rules to a fixed point."""

    def __init__(self):
        super().__init__()
        self.closure = Closure()
        self.accepted = [{}]  # after each answer
        self.known = [{}]

    @rule(answered=st.sampled_from(FEW_PAIRS), similar=st.booleans())
    def add(self, answered, similar):
        before = self.known[-1]
        outcome = self.closure.add(answered, similar)
        conflict = before.get(answered, similar) != similar
        if answered not in before:
            assert outcome is (Outcome.MERGED if similar else Outcome.CANNOT_LINK)
        else:
            assert outcome is (Outcome.CONFLICT if conflict else Outcome.REDUNDANT)
        if conflict:
            self.check_proof(self.closure.contradictions[-1].evidence, answered, not similar)
        self.remember(answered, similar)

    def remember(self, answered, similar):
        conflict = self.known[-1].get(answered, similar) != similar
        taken = self.accepted[-1] if conflict else {**self.accepted[-1], answered: similar}
        self.accepted.append(taken)
        self.known.append(fixed_point(taken))

    @rule(together=answers(max_size=8))
    def extend(self, together):
        reference = Closure()
        for answered, similar in [*self.closure.answers_from(0), *together]:
            reference.add(answered, similar)
            if len(reference) >= len(self.known):
                self.remember(answered, similar)
        self.closure.extend([q for q, _ in together], [y for _, y in together])
        assert self.closure.contradicting() == reference.contradicting()
        assert self.closure.contradictions == reference.contradictions
        assert self.closure.checked == reference.checked

    @precondition(lambda self: len(self.known) > 1)
    @rule(count=st.integers(1, 4))
    def take_back(self, count):
        kept = max(len(self.known) - 1 - count, 0)
        self.closure.rollback(kept)
        del self.accepted[kept + 1 :], self.known[kept + 1 :]

    @invariant()
    def relations_equal_the_fixed_point(self):
        known = self.known[-1]
        listed = list(self.closure.relations())
        assert dict(listed) == known
        assert len(listed) == len(known)
        assert self.closure.count_relations() == len(known)
        assert self.closure.numbers() == {end for q in self.accepted[-1] for end in q}
        assert self.closure.accepted() == self.accepted[-1]
        for q in FEW_PAIRS:
            assert self.closure.relation(q.b, q.a) == known.get(q)
            self.check_proof(self.closure.proof(*q), q, known.get(q))

    def check_proof(self, proof, proven, similar):
        if similar is None:
            assert proof == ()
            return
        accepted = self.accepted[-1]
        assert fixed_point({q: accepted[q] for q in proof})[proven] == similar
        assert len(set(proof)) == len(proof)
        if proven in accepted:
            assert proof == (proven,)


ClosureAgainstBruteForce.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None
)
TestClosureAgainstBruteForce = ClosureAgainstBruteForce.TestCase


def test_proofs_are_the_shortest_ones():
    closure = Closure()
    chain = [Pair(n, n + 1) for n in range(6)]
    for answered in [*chain, Pair(0, 4)]:
        closure.add(answered, True)
    assert closure.proof(0, 5) == (Pair(0, 4), Pair(4, 5))
    closure.add(Pair(3, 9), False)
    assert closure.proof(9, 0) == (Pair(3, 9), Pair(3, 4), Pair(0, 4))


def test_a_proof_goes_round_the_answers_to_do_without():
    closure = Closure()
    ring = [pair(n, (n + 1) % 5) for n in range(5)]
    for answered in ring:
        closure.add(answered, True)
    for link in (Pair(0, 9), Pair(2, 9)):
        closure.add(link, False)
    assert closure.proof(0, 2, without={Pair(1, 2)}) == (Pair(0, 4), Pair(3, 4), Pair(2, 3))
    assert closure.proof(0, 2, without={Pair(1, 2), Pair(2, 3)}) == ()
    assert closure.proof(9, 1, without={Pair(0, 9)}) == (Pair(2, 9), Pair(1, 2))
    assert closure.proof(9, 1, without={Pair(0, 9), Pair(2, 9)}) == ()


def test_merging_keeps_every_cannot_link():
    closure = Closure()
    for left, right in product(range(3), range(10, 13)):
        closure.add(Pair(left, right), False)
    for answered in [Pair(0, 1), Pair(1, 2), Pair(10, 11), Pair(11, 12)]:
        assert closure.add(answered, True) is Outcome.MERGED
    (link,) = closure.cannot_links()
    assert set(link) == {closure.root(0), closure.root(10)}
    assert closure.relation(2, 12) is False


@given(answers(), answers(max_size=8))
def test_evidence_is_of_the_moment_of_its_answer_whenever_it_is_searched(together, more):
    at_once, later = Closure(), Closure()
    later.extend([q for q, _ in together], [y for _, y in together])
    for answered, similar in together:
        at_once.add(answered, similar)
    for answered, similar in more:
        assert later.add(answered, similar) is at_once.add(answered, similar)
    assert later.contradictions == at_once.contradictions
