"""Keys of pairs, drawing from the pool, and cosines of pairs."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annealing.pool import (
    draw_pairs,
    joined,
    keys_within,
    keys_within_groups,
    pair_keys,
    pair_similarities,
    pairs_of,
    pool_size,
)
from domain.errors import InputError
from tests.annealing.oracles import tuples


@st.composite
def pools(draw):
    """Rows, and the keys of some of their pairs."""
    rows = draw(st.integers(2, 12))
    closed = draw(st.sets(st.sampled_from(list(combinations(range(rows), 2)))))
    return rows, pair_keys(np.array(sorted(closed), dtype=int).reshape(-1, 2), rows)


@given(pools())
def test_keys_and_pairs_are_the_same_thing(pool):
    rows, keys = pool
    pairs = pairs_of(keys, rows)
    assert np.array_equal(pair_keys(pairs[:, ::-1], rows), keys)
    assert tuples(pairs) == sorted(set(tuples(pairs)))


def test_keys_come_sorted_and_once_whatever_the_order():
    assert pair_keys(np.array([[3, 1], [0, 2], [1, 3]]), 4).tolist() == [2, 7]


@pytest.mark.parametrize("pair", [(0, 4), (-1, 2), (3, 3)])
def test_what_is_no_pair_of_rows_is_refused(pair):
    with pytest.raises(InputError, match="no pair of rows"):
        pair_keys(np.array([(0, 1), pair]), 4)


@given(pools(), st.integers(0, 80), st.integers(0, 1000))
def test_drawn_pairs_are_open_different_and_as_many_as_there_are(pool, count, seed):
    rows, closed = pool
    drawn = tuples(draw_pairs(rows, count, closed, np.random.default_rng(seed)))
    still_open = set(combinations(range(rows), 2)) - set(tuples(pairs_of(closed, rows)))
    assert len(drawn) == len(set(drawn)) == min(count, len(still_open))
    assert set(drawn) <= still_open


def test_every_open_pair_has_the_same_chance():
    """5 rows, 8 open pairs, 16,000 draws of 2: 4,000 each, standard deviation 55."""
    rng = np.random.default_rng(0)
    closed = pair_keys(np.array([[0, 1], [2, 4]]), 5)
    drawn = np.concatenate([draw_pairs(5, 2, closed, rng) for _ in range(16_000)])
    counts = np.unique(drawn @ [5, 1], return_counts=True)[1]
    assert len(counts) == pool_size(5) - 2
    assert np.abs(counts - 4000).max() < 5 * 55


def test_a_huge_pool_is_drawn_from_without_holding_it():
    drawn = draw_pairs(1_000_000, 1000, np.zeros(0, np.int64), np.random.default_rng(0))
    assert (drawn[:, 0] < drawn[:, 1]).all()
    assert drawn.max() < 1_000_000
    assert len(np.unique(drawn, axis=0)) == 1000


@given(pools(), st.data())
def test_keys_within_a_subset_are_its_pairs_in_its_own_numbers(pool, data):
    rows, keys = pool
    subset = sorted(data.draw(st.sets(st.integers(0, rows - 1), min_size=1)))
    inner = keys_within(keys, rows, np.array(subset))
    expected = {(a, b) for a, b in tuples(pairs_of(keys, rows)) if {a, b} <= set(subset)}
    back = [(subset[a], subset[b]) for a, b in tuples(pairs_of(inner, len(subset)))]
    assert back == sorted(expected)


def test_joined_sets_are_sorted_and_have_each_key_once():
    assert joined(np.array([5, 1]), np.array([1, 3])).tolist() == [1, 3, 5]
    assert joined(None, None).tolist() == []


def test_cosines_of_pairs_do_not_depend_on_length_and_a_zero_vector_has_none():
    vectors = np.array([[1.0, 0.0], [5.0, 5.0], [0.0, 0.0]])
    similarity = pair_similarities(vectors, np.array([[0, 1], [1, 0], [0, 2]]))
    assert similarity == pytest.approx([np.sqrt(0.5), np.sqrt(0.5), 0.0])


def test_pairs_within_groups_are_all_pairs_of_equal_numbers():
    keys = keys_within_groups(np.array([7, 3, 7, 7, 3]))
    assert [divmod(int(key), 5) for key in keys] == [(0, 2), (0, 3), (1, 4), (2, 3)]


@given(st.lists(st.integers(0, 5), max_size=40))
def test_pairs_within_groups_are_those_that_comparing_all_finds(groups):
    keys = keys_within_groups(np.array(groups, dtype=np.int64))
    ends = combinations(range(len(groups)), 2)
    expected = [a * len(groups) + b for a, b in ends if groups[a] == groups[b]]
    assert keys.tolist() == expected
    assert keys.dtype == np.int64


def test_no_rows_have_no_pairs_within_groups():
    assert not len(keys_within_groups(np.zeros(0, dtype=np.int64)))
