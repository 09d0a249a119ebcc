"""The first questions on archives whose structure is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annealing.cold_start import MAX_USES, first_questions, near_neighbours, spread
from annealing.pool import pair_keys, pool_size
from tests.annealing.oracles import tuples

NONE = np.zeros(0, np.int64)


def kinds_of_places(kinds=20, each=15, spread_of_kind=0.35, seed=0):
    """Embeddings of an archive with many kinds, and the kind of each row."""
    rng = np.random.default_rng(seed)
    kind = np.repeat(np.arange(kinds), each)
    centres = rng.normal(size=(kinds, 24))
    return centres[kind] + spread_of_kind * 2 * rng.normal(size=(len(kind), 24)), kind


def ask(embeddings, count=100, seed=0, **options):
    return first_questions(embeddings, count, rng=np.random.default_rng(seed), **options)


def test_a_fifth_of_the_first_hundred_answers_is_similar_at_least():
    """Of random pairs 1 in 21 would be."""
    similar = []
    for seed in range(5):
        embeddings, kind = kinds_of_places(seed=seed)
        first = ask(embeddings, seed=seed)
        similar.append((kind[first.pairs[:, 0]] == kind[first.pairs[:, 1]]).sum())
    assert np.mean(similar) >= 20


def test_near_neighbours_come_from_all_kinds_and_take_turns_with_border_pairs():
    embeddings, kind = kinds_of_places()
    first = ask(embeddings)
    assert first.near.tolist() == [True, False] * 50
    near = first.pairs[first.near]
    assert len(np.unique(kind[near])) == 20
    assert len(np.unique(near)) == 100  # no image twice
    assert len(np.unique(first.cluster[first.near])) >= 45  # a cluster of one holds no pair


def test_border_pairs_are_where_the_expected_share_of_pairs_is_more_alike():
    embeddings, _ = kinds_of_places()
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosine = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    first = ask(embeddings, similar_share=0.1)
    border = first.pairs[~first.near]
    assert (cosine > first.alpha).mean() == pytest.approx(0.1, abs=0.002)
    asked = np.einsum("pd,pd->p", unit[border[:, 0]], unit[border[:, 1]])
    assert np.abs(asked - first.alpha).max() < 0.02


def test_no_image_is_asked_often():
    embeddings, _ = kinds_of_places()
    assert np.bincount(ask(embeddings, 300).pairs.ravel()).max() <= MAX_USES


def test_copies_of_one_image_do_not_fill_the_round():
    """Half of the archive is one picture."""
    embeddings, _ = kinds_of_places(each=10)
    embeddings = np.concatenate([embeddings, np.tile(embeddings[:1], (200, 1))])
    embeddings += 1e-5 * np.random.default_rng(0).normal(size=embeddings.shape)
    first = ask(embeddings)
    copies = (first.pairs >= 200).all(axis=1)
    assert copies.sum() <= 1


def test_an_archive_of_copies_is_still_asked_about_evenly():
    first = ask(np.ones((60, 5)), 40)
    assert len(set(tuples(first.pairs))) == 40
    assert np.bincount(first.pairs.ravel()).max() <= MAX_USES


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(2, 14), count=st.integers(1, 120), seed=st.integers(0, 1000))
def test_a_small_archive_gives_different_open_pairs_while_they_last(rows, count, seed):
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(rows, 3))[rng.integers(0, rows, rows)]
    everything = np.stack(np.triu_indices(rows, 1), axis=1)
    closed = everything[rng.random(len(everything)) < 0.3][: len(everything) - 1]
    first = ask(embeddings, count, excluded=pair_keys(closed, rows))
    asked = tuples(first.pairs)
    assert len(asked) == len(set(asked)) == min(count, pool_size(rows) - len(closed))
    assert not set(asked) & set(tuples(closed))
    assert all(a < b for a, b in asked)
    assert len(first.near) == len(first.cluster) == len(asked)


def test_the_same_seed_asks_the_same():
    embeddings, _ = kinds_of_places()
    assert tuples(ask(embeddings, seed=3).pairs) == tuples(ask(embeddings, seed=3).pairs)


def test_a_large_archive_is_started_from_a_sample(monkeypatch):
    monkeypatch.setattr("annealing.cold_start.MAX_ROWS", 60)
    embeddings, _ = kinds_of_places()
    closed = pair_keys(np.stack(np.triu_indices(150, 1), axis=1), 300)
    first = ask(embeddings, 40, excluded=closed)
    assert len(np.unique(first.pairs)) <= 60
    assert first.pairs[:, 1].min() >= 150  # pairs of two of the first 150 rows are closed
    assert len(set(tuples(first.pairs))) == 40


def test_large_clusters_are_searched_at_their_centre(monkeypatch):
    """One cluster of nine images; the far one of the closest pair is not among the central."""
    monkeypatch.setattr("annealing.cold_start._CORE_IMAGES", 4)
    degrees = np.deg2rad([0, 10, 21, 33, 46, 60, 75, 91, 96])
    vectors = np.stack([np.cos(degrees), np.sin(degrees)], axis=1)
    pairs, _ = near_neighbours(vectors, 1, excluded=NONE, rng=np.random.default_rng(0))
    assert tuples(pairs) == [(2, 3)]


def test_the_limit_of_uses_gives_way_only_when_the_round_cannot_be_filled():
    star = np.array([(0, other) for other in range(1, 9)] + [(1, 2), (3, 4)])
    assert spread(star, 5, np.zeros(9, int)).tolist() == [0, 1, 2, 8, 9]
    assert spread(star, 6, np.zeros(9, int)).tolist() == [0, 1, 2, 3, 8, 9]
    assert spread(star, 99, np.zeros(9, int)).tolist() == list(range(10))
    assert spread(np.concatenate([star, star]), 99, np.zeros(9, int)).tolist() == list(range(10))
    assert spread(star, 2, np.full(9, 2)).tolist() == [0, 9]
