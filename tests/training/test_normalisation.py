"""Normalisations without statistics normalise before anything learns, and gradients stay exact."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from domain.arrays import FloatArray
from domain.config import FullDepthSettings, TrainingSettings
from domain.errors import Cancelled
from tests.pictures import KINDS, texture
from training.backbones import Backbone, build_backbone
from training.full_depth import retrain_backbone
from training.head import frozen_head
from training.losses.contrastive import Contrastive
from training.losses.multistage import multistage_backward
from training.losses.relevance import LossValue, relevance_of_classes
from training.network import EmbeddingNetwork
from training.normalisation import measured_features, unmeasured
from training.pixels import ResidentPixels
from training.preprocessing import normalised
from training.trainer import checked_pairs
from training.warmup import measure_statistics

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
IMAGES = 64
LABELS = np.arange(IMAGES) % len(KINDS)


@pytest.fixture(scope="module")
def images() -> Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(np.stack([texture(KINDS[label], rng, 32) for label in LABELS]))


@pytest.fixture(scope="module")
def trained(images: Tensor) -> Backbone:
    """As one with weights for its trunk: only what fuses has no statistics."""
    backbone = build_backbone("resnet18_pbffn")
    norms = [module for module in backbone.trunk.modules() if isinstance(module, nn.BatchNorm2d)]
    measure_statistics(backbone, images.numpy(), norms)
    return backbone


def features_by(backbone: Backbone, images: Tensor) -> FloatArray:
    with torch.inference_mode():
        return np.asarray(backbone.eval()(normalised(images, backbone.bands)).numpy())


def measured(backbone: Backbone, images: Tensor) -> FloatArray:
    given = np.zeros((len(images), backbone.feature_dim), np.float32)
    return measured_features(backbone, ResidentPixels(images), given, device=CPU)


def test_what_fuses_a_pretrained_network_has_no_statistics(trained: Backbone) -> None:
    fusion = trained.network.get_submodule("fusion")
    assert unmeasured(trained) == [each for each in fusion.modules() if "Norm" in repr(type(each))]
    assert len(unmeasured(trained)) == 3
    assert len(unmeasured(build_backbone("s_cnn"))) == 3


def test_every_channel_is_normalised_afterwards(trained: Backbone, images: Tensor) -> None:
    backbone, seen = copy.deepcopy(trained), []
    for norm in unmeasured(backbone):
        norm.register_forward_hook(lambda *given: seen.append(given[2]))
    images = images[:32]  # one batch
    measured(backbone, images)
    assert unmeasured(backbone) == []
    seen.clear()
    features_by(backbone, images)
    for out in seen:
        assert out.mean((0, 2, 3)).abs().max() < 1e-3
        assert (out.std((0, 2, 3)) - 1).abs().max() < 0.02
    assert len(seen) == 3


def test_statistics_that_are_there_stay(trained: Backbone, images: Tensor) -> None:
    backbone = copy.deepcopy(trained)
    measured(backbone, images)
    for name, value in trained.trunk.state_dict().items():
        assert torch.equal(backbone.trunk.state_dict()[name], value)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    given = np.ones((len(images), 1), np.float32)
    assert measured_features(backbone, ResidentPixels(images), given, device=CPU) is given
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())


def test_features_are_those_of_the_network_with_its_statistics(
    trained: Backbone, images: Tensor
) -> None:
    backbone = copy.deepcopy(trained)
    found = measured(backbone, images)
    np.testing.assert_allclose(found, features_by(backbone, images), atol=1e-5)
    assert np.abs(found - features_by(trained, images)).max() > 1e-3


def test_of_some_images_only_these_are_measured_and_embedded(
    trained: Backbone, images: Tensor
) -> None:
    some, others = np.array([3, 1, 8, 20]), torch.zeros_like(images)
    others[some] = images[some]
    found = [
        measured_features(
            copy.deepcopy(trained), ResidentPixels(each), np.empty(0), rows=some, device=CPU
        )
        for each in (images, others)
    ]
    np.testing.assert_array_equal(*found)
    assert found[0].shape == (4, trained.feature_dim)


def test_it_can_be_cancelled(trained: Backbone, images: Tensor) -> None:
    def stop(done: float, message: str) -> None:
        if "embedding" in message and done > 0:
            raise Cancelled("Stopped.")

    given = np.zeros((len(images), 1), np.float32)
    with pytest.raises(Cancelled):
        measured_features(
            copy.deepcopy(trained), ResidentPixels(images), given, device=CPU, progress=stop
        )


def test_the_gradient_of_a_fused_network_is_the_same_from_chunks(
    trained: Backbone, images: Tensor
) -> None:
    backbone = copy.deepcopy(trained)
    measured(backbone, images)
    backbone.trunk.requires_grad_(False)  # quicker: it has nothing of its own to show here
    head = frozen_head(features_by(backbone, images)).module
    network = EmbeddingNetwork(backbone, head).double()
    network.learn(batch_norm="frozen")
    rows = [0, 4, 1, 5]  # two of each of two kinds
    shown = normalised(images[rows], backbone.bands).double()
    relevance = relevance_of_classes(torch.from_numpy(LABELS[rows]))

    def gradients(chunk: int) -> Tensor:
        def loss(embeddings: Tensor) -> LossValue:
            return Contrastive()(embeddings, relevance)

        network.zero_grad()
        multistage_backward(network, shown, loss, chunk_rows=chunk)
        return torch.cat(
            [each.grad.flatten() for each in network.parameters() if each.grad is not None]
        )

    whole = gradients(4)
    assert whole.abs().max() > 1e-6
    torch.testing.assert_close(gradients(3), whole, rtol=1e-9, atol=1e-12)


def test_a_training_begins_with_a_network_that_normalises(
    trained: Backbone, images: Tensor
) -> None:
    rows = np.array([(a, b) for a in range(IMAGES) for b in range(a)])
    similar = LABELS[rows[:, 0]] == LABELS[rows[:, 1]]
    full = FullDepthSettings(fewest_steps=1, most_steps=1, batch_anchors=4, batch_others=2)
    settings = TrainingSettings(
        components=0, hidden=16, out=8, fewest_steps=5, most_steps=5, full=full
    )
    found = retrain_backbone(
        copy.deepcopy(trained),
        ResidentPixels(images),
        features_by(trained, images),
        checked_pairs(rows, similar, np.ones(len(rows)), images=IMAGES),
        settings,
        seed=0,
        device=CPU,
    )
    assert found.history
    assert unmeasured(found.backbone) == []
