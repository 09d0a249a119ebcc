"""Picking different pairs: worked examples, and properties of a batch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annealing.diversity import cluster_rows, pair_descriptors, pick_diverse, pick_per_cluster
from annealing.pool import pair_keys, pairs_of, pool_size
from tests.annealing.oracles import ORACLES, tuples

EXAMPLE = ORACLES["diversity"]["inputs"]
PAIRS = np.array(EXAMPLE["pairs"])
KEYS = PAIRS @ [100, 1]
SCORE = -np.array(EXAMPLE["unc"])


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", ["diversity", "diversity_fill"])
def test_picks_agree_with_a_worked_example(name):
    inputs = ORACLES[name]["inputs"]
    pick = pick_per_cluster(SCORE, KEYS, np.array(inputs["cluster"]), inputs["h"])
    assert tuples(PAIRS[pick.rows]) == tuples(ORACLES[name]["expected"]["pick"])
    assert pick.cluster.tolist() == [inputs["cluster"][row] for row in pick.rows]


def test_with_more_clusters_than_questions_the_best_winners_stay():
    pick = pick_per_cluster(SCORE, KEYS, np.arange(12), 4)
    assert tuples(PAIRS[pick.rows]) == tuples(EXAMPLE["pairs"][:4])


def test_the_descriptor_agrees_with_a_worked_example_in_both_orders():
    case = ORACLES["pair_descriptor"]
    vectors = np.array(ORACLES["mgue"]["inputs"]["embeddings"])
    i, j = case["inputs"]["i"], case["inputs"]["j"]
    both = pair_descriptors(3 * vectors, np.array([[i, j], [j, i]]))
    assert both == pytest.approx(np.array([case["expected"]["descriptor"]] * 2), abs=1e-9)


@pytest.mark.parametrize("count", [1, 5, 30, 99])
def test_all_pairs_of_copies_still_fill_the_round(count):
    """One descriptor, so one cluster and one winner; the rest is filled by score, then pair."""
    pairs = pairs_of(np.arange(1, 31), 100)
    pick = pick_diverse(np.ones((100, 4)), pairs, np.zeros(30), count, rng=rng())
    assert pick.rows.tolist() == list(range(min(count, 30)))


def test_copies_of_one_pair_do_not_fill_the_round():
    """20 copies of the best pair and 9 other places: each place is asked once."""
    places = np.eye(20)
    embeddings = np.concatenate([np.repeat(places[:2], 20, axis=0), places[2:]])
    copies = [(row, 20 + row) for row in range(20)]
    others = [(40 + 2 * row, 41 + 2 * row) for row in range(9)]
    score = np.concatenate([np.zeros(20), -np.arange(1, 10) / 10])
    pick = pick_diverse(embeddings, np.array(copies + others), score, 10, rng=rng())
    assert pick.rows.tolist() == [0, *range(20, 29)]


@st.composite
def candidates(draw):
    """Embeddings, some of them copies, and different pairs with scores of which some tie."""
    seed, rows = draw(st.integers(0, 10_000)), draw(st.integers(4, 12))
    source = np.random.default_rng(seed)
    embeddings = source.normal(size=(rows, 3))[source.integers(0, rows, rows)]
    size = draw(st.integers(1, pool_size(rows)))
    upper = np.stack(np.triu_indices(rows, 1), axis=1)
    pairs = upper[source.choice(len(upper), size, replace=False)]
    return embeddings, pairs, -source.integers(0, 8, size) / 8


@settings(max_examples=40, deadline=None)
@given(candidates(), st.integers(1, 30), st.randoms())
def test_a_batch_is_full_different_sorted_and_free_of_the_input_order(case, count, random):
    embeddings, pairs, score = case
    pick = pick_diverse(embeddings, pairs, score, count, rng=rng())
    assert len(set(pick.rows.tolist())) == len(pick.rows) == min(count, len(pairs))
    keys = [(-score[row], *pairs[row]) for row in pick.rows]
    assert keys == sorted(keys)
    order = random.sample(range(len(pairs)), len(pairs))
    moved = pick_diverse(embeddings, pairs[order], score[order], count, rng=rng())
    assert tuples(pairs[order][moved.rows]) == tuples(pairs[pick.rows])


@settings(max_examples=20, deadline=None)
@given(candidates(), st.integers(1, 30))
def test_the_most_uncertain_pair_is_always_asked(case, count):
    embeddings, pairs, score = case
    pick = pick_diverse(embeddings, pairs, score, count, rng=rng())
    best = min(range(len(pairs)), key=lambda row: (-score[row], *pairs[row]))
    assert pick.rows[0] == best


def test_clusters_are_the_groups_that_anyone_sees():
    groups = np.repeat(np.arange(4), 5)
    vectors = 10 * np.eye(4)[groups] + 0.1 * rng().normal(size=(20, 4))
    found = cluster_rows(vectors, 4, rng=rng())
    assert len(set(zip(groups, found, strict=True))) == len(set(found)) == 4


def test_fewer_different_vectors_than_clusters_are_no_error():
    vectors = np.repeat([[0.0, 1.0], [1.0, 0.0], [1.0, 1e-12]], 5, axis=0)
    assert len(set(cluster_rows(vectors, 9, rng=rng()).tolist())) == 2


def test_pairs_of_keys_are_what_the_example_was_made_of():
    assert tuples(pairs_of(pair_keys(PAIRS, 12), 12)) == sorted(tuples(PAIRS))
