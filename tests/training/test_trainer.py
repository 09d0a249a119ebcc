"""Training separates what people called different, keeps the rest, and never ends in a crash."""

import numpy as np
import pytest
import torch

from domain.config import TrainingSettings
from domain.errors import Cancelled, InputError, JobError
from retrieval.metrics import evaluate_retrieval
from tests.training.clusters import Clusters, clusters
from training.head import TrainedHead, frozen_head
from training.losses.catalogue import new_loss
from training.losses.relevance import LossValue, RelevanceLoss
from training.trainer import KnownPairs, train_head, train_with_loss

CPU = torch.device("cpu")
QUICK = TrainingSettings(
    hidden=128, out=32, components=0, fewest_steps=60, most_steps=60, learning_rate=3e-3
)


def _train(
    archive: Clusters,
    pairs: np.ndarray,
    similar: np.ndarray,
    *,
    settings: TrainingSettings = QUICK,
    weights: np.ndarray | None = None,
    seed: int = 0,
) -> TrainedHead:
    weights = np.ones(len(pairs)) if weights is None else weights
    return train_head(archive.features, pairs, similar, weights, settings, seed=seed, device=CPU)


def _precision(head: TrainedHead, archive: Clusters, unseen: Clusters) -> float:
    scores = evaluate_retrieval(
        head.embed(unseen.features), head.embed(archive.features), unseen.labels, archive.labels
    )
    assert scores.p_at_5 is not None
    return scores.p_at_5


def test_a_trained_head_retrieves_unseen_images_better_than_frozen_features() -> None:
    archive, unseen = clusters(), clusters(seed=1)
    head = _train(archive, *archive.pairs(600))
    frozen = frozen_head(archive.features)
    assert not head.is_frozen
    assert head.note == ""
    assert _precision(head, archive, unseen) > _precision(frozen, archive, unseen) + 0.15


def _alone(archive: Clusters, loss: RelevanceLoss, *, steps: int, seed: int = 0) -> TrainedHead:
    pairs, similar = archive.pairs(600)
    known = KnownPairs(pairs, similar, np.ones(len(pairs), np.float32))
    return train_with_loss(archive.features, known, loss, QUICK, steps=steps, seed=seed, device=CPU)


@pytest.mark.parametrize("name", ["triplet", "osap", "dcl", "n_pair"])
def test_a_loss_alone_teaches_a_head_from_its_start(name: str) -> None:
    archive, unseen = clusters(), clusters(seed=1)
    head = _alone(archive, new_loss(name), steps=60)
    frozen = frozen_head(archive.features)
    assert _precision(head, archive, unseen) > _precision(frozen, archive, unseen) + 0.15


def test_losses_alone_share_first_weights_and_batches() -> None:
    archive, batches = clusters(), dict[str, list[torch.Tensor]]()

    def seen(name: str) -> RelevanceLoss:
        loss = new_loss(name)

        def called(embeddings: torch.Tensor, relevance: torch.Tensor) -> LossValue:
            batches.setdefault(name, []).append(relevance)
            starts.setdefault(name, embeddings.detach())
            return loss(embeddings, relevance)

        return called

    starts = dict[str, torch.Tensor]()
    for name in ("contrastive", "smooth_ap"):
        _alone(archive, seen(name), steps=3)
    first, second = starts.values()
    assert torch.equal(first, second)
    for one, other in zip(*batches.values(), strict=True):
        assert torch.equal(one.nan_to_num(nan=2), other.nan_to_num(nan=2))


def test_the_loss_falls() -> None:
    archive = clusters()
    head = _train(archive, *archive.pairs(200))
    losses = [line["loss"] for line in head.history]
    assert losses[-1] < 0.7 * losses[0]
    assert [line["step"] for line in head.history] == [20, 40, 60]


def test_a_seed_repeats_on_the_cpu_and_another_differs() -> None:
    archive = clusters()
    pairs, similar = archive.pairs(100)
    first, again, other = (
        _train(archive, pairs, similar, seed=seed).embed(archive.features) for seed in (4, 4, 5)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_number_of_threads_changes_nothing_and_is_left_as_it_was() -> None:
    archive = clusters()
    pairs, similar = archive.pairs(100)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(_train(archive, pairs, similar).embed(archive.features))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


def test_no_global_random_state_is_used() -> None:
    archive = clusters()
    pairs, similar = archive.pairs(50)
    torch.manual_seed(0)
    np.random.seed(0)
    first = _train(archive, pairs, similar).embed(archive.features)
    expected = torch.rand(1), np.random.rand()
    torch.manual_seed(0)
    np.random.seed(0)
    assert (torch.rand(1), np.random.rand()) == expected
    assert np.array_equal(first, _train(archive, pairs, similar).embed(archive.features))


def test_structure_keeps_cosines_that_answers_do_not_speak_of() -> None:
    archive = clusters()
    pairs, similar = archive.pairs(15)
    frozen = frozen_head(archive.features).embed(archive.features)

    def change(weight: float) -> float:
        settings = QUICK.model_copy(update={"structure_weight": weight})
        moved = _train(archive, pairs, similar, settings=settings).embed(archive.features)
        return float(np.square(moved @ moved.T - frozen @ frozen.T).mean())

    assert change(1.0) < change(0.0) / 2


def test_pairs_of_weight_zero_teach_nothing() -> None:
    archive = clusters()
    pairs, similar = archive.pairs(60)
    wrong = np.concatenate([similar, ~similar])
    weights = np.concatenate([np.ones(60), np.zeros(60)])
    both = _train(archive, np.concatenate([pairs, pairs]), wrong, weights=weights)
    alone = _train(archive, pairs, similar)
    assert np.array_equal(both.embed(archive.features), alone.embed(archive.features))


@pytest.mark.parametrize(
    ("similar", "words"),
    [
        (np.zeros(0, dtype=bool), "No pair is known yet"),
        (np.ones(3, dtype=bool), "All 3 known pairs are similar"),
        (np.zeros(3, dtype=bool), "All 3 known pairs are dissimilar"),
    ],
    ids=["nothing", "only similar", "only dissimilar"],
)
def test_without_both_kinds_the_frozen_features_remain_and_the_note_says_why(
    similar: np.ndarray, words: str
) -> None:
    archive = clusters()
    pairs = np.array([[0, 1], [2, 3], [4, 5]])[: len(similar)]
    head = _train(archive, pairs, similar)
    assert head.is_frozen
    assert words in head.note
    expected = frozen_head(archive.features).embed(archive.features)
    assert np.array_equal(head.embed(archive.features), expected)


def test_a_head_that_loses_on_held_out_answers_leaves_the_frozen_features() -> None:
    """A head of one number cannot part 100 classes, on features that are right already."""
    labels = np.arange(300) % 100
    right = Clusters(np.eye(100, dtype=np.float32)[labels], labels)
    alike = np.array([[row, row + 100] for row in range(200)])
    others, same = right.pairs(600)
    pairs = np.concatenate([alike, others])
    similar = np.concatenate([np.ones(200, dtype=bool), same])
    head = _train(right, pairs, similar, settings=QUICK.model_copy(update={"out": 1}))
    assert head.selection is not None
    assert head.selection.frozen == 1
    assert head.selection.is_worse
    assert head.is_frozen
    assert "remain the embedding" in head.note


def test_two_pairs_are_enough_to_train() -> None:
    archive = clusters(images=8)
    head = _train(archive, np.array([[0, 4], [0, 1]]), np.array([True, False]))
    assert not head.is_frozen
    assert head.selection is None
    assert np.isfinite(head.embed(archive.features)).all()


def test_progress_is_told_and_can_stop_the_training() -> None:
    archive = clusters()
    told: list[float] = []

    def stop(done: float, message: str) -> None:
        told.append(done)
        if done >= 0.5:
            raise Cancelled("stopped")

    pairs, similar = archive.pairs(40)
    with pytest.raises(Cancelled):
        train_head(
            archive.features, pairs, similar, np.ones(40), QUICK, seed=0, device=CPU, progress=stop
        )
    assert told == sorted(told)
    assert 0.5 <= told[-1] < 1


def test_a_loss_that_is_no_number_is_an_error_not_a_model() -> None:
    archive = clusters()
    settings = QUICK.model_copy(update={"learning_rate": 1e20})
    with pytest.raises(JobError, match="loss became"):
        _train(archive, *archive.pairs(40), settings=settings)


@pytest.mark.parametrize(
    ("pairs", "weights", "words"),
    [
        (np.array([[0, 80]]), np.ones(1), "80 training images"),
        (np.array([[-1, 2]]), np.ones(1), "rows from -1"),
        (np.array([[0, 1]]), np.ones(2), "one of each"),
        (np.array([[0, 1]]), np.array([-1.0]), "weight"),
        (np.array([[0, 1]]), np.array([np.nan]), "weight"),
    ],
    ids=["row too large", "row too small", "too many weights", "negative", "not a number"],
)
def test_inputs_that_do_not_fit_are_refused(
    pairs: np.ndarray, weights: np.ndarray, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        _train(clusters(), pairs, np.array([True]), weights=weights)
