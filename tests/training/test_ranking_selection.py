"""How well held-out images rank what answers relate them to."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from training.head import frozen_head
from training.ranking_selection import RankingGain, RankingJudge
from training.selection import SelectionSet

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(60, 6)).astype(np.float32)
QUERIES = np.arange(12)


def _selection(*, seed: int = 0) -> SelectionSet:
    """Each of 12 images is related to 9 others; the first to similar ones only."""
    rng = np.random.default_rng(seed)
    pairs = np.array([[q, 12 + (4 * q + i) % 48] for q in QUERIES for i in range(9)])
    similar = rng.random(len(pairs)) < 0.4
    similar[:9] = True
    similar[9::9], similar[10::9] = True, False
    shuffled = rng.permutation(len(pairs))
    groups = pairs[:, 0] % 4
    nothing = np.zeros(0, dtype=bool)
    return SelectionSet(QUERIES, nothing, pairs[shuffled], similar[shuffled], groups[shuffled])


def test_average_precision_is_that_of_scikit_learn() -> None:
    selection, head = _selection(), frozen_head(FEATURES)
    found = RankingJudge(FEATURES, selection).average_precision(head)
    vectors = head.embed(FEATURES)
    expected = []
    for query in QUERIES[1:]:
        mine = selection.pairs[:, 0] == query
        cosines = vectors[selection.pairs[mine, 1]] @ vectors[query]
        expected.append(average_precision_score(selection.similar[mine], cosines))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_an_image_without_both_kinds_is_not_ranked_for() -> None:
    assert RankingJudge(FEATURES, _selection()).images == 11


def test_at_equal_similarity_the_dissimilar_images_count_as_first() -> None:
    same = np.ones((60, 6), dtype=np.float32)
    same[:30] *= -1
    pairs = np.array([[0, 1], [0, 2], [0, 3]])
    selection = SelectionSet(
        np.array([0]), np.zeros(0, bool), pairs, np.array([True, False, False]), np.zeros(3, int)
    )
    found = RankingJudge(same, selection).average_precision(frozen_head(same))
    assert found.tolist() == [pytest.approx(1 / 3)]


def test_the_error_of_a_gain_grows_with_how_much_groups_differ() -> None:
    judge = RankingJudge(FEATURES, _selection())
    before = np.full(11, 0.5)
    alike = judge.gain(before, before + 0.1)
    mixed = judge.gain(before, before + np.where(np.arange(1, 12) % 4 == 0, 0.4, 0.0))
    assert alike.gain == pytest.approx(0.1)
    assert alike.uncertainty == pytest.approx(0, abs=1e-12)
    assert alike.is_better
    assert mixed.uncertainty > 0.05
    assert not mixed.is_better


def test_a_single_group_of_images_is_no_evidence() -> None:
    """Its gain is about a standard error among any number of groups that nothing was done to."""
    judge = RankingJudge(FEATURES, _selection())
    groups = QUERIES[1:] % 4
    before = np.full(11, 0.5)
    for group in range(4):
        found = judge.gain(before, before + np.where(groups == group, 0.1, 0.0))
        assert found.gain > 0.01
        assert not found.is_better
    two = judge.gain(before, before + np.where(groups < 2, 0.1, 0.0))
    assert two.is_better


def test_no_gain_is_no_better() -> None:
    assert not RankingGain(0.8, 0.8, 0.0, 30).is_better
    assert not RankingGain(0.8, 0.7, 0.0, 30).is_better
