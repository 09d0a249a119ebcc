"""The selection set is whole components, a tenth of the answered images, and seeded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from tests.training.clusters import clusters
from training.head import SelectionScore, TrainedHead, fitted_standardise, frozen_head
from training.selection import compare_with_frozen, hold_out


def _many_groups() -> tuple[np.ndarray, np.ndarray]:
    """60 must-link groups of 3 images each, and dissimilar pairs between neighbours."""
    similar = [[3 * g + i, 3 * g + i + 1] for g in range(60) for i in (0, 1)]
    dissimilar = [[3 * g + i, 3 * ((g + 1) % 60) + i] for g in range(60) for i in range(3)]
    labels = np.array([True] * len(similar) + [False] * len(dissimilar))
    return np.array(similar + dissimilar), labels


@given(st.integers(0, 30))
def test_no_similar_pair_lies_across_and_all_pairs_of_held_out_images_are_held_out(
    seed: int,
) -> None:
    pairs, similar = _many_groups()
    found = hold_out(pairs, similar, rng=np.random.default_rng(seed))
    assert found is not None
    held = found.held_out
    images = set(pairs[held & similar].ravel().tolist())
    assert not images & set(pairs[~held].ravel().tolist())
    assert 18 <= len(images) <= 21  # a tenth of 180, rounded up to a whole group


def test_a_seed_repeats() -> None:
    pairs, similar = _many_groups()
    first, again, other = (
        hold_out(pairs, similar, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first is not None
    assert again is not None
    assert other is not None
    assert np.array_equal(first.held_out, again.held_out)
    assert not np.array_equal(first.held_out, other.held_out)


def test_components_are_named_for_held_out_images_only() -> None:
    pairs, similar = _many_groups()
    found = hold_out(pairs, similar, rng=np.random.default_rng(0))
    assert found is not None
    assert np.array_equal((found.components >= 0).any(axis=1), found.held_out)
    inside = found.held_out & similar
    assert np.array_equal(found.components[inside, 0], found.components[inside, 1])


def test_a_few_large_groups_give_no_selection_set() -> None:
    """Holding out one of them says how the head does on that one, not in general."""
    pairs = np.array([[a, b] for a in range(100) for b in range(a + 1, 100)])
    labels = np.arange(100) % 5
    similar = labels[pairs[:, 0]] == labels[pairs[:, 1]]
    assert hold_out(pairs, similar, rng=np.random.default_rng(0)) is None


@pytest.mark.parametrize("count", [0, 5, 40], ids=["nothing known", "a handful", "two groups"])
def test_too_few_pairs_give_no_selection_set(count: int) -> None:
    pairs, similar = _many_groups()
    assert hold_out(pairs[:count], similar[:count], rng=np.random.default_rng(0)) is None


def test_frozen_features_tie_with_themselves() -> None:
    archive = clusters()
    pairs, similar = archive.pairs(200)
    score = compare_with_frozen(
        frozen_head(archive.features),
        archive.features,
        pairs,
        similar,
        components=pairs,
    )
    assert score.head == score.frozen
    assert score.uncertainty == 0
    assert score.pairs == 200
    assert not score.is_worse


def test_uncertainty_is_the_jackknife_over_components() -> None:
    archive = clusters()
    pairs, similar = archive.pairs(60)
    components = np.stack([pairs[:, 0] % 6, np.full(60, -1)], axis=1)
    head = TrainedHead(fitted_standardise(archive.features, components=3).eval())
    score = compare_with_frozen(head, archive.features, pairs, similar, components=components)

    def gain(kept: np.ndarray) -> float:
        aucs = []
        for each in (head, frozen_head(archive.features)):
            rows = each.embed(archive.features)
            cosines = (rows[pairs[kept, 0]] * rows[pairs[kept, 1]]).sum(axis=1)
            aucs.append(roc_auc_score(similar[kept], cosines))
        return float(aucs[0] - aucs[1])

    left_out = np.array([gain(components[:, 0] != each) for each in range(6)])
    expected = np.sqrt(5 / 6 * np.square(left_out - left_out.mean()).sum())
    assert score.uncertainty == pytest.approx(expected)
    assert score.head - score.frozen == pytest.approx(gain(np.ones(60, dtype=bool)))


@pytest.mark.parametrize(
    ("head", "worse"),
    [(0.95, False), (0.87, False), (0.8, True)],
    ids=["better", "chance", "worse"],
)
def test_worse_means_by_more_than_two_standard_errors(head: float, worse: bool) -> None:
    assert SelectionScore(head, frozen=0.9, uncertainty=0.02, pairs=100).is_worse == worse
