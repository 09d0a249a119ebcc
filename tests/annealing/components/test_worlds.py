"""Questions chosen before the first answer: what joins groups in worlds that looks allow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annealing.components.worlds import (
    _HALF_LIKELY,
    _LIKELY,
    _greedily,
    drawn_kinds,
    joining_most,
)


def pairs_by_closeness(points: np.ndarray) -> list[tuple[int, int]]:
    first, second = np.triu_indices(len(points), 1)
    order = np.argsort(np.abs(points[first] - points[second]), kind="stable")
    return list(zip(first[order].tolist(), second[order].tolist(), strict=True))


def merges(asked: list[tuple[int, int]], kind: np.ndarray) -> int:
    """How many groups fewer there are after "similar" to each pair of one kind, one by one."""
    group = np.arange(len(kind))
    for a, b in asked:
        if kind[a] == kind[b]:
            group[group == group[b]] = group[a]
    return len(kind) - len(np.unique(group))


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    """Groups on a line: five kinds of six, whose ends are as near as their images."""
    return (np.arange(5)[:, None] * 7.5 + np.random.default_rng(0).uniform(0, 6, (5, 6))).ravel()


def test_each_pair_is_the_one_that_joins_in_most_worlds() -> None:
    """Against counting by hand which groups are joined in each world."""
    kinds = np.random.default_rng(1).integers(0, 3, (40, 7))
    first, second = np.triu_indices(7, 1)
    order = _greedily(first, second, kinds)
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    for step in range(len(order)):
        before = [pairs[place] for place in order[:step]]
        more = [
            sum(merges([*before, pairs[place]], kind) - merges(before, kind) for kind in kinds)
            for place in order[step:]
        ]
        assert more[0] == max(more)


def test_worlds_have_about_as_many_pairs_of_one_kind_as_closeness_lets_expect(
    points: np.ndarray,
) -> None:
    pairs = pairs_by_closeness(points)
    kinds = drawn_kinds(pairs, len(points))
    chance = _LIKELY / (1 + (np.arange(len(pairs)) / (_HALF_LIKELY * len(points))) ** 2)
    first, second = np.array(pairs).T
    same = (kinds[:, first] == kinds[:, second]).sum(axis=1)
    assert chance.sum() / 2 < np.median(same) < chance.sum() * 2
    assert same[-10:].mean() > 2 * same[:10].mean()  # from few pairs of one kind to many


def test_pairs_that_are_not_given_are_of_different_kinds() -> None:
    """Of two rows of near groups nobody says that they are alike."""
    pairs = [(a, b) for a in range(4) for b in range(a)] + [(4, 5), (5, 6), (4, 6)]
    kinds = drawn_kinds(pairs, 7)
    assert (kinds[:, :4, None] != kinds[:, None, 4:]).mean() > 0.95


def test_more_groups_become_one_than_by_asking_the_most_alike_first(points: np.ndarray) -> None:
    kind = np.repeat(np.arange(5), 6)
    pairs = pairs_by_closeness(points)
    assert merges(joining_most(pairs, 30)[:30], kind) > merges(pairs[:30], kind) + 2


@settings(max_examples=20, deadline=None)
@given(groups=st.integers(1, 9), given_pairs=st.integers(0, 36), seed=st.integers(0, 100))
def test_the_order_has_each_pair_once_and_is_the_same_again(
    groups: int, given_pairs: int, seed: int
) -> None:
    every = np.stack(np.triu_indices(groups, 1), axis=1)
    rows = np.random.default_rng(seed).permutation(every)[:given_pairs].tolist()
    pairs = [(a, b) for a, b in rows]
    order = joining_most(pairs, groups)
    assert sorted(order) == sorted(pairs)
    assert order == joining_most(pairs, groups)
