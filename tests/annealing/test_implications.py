"""What a question would settle, against the worked example and against simply trying it."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annealing.expansion import known_relations
from annealing.implications import implications
from annealing.transitivity import Closure
from domain.answers import Propagation
from domain.pairs import Pair, pair
from tests.annealing.oracles import ORACLES

PAIRS = [Pair(a, b) for a, b in combinations(range(7), 2)]
labelled = st.lists(st.tuples(st.sampled_from(PAIRS), st.booleans()), max_size=12).map(dict)


def without_contradictions(labels):
    closure = Closure()
    for answered, similar in labels.items():
        closure.add(answered, similar)
    return closure.accepted()


def test_expected_gains_agree_with_the_worked_example():
    answers = {pair(a, b): y == 1 for a, b, y in ORACLES["transitivity"]["inputs"]["annotated"]}
    settles = implications(answers, Propagation.CLOSURE)
    example = ORACLES["implied_gain"]
    for name, probability in example["inputs"]["p"].items():
        first, second = (int(number) for number in name.strip("()").split(","))
        expected = settles.gain(first, second).expected(probability)
        assert expected == pytest.approx(example["expected"][name], abs=1e-9)


@pytest.mark.parametrize("propagation", Propagation)
@settings(max_examples=150, deadline=None)
@given(labels=labelled, asked=st.sampled_from(PAIRS))
def test_a_gain_is_what_answering_brings(propagation, labels, asked):
    labels = without_contradictions(labels)
    before = {each.pair for each in known_relations(labels, propagation, proofs=False)}
    gain = implications(labels, propagation).gain(asked.a, asked.b)
    if asked in before:
        assert gain.if_similar == gain.if_dissimilar == 0
        return
    for similar, expected in ((True, gain.if_similar), (False, gain.if_dissimilar)):
        answered = {**labels, asked: similar}
        after = {each.pair for each in known_relations(answered, propagation, proofs=False)}
        if propagation is not Propagation.ONE_STEP or before <= after:
            assert len(after - before) == expected


@given(labels=labelled)
def test_members_of_a_group_ask_the_same(labels):
    labels = without_contradictions(labels)
    settles = implications(labels, Propagation.CLOSURE)
    for a, b in combinations(range(7), 2):
        if settles.group(a) == settles.group(b):
            others = [each for each in range(7) if each not in (a, b)]
            assert all(settles.gain(a, each) == settles.gain(b, each) for each in others)


@pytest.mark.parametrize("propagation", [Propagation.ONE_STEP, Propagation.OFF])
def test_without_the_closure_every_image_is_its_own_group(propagation):
    settles = implications({pair(0, 1): True}, propagation)
    assert settles.group(0) != settles.group(1)
