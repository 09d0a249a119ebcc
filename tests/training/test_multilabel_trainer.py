from dataclasses import replace

import numpy as np
import pytest
import torch

from domain.errors import InputError
from retrieval.multilabel_metrics import evaluate_multilabel
from training.head import TrainedHead, frozen_head
from training.losses.catalogue import new_loss
from training.losses.representative import RepresentativeTriplets
from training.multilabel_trainer import MultilabelSettings, train_multilabel_head

CPU = torch.device("cpu")
SETTINGS = MultilabelSettings(
    out=16, hidden=32, epochs=8, batch_images=30, learning_rate=1e-2, score_epochs=4
)


def images(count: int = 90, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features in which labels are faint beside much that does not matter."""
    rng = np.random.default_rng(seed)
    labels = rng.random((count, 5)) < 0.3
    labels[np.arange(count), rng.integers(5, size=count)] = True
    directions = np.random.default_rng(99).normal(size=(5, 12))
    noise = np.random.default_rng(98).normal(size=(3, 12))
    return labels @ directions + 3 * rng.normal(size=(count, 3)) @ noise, labels


def f1(head: TrainedHead) -> float:
    features, labels = images(60, seed=1)
    embedded = head.embed(features)
    return evaluate_multilabel(embedded[:30], embedded[30:], labels[:30], labels[30:], k=5).f1_macro


@pytest.mark.parametrize("name", ["das_rhdis", "triplet"])
def test_a_head_learns_which_labels_images_share(name: str) -> None:
    features, labels = images()
    found = train_multilabel_head(
        features, labels, new_loss(name), SETTINGS, score=f1, seed=0, device=CPU
    )
    assert f1(found.head) > f1(frozen_head(features)) + 0.05
    assert found.course.scores[-1] == f1(found.head)
    assert len(found.course.scores) == 2


def test_triplets_are_counted_where_a_loss_chooses_them() -> None:
    features, labels = images()
    found = train_multilabel_head(
        features,
        labels,
        RepresentativeTriplets(count=1, anchor_share=0.1),
        SETTINGS,
        score=f1,
        seed=0,
        device=CPU,
    )
    per_epoch = 3 * 3  # batches, anchors; one similar and one dissimilar image each
    assert found.course.triplets == [4 * per_epoch, 8 * per_epoch]
    assert found.course.triplets_until(0.01) == 4 * per_epoch
    assert found.course.triplets_until(0.99, above=2.0) is None


def test_the_seed_decides_the_head() -> None:
    features, labels = images()

    def embedded(seed: int) -> np.ndarray:
        loss = RepresentativeTriplets()
        found = train_multilabel_head(
            features, labels, loss, SETTINGS, score=lambda _: 0.0, seed=seed, device=CPU
        )
        return found.head.embed(features)

    np.testing.assert_array_equal(embedded(0), embedded(0))
    assert not np.allclose(embedded(0), embedded(1))


def test_labels_of_other_images_are_told() -> None:
    features, labels = images()
    with pytest.raises(InputError, match="90 images have labels of 89"):
        train_multilabel_head(
            features, labels[1:], RepresentativeTriplets(), SETTINGS, score=f1, seed=0, device=CPU
        )


def test_a_batch_of_one_image_is_told() -> None:
    features, labels = images()
    alone = replace(SETTINGS, batch_images=1)
    with pytest.raises(InputError, match="A batch of 1 image"):
        train_multilabel_head(
            features, labels, RepresentativeTriplets(), alone, score=f1, seed=0, device=CPU
        )
