"""What posteriors over groups say of pairs, and how batches and losses learn from it."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from annealing.components.labels import SoftLabels
from domain.config import TrainingSettings
from tests.training.clusters import clusters
from tests.training.test_relevance import batch as random_batch
from training.guesses import LEAST_SIMILAR, MOST_DISSIMILAR, Guesses, guesses_of
from training.losses.catalogue import LOSS_CLASSES, new_loss
from training.losses.relevance import WeightedLoss, taught_loss
from training.samplers import Batch, RelationBatches
from training.trainer import KnownPairs, train_with_loss

# Images 0-2 are of group 0, 3 and 4 of group 1, 5 of group 2, 6 of no group in particular;
# groups 0 and 1 were told apart, 2 may be the same kind as either.
PROBABILITY = np.array(
    [
        [1.0, 0.0, 0.0],
        [0.98, 0.01, 0.01],
        [0.90, 0.09, 0.01],
        [0.0, 1.0, 0.0],
        [0.001, 0.998, 0.001],
        [0.0, 0.0, 1.0],
        [0.4, 0.3, 0.3],
    ]
)
ALIKE = np.array([[1.0, 0.0, 0.3], [0.0, 1.0, 0.3], [0.3, 0.3, 1.0]])
LABELS = SoftLabels(PROBABILITY, np.ones(7), ALIKE)
ROWS = np.arange(7)


def _guesses(weight: float = 0.5) -> Guesses:
    found = guesses_of(LABELS, weight=weight)
    assert found is not None
    return found


def _batch(guesses: Guesses | None, *, others: int = 60) -> Batch:
    """All images; 0 and 3 are known to be different, 1 and 2 to be different, too."""
    nobody = csr_array((7, 7), dtype=np.float32)
    pairs, similar = np.array([[0, 3], [1, 2], [0, 4]]), np.array([False, False, True])
    batches = RelationBatches(pairs, similar, np.ones(3), neighbours=nobody, guesses=guesses)
    found = batches.draw(np.random.default_rng(0), anchors=8, others=others)
    assert found.rows.tolist() == ROWS.tolist()
    return found


def test_pairs_are_guessed_by_the_groups_of_both_images() -> None:
    found = _guesses().between(ROWS)
    assert (found.sureness[np.ix_([0, 1, 2], [0, 1, 2])][~np.eye(3, dtype=bool)] > 0.5).all()
    assert (found.sureness[np.ix_([0], [3, 4])] < -0.9).all()
    assert found.sureness[0, 1] == pytest.approx(2 * (0.98 + 0.01 * 0.3) - 1)
    assert found.sure[0, 1]
    assert not found.sure[0, 2]


def test_nothing_is_said_of_a_doubtful_image_or_of_groups_nobody_compared() -> None:
    found = _guesses().between(ROWS)
    assert not found.sureness[6].any()
    assert not found.sureness[5].any()


def test_an_image_of_which_nothing_is_known_is_not_taken_for_a_stranger() -> None:
    """Its row is empty: not "of no group here", but "nobody can say"."""
    labels = dataclasses.replace(LABELS, probability=np.vstack([PROBABILITY, np.full(3, 0.005)]))
    found = guesses_of(labels, weight=1.0)
    assert found is not None
    assert not found.between(np.arange(8)).sureness[7].any()


@given(st.integers(0, 2**32 - 1), st.integers(2, 30), st.integers(1, 6))
def test_guesses_keep_to_the_chance_that_two_images_are_one_kind(
    seed: int, images: int, groups: int
) -> None:
    rng = np.random.default_rng(seed)
    probability = rng.dirichlet(np.full(groups, 0.1), size=images)
    alike = rng.random((groups, groups))
    alike = np.maximum(alike, alike.T) * (rng.random() < 0.5)
    np.fill_diagonal(alike, 1)
    found = guesses_of(SoftLabels(probability, np.ones(images), alike), weight=1.0)
    assert found is not None
    guess = found.between(np.arange(images))
    chance = probability @ alike @ probability.T
    np.testing.assert_array_equal(guess.sureness, guess.sureness.T)
    assert np.abs(guess.sureness).max() <= 1
    assert not guess.sureness.diagonal().any()
    assert (chance[guess.sureness > 0] >= LEAST_SIMILAR - 1e-6).all()
    assert (chance[guess.sureness < 0] <= MOST_DISSIMILAR + 1e-6).all()
    assert (guess.sureness[guess.sure] != 0).all()


def test_answers_win_over_guesses_and_count_more() -> None:
    plain, taught = _batch(None), _batch(_guesses())
    np.testing.assert_array_equal(taught.relevance, plain.relevance)
    known = ~np.isnan(plain.relevance)
    np.testing.assert_array_equal(taught.taught[known], plain.relevance[known])
    assert (taught.trust[known] == 1).all()
    assert taught.sure[known].all()
    assert taught.taught[1, 2] == 0  # although both look like group 0
    assert taught.taught[0, 1] == 1
    assert taught.sure[0, 1]
    assert not taught.sure[0, 2]  # learnt from by losses that weigh pairs alone
    guessed = ~np.isnan(taught.taught) & ~known
    assert guessed.any()
    assert (taught.trust[guessed] <= 0.5).all()
    assert np.isnan(taught.taught[6]).all()


def test_without_guesses_nothing_but_answers_is_taught() -> None:
    plain = _batch(None)
    np.testing.assert_array_equal(plain.taught, plain.relevance)
    np.testing.assert_array_equal(plain.sure, ~np.isnan(plain.relevance))


def test_both_kinds_weigh_the_same_with_guesses_too() -> None:
    found = _batch(_guesses())
    for kind in (0, 1):
        assert np.triu(found.weights)[np.triu(found.taught == kind)].sum() == pytest.approx(1)
    assert not found.weights[np.isnan(found.taught)].any()


def test_images_nobody_answered_bring_one_that_is_guessed_to_be_similar() -> None:
    guesses, rng = _guesses(), np.random.default_rng(0)
    drawn = guesses.partners(np.repeat([0, 3, 6], 40), rng)
    assert set(drawn.tolist()) == {0, 1, 2, 3, 4}  # of group 0 for the first, 1 for the second
    assert len(drawn) == 80  # none for an image that may be of any group
    assert not set(guesses.partners(np.repeat([3], 40), rng).tolist()) - {3, 4}


def test_links_join_sure_images_to_an_answered_one_of_their_group() -> None:
    """Image 2 is of group 0 with 90 % only."""
    assert _guesses().links(np.array([0, 3])).tolist() == [[0, 1], [3, 4]]


def test_links_never_join_answered_images() -> None:
    """Both are taken for group 0; one may have been told apart from it."""
    assert _guesses().links(np.array([[1, 2], [1, 5]])).tolist() == [[1, 0]]


@pytest.mark.parametrize("labels", [None, LABELS], ids=["no labels", "no weight"])
def test_nothing_is_guessed_without_labels_or_weight(labels: SoftLabels | None) -> None:
    assert guesses_of(labels, weight=0.0 if labels else 0.5) is None


def test_other_guesses_have_another_digest() -> None:
    assert _guesses().digest == _guesses().digest
    assert _guesses().digest != _guesses(0.4).digest


WEIGHTED = sorted(name for name in LOSS_CLASSES if isinstance(new_loss(name), WeightedLoss))


def test_losses_of_pairs_weigh_them() -> None:
    expected = {"binomial_deviance", "cbmir", "contrastive", "multi_similarity"}
    assert set(WEIGHTED) == expected


@pytest.mark.parametrize("name", WEIGHTED)
def test_equal_weights_change_nothing_and_weight_zero_is_unknown(name: str) -> None:
    loss = new_loss(name)
    assert isinstance(loss, WeightedLoss)
    embeddings, relevance = random_batch()
    ones = torch.ones_like(relevance)
    assert loss.weighted(embeddings, relevance, ones).value.item() == pytest.approx(
        loss(embeddings, relevance).value.item()
    )
    hidden = torch.zeros_like(relevance, dtype=torch.bool)
    hidden[:4, 4:8] = hidden[4:8, :4] = True
    without = loss(embeddings, relevance.masked_fill(hidden, torch.nan))
    weighted = loss.weighted(embeddings, relevance, ones.masked_fill(hidden, 0))
    assert weighted.value.item() == pytest.approx(without.value.item(), rel=1e-6)


@pytest.mark.parametrize("name", WEIGHTED)
def test_a_pair_of_a_larger_weight_moves_the_loss_towards_it(name: str) -> None:
    """One similar pair far apart: the more it counts, the larger the loss."""
    loss = new_loss(name, {"balanced": False} if name == "contrastive" else None)
    assert isinstance(loss, WeightedLoss)
    embeddings = torch.tensor([[1.0, 0.0], [0.99, 0.1], [0.0, 1.0]])
    relevance = torch.full((3, 3), torch.nan)
    for a, b in ((0, 1), (0, 2)):
        relevance[a, b] = relevance[b, a] = 1
    values = []
    for weight in (0.25, 0.5, 1.0):
        weights = torch.ones(3, 3)
        weights[0, 2] = weights[2, 0] = weight
        values.append(loss.weighted(embeddings, relevance, weights).value.item())
    assert values == sorted(values)
    assert values[0] < values[-1]


@pytest.mark.parametrize("name", ["triplet", "osap", "dcl"])
def test_losses_that_weigh_nothing_learn_from_what_is_sure(name: str) -> None:
    embeddings, relevance = random_batch()
    sure = torch.ones_like(relevance, dtype=torch.bool)
    sure[:5, 5:] = sure[5:, :5] = False
    loss = new_loss(name)
    found = taught_loss(loss, embeddings, relevance, trust=torch.ones(12, 12), sure=sure)
    expected = loss(embeddings, relevance.masked_fill(~sure, torch.nan))
    assert found.value.item() == pytest.approx(expected.value.item())
    assert found.value.item() != pytest.approx(loss(embeddings, relevance).value.item())


def test_a_head_learns_from_guesses_what_few_answers_do_not_say() -> None:
    archive = clusters(images=120, classes=6)
    rows, similar = archive.pairs(40, seed=1)
    known = KnownPairs(rows, similar, np.ones(len(rows), np.float32))
    labels = SoftLabels(np.eye(6)[archive.labels], np.ones(120), np.eye(6))
    settings = TrainingSettings(
        hidden=32, out=16, components=16, batch_anchors=16, structure_weight=0.0
    )

    def separation(guesses: Guesses | None) -> float:
        head = train_with_loss(
            archive.features,
            known,
            new_loss("contrastive"),
            settings,
            steps=40,
            seed=0,
            device=torch.device("cpu"),
            guesses=guesses,
        )
        vectors = head.embed(archive.features)
        same, cosine = archive.labels[:, None] == archive.labels, vectors @ vectors.T
        return float(cosine[same].mean() - cosine[~same].mean())

    with_guesses, without = separation(guesses_of(labels, weight=0.5)), separation(None)
    assert with_guesses > without + 0.05
