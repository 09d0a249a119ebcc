"""Heads from class labels: they learn, use only labelled images, and refuse what makes no sense."""

import numpy as np
import pytest
import torch

from domain.config import TrainingSettings
from domain.errors import InputError
from retrieval.metrics import evaluate_retrieval
from tests.training.clusters import clusters
from training.class_trainer import train_class_head, train_on_all_relations
from training.head import TrainedHead, frozen_head

CPU = torch.device("cpu")
QUICK = TrainingSettings(hidden=64, out=32, components=0, most_steps=150, fewest_steps=150)
ARCHIVE, UNSEEN = clusters(), clusters(seed=1)
SOME = np.where(np.arange(80) < 40, ARCHIVE.labels, -1)


def _map(head: TrainedHead) -> float:
    scores = evaluate_retrieval(
        head.embed(UNSEEN.features), head.embed(ARCHIVE.features), UNSEEN.labels, ARCHIVE.labels
    )
    assert scores.map is not None
    return scores.map


def test_a_class_head_predicts_unseen_images_and_retrieves_better() -> None:
    trained = train_class_head(ARCHIVE.features, SOME, 8, QUICK, seed=0, device=CPU)
    probabilities = trained.probabilities(UNSEEN.features)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(80))
    assert (probabilities.argmax(axis=1) == UNSEEN.labels).mean() > 0.7
    assert _map(trained.head) > _map(frozen_head(ARCHIVE.features)) + 0.05


def test_all_relations_are_an_upper_bound() -> None:
    bound = train_on_all_relations(ARCHIVE.features, ARCHIVE.labels, QUICK, seed=0, device=CPU)
    some = train_class_head(ARCHIVE.features, SOME, 8, QUICK, seed=0, device=CPU)
    assert _map(bound) > _map(some.head)


def test_a_seed_repeats() -> None:
    first, again = (
        train_class_head(ARCHIVE.features, SOME, 8, QUICK, seed=3, device=CPU) for _ in range(2)
    )
    assert np.array_equal(
        first.probabilities(UNSEEN.features), again.probabilities(UNSEEN.features)
    )


@pytest.mark.parametrize(
    ("labels", "classes", "problem"),
    [
        (np.zeros(80, int), 8, "1 classes"),
        (np.full(80, -1), 8, "0 classes"),
        (ARCHIVE.labels, 7, "must lie in -1…6"),
        (ARCHIVE.labels - 2, 8, "must lie in -1…7"),
        (ARCHIVE.labels[:5], 8, "one each is needed"),
    ],
)
def test_labels_that_make_no_sense_are_refused(
    labels: np.ndarray, classes: int, problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        train_class_head(ARCHIVE.features, labels, classes, QUICK, seed=0, device=CPU)
