"""The selection set: a tenth of the answered images, judged by all that answers imply."""

import tracemalloc
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from annealing.transitivity import Closure
from domain.pairs import pair
from tests.training.clusters import clusters
from training.head import SelectionScore, TrainedHead, fitted_standardise, frozen_head
from training.selection import SelectionSet, compare_with_frozen, hold_out


def _many_groups() -> tuple[np.ndarray, np.ndarray]:
    """60 must-link groups of 3 images each, and dissimilar pairs between neighbours."""
    similar = [[3 * g + i, 3 * g + i + 1] for g in range(60) for i in (0, 1)]
    dissimilar = [[3 * g + i, 3 * ((g + 1) % 60) + i] for g in range(60) for i in range(3)]
    labels = np.array([True] * len(similar) + [False] * len(dissimilar))
    return np.array(similar + dissimilar), labels


def _held(seed: int) -> SelectionSet:
    found = hold_out(*_many_groups(), rng=np.random.default_rng(seed))
    assert found is not None
    return found


@given(st.integers(0, 30))
def test_everything_known_about_a_held_out_image_is_held_out(seed: int) -> None:
    pairs, _ = _many_groups()
    found = _held(seed)
    images = set(found.pairs[:, 0].tolist())
    assert 5 <= len(images) <= 40  # about a tenth of 180
    assert found.held_out.tolist() == [bool(images & {a, b}) for a, b in pairs.tolist()]


@given(st.integers(0, 30))
def test_held_out_images_are_judged_by_all_that_answers_imply(seed: int) -> None:
    pairs, similar = _many_groups()
    closure = Closure()
    for (a, b), label in zip(pairs.tolist(), similar.tolist(), strict=True):
        closure.add(pair(a, b), label)
    found = _held(seed)
    images = set(found.pairs[:, 0].tolist())
    expected = {
        (a, b, closure.relation(a, b))
        for ends in combinations(range(180), 2)
        for a, b in (ends, ends[::-1])
        if a in images and closure.relation(a, b) is not None
    }
    judged = zip(found.pairs.tolist(), found.similar.tolist(), strict=True)
    assert {(a, b, label) for (a, b), label in judged} == expected
    assert len(found.pairs) == len(expected)


def test_images_of_one_component_are_in_one_group() -> None:
    found = _held(0)
    group_of = dict(zip((found.pairs[:, 0] // 3).tolist(), found.groups.tolist(), strict=True))
    assert [group_of[image // 3] for image in found.pairs[:, 0].tolist()] == found.groups.tolist()
    assert len(set(group_of.values())) > 3


def test_a_seed_repeats() -> None:
    first, again, other = (_held(seed) for seed in (1, 1, 2))
    assert np.array_equal(first.pairs, again.pairs)
    assert np.array_equal(first.held_out, again.held_out)
    assert not np.array_equal(first.held_out, other.held_out)


def test_a_few_large_groups_are_enough_and_their_pairs_are_sampled() -> None:
    labels = np.arange(300) % 3
    pairs = np.array([[a, b] for a in range(300) for b in range(a + 1, min(a + 20, 300))])
    similar = labels[pairs[:, 0]] == labels[pairs[:, 1]]
    found = hold_out(pairs, similar, rng=np.random.default_rng(0))
    assert found is not None
    assert 2000 < found.similar.sum() <= 5000
    assert (~found.similar).sum() == 5000  # of some 6,000
    assert np.array_equal(labels[found.pairs[:, 0]] == labels[found.pairs[:, 1]], found.similar)
    assert len(np.unique(found.pairs, axis=0)) == len(found.pairs)


@pytest.mark.parametrize("count", [0, 5, 20], ids=["nothing known", "a handful", "some groups"])
def test_too_few_pairs_give_no_selection_set(count: int) -> None:
    pairs, similar = _many_groups()
    assert hold_out(pairs[:count], similar[:count], rng=np.random.default_rng(0)) is None


def test_images_of_one_component_say_nothing_of_chance() -> None:
    """A jackknife over one group would give an uncertainty of 0."""
    chain = [[i, i + 1] for i in range(99)] + [[i, i + 3] for i in range(97)]
    pairs = np.array(chain + [[i, 100] for i in range(40, 100)])
    similar = np.array([True] * len(chain) + [False] * 60)
    for seed in range(20):
        found = hold_out(pairs, similar, rng=np.random.default_rng(seed))
        assert found is None or len(np.unique(found.groups)) > 1


def test_a_contradicting_answer_is_no_judge() -> None:
    pairs, similar = _many_groups()
    pairs, similar = np.vstack([pairs, [[0, 2]]]), np.append(similar, False)
    found = hold_out(pairs, similar, rng=np.random.default_rng(0), share=0.99)
    assert found is None or found.similar[(found.pairs == [0, 2]).all(axis=1)].all()


def _judged(pairs: np.ndarray, similar: np.ndarray, groups: np.ndarray) -> SelectionSet:
    return SelectionSet(np.unique(pairs[:, 0]), np.zeros(0, dtype=bool), pairs, similar, groups)


def test_frozen_features_tie_with_themselves() -> None:
    archive = clusters()
    pairs, similar = archive.pairs(200)
    judged = _judged(pairs, similar, pairs[:, 0])
    score = compare_with_frozen(frozen_head(archive.features), archive.features, judged)
    assert score.head == score.frozen
    assert score.uncertainty == 0
    assert score.pairs == 200
    assert not score.is_worse


def test_uncertainty_is_the_jackknife_over_groups() -> None:
    archive = clusters()
    pairs, similar = archive.pairs(60)
    groups = pairs[:, 0] % 6
    head = TrainedHead(fitted_standardise(archive.features, components=3).eval())
    score = compare_with_frozen(head, archive.features, _judged(pairs, similar, groups))

    def gain(kept: np.ndarray) -> float:
        aucs = []
        for each in (head, frozen_head(archive.features)):
            rows = each.embed(archive.features)
            cosines = (rows[pairs[kept, 0]] * rows[pairs[kept, 1]]).sum(axis=1)
            aucs.append(roc_auc_score(similar[kept], cosines))
        return float(aucs[0] - aucs[1])

    left_out = np.array([gain(groups != each) for each in range(6)])
    expected = np.sqrt(5 / 6 * np.square(left_out - left_out.mean()).sum())
    student, normal = 2.5706, 1.9600  # 97.5 %, with 5 degrees of freedom and with many
    assert score.uncertainty == pytest.approx(expected * student / normal, rel=1e-4)
    assert score.head - score.frozen == pytest.approx(gain(np.ones(60, dtype=bool)))


def test_two_groups_tell_chance_so_roughly_that_little_is_worse() -> None:
    archive = clusters()
    pairs, similar = archive.pairs(60)
    judged = _judged(pairs, similar, pairs[:, 0] % 2)
    head = TrainedHead(fitted_standardise(archive.features, components=3).eval())
    score = compare_with_frozen(head, archive.features, judged)
    halves = [
        compare_with_frozen(
            head, archive.features, _judged(pairs[kept], similar[kept], pairs[kept, 0] % 3)
        )
        for kept in (judged.groups == 0, judged.groups == 1)
    ]
    apart = abs((halves[0].head - halves[0].frozen) - (halves[1].head - halves[1].frozen))
    assert score.uncertainty == pytest.approx(apart / 2 * 12.7062 / 1.96, rel=1e-4)


def test_a_hundred_thousand_answered_images_take_no_square_of_memory() -> None:
    """All judged pairs would be 10,000 x 100,000."""
    labels = np.arange(100_000) % 4
    pairs = np.stack([np.arange(99_996), np.arange(4, 100_000)], axis=1)
    apart = np.stack([np.arange(0, 400, 4), np.arange(0, 400, 4) + 1], axis=1)
    similar = np.arange(len(pairs) + len(apart)) < len(pairs)
    tracemalloc.start()
    found = hold_out(np.concatenate([pairs, apart]), similar, rng=np.random.default_rng(0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found is not None
    assert peak < 50e6
    assert found.similar.sum() == (~found.similar).sum() == 5000
    ends = labels[found.pairs]
    assert np.array_equal(ends[:, 0] == ends[:, 1], found.similar)
    assert set(np.unique(ends[~found.similar])) == {0, 1}
    assert len(np.unique(found.pairs, axis=0)) == 10_000


@pytest.mark.parametrize(
    ("head", "worse"),
    [(0.95, False), (0.87, False), (0.8, True)],
    ids=["better", "chance", "worse"],
)
def test_worse_means_by_more_than_two_standard_errors(head: float, worse: bool) -> None:
    assert SelectionScore(head, frozen=0.9, uncertainty=0.02, pairs=100).is_worse == worse
