"""Which answers to ask again: one that explains all contradictions, else the fewest that do."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annealing.contradictions import worth_repeating
from annealing.transitivity import Closure
from domain.pairs import Pair

PAIRS = [Pair(a, b) for a, b in combinations(range(7), 2)]
labelled = st.lists(st.tuples(st.sampled_from(PAIRS), st.booleans()), max_size=20).map(dict)


def contradictions(labels: dict[Pair, bool]) -> list[set[Pair]]:
    closure = Closure()
    for answered, similar in labels.items():
        closure.add(answered, similar)
    return [{each.pair, *each.evidence} for each in closure.contradictions]


def test_the_one_wrong_answer_comes_first() -> None:
    """0, 1, 2 are one kind and 3, 4, 5 another; 2 and 3 were called alike by mistake."""
    kind = {0: 0, 1: 0, 2: 0, 3: 1, 4: 1, 5: 1}
    right = [Pair(0, 2), Pair(1, 2), Pair(3, 4), Pair(3, 5)]
    later = [Pair(0, 3), Pair(2, 4), Pair(2, 5)]
    labels = {each: kind[each.a] == kind[each.b] for each in right}
    labels[Pair(2, 3)] = True
    labels |= {each: kind[each.a] == kind[each.b] for each in later}
    assert worth_repeating(labels, 5)[0] == Pair(2, 3)


def test_answers_that_agree_are_not_asked_again() -> None:
    assert worth_repeating({Pair(0, 1): True, Pair(1, 2): True, Pair(0, 2): True}, 5) == []


@settings(max_examples=200, deadline=None)
@given(labels=labelled, count=st.integers(0, 4), but=st.sets(st.sampled_from(PAIRS), max_size=6))
def test_every_given_pair_stands_in_a_contradiction_of_its_own(
    labels: dict[Pair, bool], count: int, but: set[Pair]
) -> None:
    chosen = worth_repeating(labels, count, but=but)
    assert len(chosen) == len(set(chosen)) <= count
    assert not but.intersection(chosen)
    left = contradictions(labels)
    for each in chosen:
        assert any(each in answers for answers in left)
        left = [answers for answers in left if each not in answers]
    if len(chosen) < count:
        assert all(answers <= but for answers in left)


@pytest.mark.parametrize("first", [Pair(0, 1), Pair(1, 2)])
def test_of_equal_ones_the_latest_is_asked(first: Pair) -> None:
    labels = {first: True, (Pair(0, 1) if first.a else Pair(1, 2)): True, Pair(0, 2): False}
    assert worth_repeating(labels, 1) == [Pair(0, 2)]
