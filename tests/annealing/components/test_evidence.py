"""Groups from answers, against the connected components of a graph."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from annealing.components.evidence import (
    NO_GROUP,
    Answers,
    evidence_between,
    groups_of,
)
from tests.annealing.components.conftest import answers_of, no_answers

ROWS = 9
pair = st.tuples(st.integers(0, ROWS - 1), st.integers(0, ROWS - 1)).filter(lambda p: p[0] != p[1])
said = st.lists(st.tuples(pair, st.booleans()).map(lambda each: (*each[0], each[1])), max_size=25)
kinds = st.lists(st.integers(0, 3), min_size=ROWS, max_size=ROWS)


def partition(group: np.ndarray) -> set[frozenset[int]]:
    return {
        frozenset(np.flatnonzero(group == each).tolist()) for each in set(group.tolist()) - {-1}
    }


def connected(answers: Answers) -> set[frozenset[int]]:
    a, b = answers.pairs[answers.similar].T
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(ROWS, ROWS))
    label = connected_components(graph, directed=False)[1]
    label[np.setdiff1d(np.arange(ROWS), answers.pairs)] = NO_GROUP
    return partition(label)


@settings(max_examples=200, deadline=None)
@given(pairs=st.lists(pair, max_size=25, unique_by=lambda p: (min(p), max(p))), kind=kinds)
def test_answers_without_contradiction_give_connected_components(
    pairs: list[tuple[int, int]], kind: list[int]
) -> None:
    answers = answers_of((a, b, kind[a] == kind[b]) for a, b in pairs)
    assert partition(groups_of(answers, ROWS, doubtful=False)) == connected(answers)


@settings(max_examples=200, deadline=None)
@given(said=said, doubtful=st.booleans())
def test_any_answers_give_groups_within_the_connected_components(
    said: list[tuple[int, int, bool]], doubtful: bool
) -> None:
    answers = answers_of(said)
    group = groups_of(answers, ROWS, doubtful=doubtful)
    whole = connected(answers)
    assert all(any(part <= each for each in whole) for part in partition(group))
    assert set(np.flatnonzero(group != NO_GROUP)) == set(answers.pairs.ravel().tolist())


@settings(max_examples=200, deadline=None)
@given(said=said)
def test_no_two_groups_are_left_that_a_balance_of_answers_joins(
    said: list[tuple[int, int, bool]],
) -> None:
    answers = answers_of(said)
    group = groups_of(answers, ROWS, doubtful=False)
    balance = {key: 0 for key in evidence_between(answers, group)}
    for a, b, similar in said:
        first, second = sorted((int(group[a]), int(group[b])))
        if first != second:
            balance[first, second] += 1 if similar else -1
    assert balance == evidence_between(answers, group)
    assert all(value <= 0 for value in balance.values())


def test_groups_are_numbered_by_their_lowest_rows() -> None:
    group = groups_of(answers_of([(5, 2, True), (1, 4, True), (1, 2, False)]), 6, doubtful=True)
    assert group.tolist() == [NO_GROUP, 0, 1, NO_GROUP, 0, 1]


def test_a_pair_answered_both_ways_joins_nothing() -> None:
    group = groups_of(answers_of([(0, 1, True), (1, 0, False)]), 2, doubtful=False)
    assert group.tolist() == [0, 1]


def test_an_answer_between_two_large_groups_wants_a_second_where_errors_are_expected() -> None:
    rings = [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4)]
    one = [(a, b, True) for a, b in [*rings, (0, 4)]]
    two = [*one, (1, 5, True)]
    found = [
        len(partition(groups_of(answers_of(said), 8, doubtful=doubtful)))
        for said in (one, two)
        for doubtful in (False, True)
    ]
    assert found == [1, 2, 1, 1]


def test_nothing_answered_gives_no_group() -> None:
    assert groups_of(no_answers(), 3, doubtful=True).tolist() == [NO_GROUP] * 3


@pytest.mark.parametrize("similar", [True, False])
def test_evidence_counts_answers_between_groups_only(similar: bool) -> None:
    answers = answers_of(
        [(0, 1, True), (2, 3, True), (0, 2, False), (1, 3, False), (0, 3, similar)]
    )
    assert evidence_between(answers, np.array([0, 0, 1, 1])) == {(0, 1): -1 if similar else -3}
