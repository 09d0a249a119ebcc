"""Whole networks that learn which labels images share."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from domain.config import FullDepthSettings
from domain.errors import InputError
from retrieval.multilabel_metrics import evaluate_multilabel
from training.backbones import backbone_sha256, build_backbone
from training.losses.catalogue import new_loss
from training.losses.relevance import RelevanceLoss
from training.losses.representative import RepresentativeTriplets
from training.multilabel_network import (
    LabelledImages,
    MultilabelNetwork,
    train_multilabel_network,
)
from training.multilabel_trainer import MultilabelSettings
from training.network import EmbeddingNetwork, embed_images
from training.pixels import ResidentPixels
from training.preprocessing import normalised

CPU = torch.device("cpu")
SETTINGS = MultilabelSettings(out=16, hidden=32, epochs=15, batch_images=20, score_epochs=5)
FULL = FullDepthSettings(
    backbone_learning_rate=1e-3,
    head_learning_rate=1e-3,
    batch_norm="live",
    smallest_area=0.9,
    colour=0,
    blurred=0,
    noisy=0,
)
REST, TRAIN = np.arange(40), np.arange(40, 100)


def pictures() -> tuple[ResidentPixels, np.ndarray]:
    """Each label is a pattern, under noise and any colour; all images have one label or more."""
    rng = np.random.default_rng(0)
    labels = rng.random((100, 3)) < 0.4
    labels[np.arange(100), rng.integers(3, size=100)] = True
    waves = np.indices((32, 32)).sum(0)
    patterns = np.stack([np.sin(waves * step) for step in (0.4, 1.2, 2.4)])
    noise = 20 * rng.normal(size=(100, 32, 32, 1)) + 40 * rng.normal(size=(100, 1, 1, 3))
    shown = 128 + 40 * np.einsum("nl,lij->nij", labels, patterns)[..., None] + noise
    return ResidentPixels(torch.from_numpy(shown.clip(0, 255).astype(np.uint8))), labels


def f1(network: EmbeddingNetwork) -> float:
    pixels, labels = pictures()
    found = embed_images(network, pixels, REST, device=CPU)
    queries, gallery = labels[REST[:20]], labels[REST[20:]]
    return evaluate_multilabel(found[:20], found[20:], queries, gallery, k=5).f1_macro


def trained(**changes: Any) -> MultilabelNetwork:
    given = {"loss": RepresentativeTriplets(), "settings": SETTINGS, "full": FULL, "score": f1}
    given |= {"seed": 0, **changes}
    pixels, labels = pictures()
    backbone = build_backbone("s_cnn")
    with torch.inference_mode():
        features = backbone(normalised(pixels.of(TRAIN), backbone.bands)).numpy()
    images = LabelledImages(pixels, TRAIN, features, given.pop("labels", labels[TRAIN]))
    loss, settings = given.pop("loss"), given.pop("settings")
    return train_multilabel_network(backbone, images, loss, settings, device=CPU, **given)


def weights(found: MultilabelNetwork) -> torch.Tensor:
    return torch.cat([each.detach().flatten() for each in found.network.parameters()])


@pytest.mark.parametrize("loss", [RepresentativeTriplets(anchor_share=0.5), new_loss("triplet")])
def test_a_network_learns_which_labels_images_share(loss: RelevanceLoss) -> None:
    still = FULL.model_copy(update={"backbone_learning_rate": 1e-9, "head_learning_rate": 1e-9})
    before = trained(full=still, settings=replace(SETTINGS, epochs=1))
    found = trained(loss=loss)
    assert found.course.scores[-1] > before.course.scores[-1] + 0.1
    assert found.course.scores[-1] == f1(found.network)
    assert len(found.course.scores) == 3


def test_backbone_and_head_both_learn_and_the_seed_decides_how() -> None:
    settings = replace(SETTINGS, epochs=1)
    first, again, other = (trained(settings=settings, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(other))
    assert backbone_sha256(first.network.backbone) != backbone_sha256(build_backbone("s_cnn"))


def test_triplets_are_counted() -> None:
    loss = RepresentativeTriplets(count=1, anchor_share=0.1)
    found = trained(loss=loss, settings=replace(SETTINGS, epochs=2, score_epochs=1))
    assert found.course.triplets == [3 * 2, 2 * 3 * 2]  # batches, anchors of each


def test_in_chunks_the_same_is_learnt() -> None:
    """By multistage back-propagation, with batch normalisation frozen as it is there."""
    frozen = FULL.model_copy(update={"batch_norm": "frozen"})
    settings = replace(SETTINGS, epochs=1)
    whole = trained(full=frozen, settings=settings, loss=new_loss("contrastive"))
    chunks = frozen.model_copy(update={"chunk_images": 7})
    parts = trained(full=chunks, settings=settings, loss=new_loss("contrastive"))
    torch.testing.assert_close(weights(whole), weights(parts), rtol=1e-3, atol=1e-5)
    assert parts.course.scores == pytest.approx(whole.course.scores, abs=0.02)


def test_labels_of_other_images_are_told() -> None:
    with pytest.raises(InputError, match="60 images have labels of 100"):
        trained(labels=pictures()[1])
