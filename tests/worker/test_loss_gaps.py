"""The gap of small batches on the images of which something is known."""

import numpy as np
import pytest
import torch

from training.head import frozen_head
from training.losses.average_precision import SmoothAP
from training.losses.relevance import relevance_of_classes
from training.trainer import KnownPairs
from worker import loss_gaps
from worker.loss_gaps import gap_figures

IMAGES = 50


def known_pairs(images: int, rng: np.random.Generator) -> tuple[KnownPairs, np.ndarray]:
    """All pairs between some of the images, and their classes (-1: of no pair)."""
    rows = np.sort(rng.choice(IMAGES, images, replace=False))
    labels = np.full(IMAGES, -1)
    labels[rows] = np.arange(images) % 4
    first, second = np.triu_indices(images, 1)
    pairs = np.stack([rows[second], rows[first]], axis=1)
    similar = labels[pairs[:, 0]] == labels[pairs[:, 1]]
    return KnownPairs(pairs, similar, np.ones(len(pairs), np.float32)), labels


def test_a_batch_of_all_images_that_are_known_has_no_gap() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(IMAGES, 6)).astype(np.float32)
    known, _ = known_pairs(32, rng)
    found = gap_figures(SmoothAP(0.1), frozen_head(features), features, known, seed=0)
    assert found == {"gap at 32": pytest.approx(0, abs=1e-6)}


def test_the_gap_is_to_the_loss_of_all_known_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose relations are those of the pairs, in whatever order they stand there."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(IMAGES, 6)).astype(np.float32)
    known, labels = known_pairs(40, rng)
    head = frozen_head(features)
    rows = np.flatnonzero(labels >= 0)
    whole = SmoothAP(0.1)(
        torch.from_numpy(head.embed(features[rows])),
        relevance_of_classes(torch.from_numpy(labels[rows])),
    )
    seen = []
    monkeypatch.setattr(loss_gaps, "_DRAWS", 1)

    def watched(embeddings: torch.Tensor, relevance: torch.Tensor) -> object:
        seen.append(SmoothAP(0.1)(embeddings, relevance))
        return seen[-1]

    found = gap_figures(watched, head, features, known, seed=0)
    assert seen[0].value.item() == pytest.approx(whole.value.item(), abs=1e-6)
    assert found["gap at 32"] == pytest.approx(float(seen[1].value - whole.value), abs=1e-6)
    assert found["gap at 32"] != 0


def test_where_there_are_many_images_some_stand_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_gaps, "_MOST_IMAGES", 33)
    rng = np.random.default_rng(2)
    features = rng.normal(size=(IMAGES, 6)).astype(np.float32)
    known, _ = known_pairs(IMAGES, rng)
    sizes = []

    def watched(embeddings: torch.Tensor, relevance: torch.Tensor) -> object:
        sizes.append(len(embeddings))
        return SmoothAP(0.1)(embeddings, relevance)

    gap_figures(watched, frozen_head(features), features, known, seed=0)
    assert sizes == [33, *[32] * 20]
