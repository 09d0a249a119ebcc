"""Batches hold what is known between their images, both kinds alike, and repeat by seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from domain.errors import InputError
from training.samplers import Batch, ClassBatches, RelationBatches

IMAGES = 12


@st.composite
def known_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Distinct pairs of 12 images with their relation."""
    numbers = st.integers(0, IMAGES - 1)
    pair = st.tuples(numbers, numbers).filter(lambda p: p[0] < p[1])
    pairs = draw(st.lists(pair, min_size=1, max_size=30, unique=True))
    similar = draw(st.lists(st.booleans(), min_size=len(pairs), max_size=len(pairs)))
    return np.array(pairs), np.array(similar)


def _batches(pairs: np.ndarray, similar: np.ndarray) -> RelationBatches:
    return RelationBatches(pairs, similar, np.ones(len(pairs)), neighbours=_links(IMAGES))


def _links(images: int, *pairs: tuple[int, int]) -> csr_array:
    """Neighbours in both directions."""
    linked = np.zeros((images, images), dtype=np.float32)
    for a, b in pairs:
        linked[a, b] = linked[b, a] = 1
    return csr_array(linked)


def _draw(batches: RelationBatches, *, seed: int = 0, anchors: int = 3, others: int = 2) -> Batch:
    return batches.draw(np.random.default_rng(seed), anchors=anchors, others=others)


@given(known_pairs(), st.integers(0, 9))
def test_every_relation_inside_the_batch_is_in_it_and_nothing_else(
    known: tuple[np.ndarray, np.ndarray], seed: int
) -> None:
    pairs, similar = known
    batch = _draw(_batches(pairs, similar), seed=seed)
    expected = np.full((len(batch.rows), len(batch.rows)), np.nan)
    place = {int(row): at for at, row in enumerate(batch.rows)}
    for (a, b), label in zip(pairs.tolist(), similar, strict=True):
        if a in place and b in place:
            expected[place[a], place[b]] = expected[place[b], place[a]] = label
    np.testing.assert_array_equal(batch.relevance, expected)


@given(known_pairs(), st.integers(0, 9))
def test_rows_ascend_and_both_kinds_weigh_the_same(
    known: tuple[np.ndarray, np.ndarray], seed: int
) -> None:
    batch = _draw(_batches(*known), seed=seed)
    assert (np.diff(batch.rows) > 0).all()
    for kind in (0, 1):
        total = np.triu(batch.weights)[np.triu(batch.relevance == kind)].sum()
        assert total == pytest.approx(1.0 if (batch.relevance == kind).any() else 0.0)
    assert not batch.weights[np.isnan(batch.relevance)].any()


@given(st.integers(0, 50))
def test_an_anchor_brings_a_similar_and_a_dissimilar_partner(seed: int) -> None:
    pairs, similar = np.array([[0, 1], [1, 2], [3, 4]]), np.array([True, False, False])
    batch = _draw(_batches(pairs, similar), seed=seed, anchors=1, others=0)
    assert {0, 1} <= set(batch.rows.tolist()) <= {0, 1, 2}  # 3 and 4 are no anchors


def test_an_image_of_a_small_group_is_an_anchor_as_often_as_one_of_a_large_group() -> None:
    large = [[a, b] for a in range(6) for b in range(a + 1, 6)]
    batches = _batches(np.array([*large, [6, 7]]), np.ones(16, dtype=bool))
    rng = np.random.default_rng(0)
    small = [6 in batches.draw(rng, anchors=1, others=0).rows for _ in range(2000)]
    assert np.mean(small) == pytest.approx(2 / 8, abs=0.04)


@pytest.mark.parametrize("kind", [True, False], ids=["only similar", "only dissimilar"])
def test_one_kind_alone_makes_batches_too(kind: bool) -> None:
    batch = _draw(_batches(np.array([[0, 1], [2, 3]]), np.array([kind, kind])), others=0)
    known = batch.relevance[~np.isnan(batch.relevance)]
    assert len(known) > 0
    assert (known == kind).all()


def test_others_come_from_all_images() -> None:
    batches = _batches(np.array([[0, 1]]), np.array([True]))
    assert set(_draw(batches, others=300).rows.tolist()) == set(range(IMAGES))


def test_an_image_without_answers_brings_its_neighbour_and_answers_beat_neighbours() -> None:
    links = _links(6, (4, 5), (0, 1))
    batches = RelationBatches(np.array([[0, 1]]), np.array([True]), np.ones(1), neighbours=links)
    for seed in range(30):
        batch = _draw(batches, seed=seed, anchors=1, others=1)
        assert (4 in batch.rows) == (5 in batch.rows)
        neighbours = {tuple(batch.rows[place]) for place in np.argwhere(batch.neighbours)}
        assert neighbours <= {(4, 5), (5, 4)}
        assert len(neighbours) == 2 * (4 in batch.rows)


def test_weights_of_pairs_count_and_weight_zero_is_unknown() -> None:
    pairs = np.array([[0, 1], [0, 2], [0, 3]])
    batches = RelationBatches(
        pairs, np.ones(3, dtype=bool), np.array([3.0, 1.0, 0.0]), neighbours=_links(4)
    )
    batch = _draw(batches, anchors=50, others=50)
    assert batch.weights[0].tolist() == [0.0, 0.75, 0.25, 0.0]
    assert np.isnan(batch.relevance[0, 3])


def test_a_seed_repeats_and_another_differs() -> None:
    pairs = np.array([[a, a + 1] for a in range(IMAGES - 1)])
    batches = _batches(pairs, np.arange(IMAGES - 1) % 2 == 0)
    first, again, other = (_draw(batches, seed=seed).rows.tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_nothing_to_draw_from_is_refused() -> None:
    with pytest.raises(InputError, match="weight above 0"):
        RelationBatches(np.array([[0, 1]]), np.array([True]), np.zeros(1), neighbours=_links(2))


@given(st.lists(st.integers(-1, 3), min_size=6, max_size=12), st.integers(0, 9))
def test_class_batches_know_every_relation_between_labelled_images(
    labels: list[int], seed: int
) -> None:
    known = {label for label in labels if label >= 0}
    links = _links(len(labels), (0, 1))
    if len(known) < 2:
        with pytest.raises(InputError, match="2 or more"):
            ClassBatches(np.array(labels), neighbours=links)
        return
    batches = ClassBatches(np.array(labels), neighbours=links)
    batch = batches.draw(np.random.default_rng(seed), anchors=3, others=2)
    for i, a in enumerate(batch.rows):
        for j, b in enumerate(batch.rows):
            told = i != j and labels[a] >= 0 and labels[b] >= 0
            expected = float(labels[a] == labels[b]) if told else np.nan
            assert batch.relevance[i, j] == pytest.approx(expected, nan_ok=True)
    kinds = [batch.weights[np.triu(batch.relevance == kind, 1)] for kind in (0, 1)]
    assert kinds[0].sum() == pytest.approx(1)  # every anchor brings an image of another class
    assert not len(kinds[1]) or kinds[1].sum() == pytest.approx(1)


@given(st.integers(0, 20))
def test_class_batches_can_know_drawn_partners_only(seed: int) -> None:
    labels = np.arange(40) % 4
    batches = ClassBatches(labels, neighbours=_links(40, (0, 1)), only_drawn=True)
    batch = batches.draw(np.random.default_rng(seed), anchors=5, others=4)
    known = ~np.isnan(batch.relevance)
    same = labels[batch.rows][:, None] == labels[batch.rows]
    assert np.array_equal(known, known.T)
    assert np.array_equal(batch.relevance[known] == 1, same[known])
    assert 1 <= np.triu(known & same).sum() <= 5
    assert 1 <= np.triu(known & ~same).sum() <= 5
