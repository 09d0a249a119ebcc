"""Trains a whole network on images that have several labels each.

Backbone and head learn together from random views of the images; losses, batches and the number of
triplets are those of `training.multilabel_trainer`.

Source: DAS-RHDIS, experimental set-up: the network, trained from the start, and an embedding.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from domain.arrays import BoolArray, FloatArray, IntArray
from domain.config import FullDepthSettings, TrainingSettings
from domain.jobs import Progress, silent
from training.backbones import Backbone
from training.crops import ViewSettings, random_views
from training.full_depth import LEAST_SCALE
from training.head import fitted_standardise, new_projection
from training.losses.multistage import Loss, multistage_backward
from training.losses.relevance import LossValue, RelevanceLoss
from training.multilabel_trainer import MultilabelCourse, MultilabelSettings, learn_labels
from training.network import EmbeddingNetwork, adam
from training.normalisation import measured_features
from training.pixels import Pixels

_STREAM = 5  # of random numbers


@dataclass(frozen=True)
class MultilabelNetwork:
    """What came of a training.

    Attributes:
        network: after the last epoch, in evaluation mode.
        course: see there.
    """

    network: EmbeddingNetwork
    course: MultilabelCourse


@dataclass(frozen=True)
class LabelledImages:
    """The training images.

    Attributes:
        pixels: of an archive.
        rows: [N] which of its images learn.
        features: [N, D] theirs by the backbone before the training.
        labels: [N, L] whether an image has a label.
    """

    pixels: Pixels
    rows: IntArray
    features: FloatArray
    labels: BoolArray


def train_multilabel_network(
    backbone: Backbone,
    images: LabelledImages,
    loss: RelevanceLoss,
    settings: MultilabelSettings,
    *,
    full: FullDepthSettings,
    score: Callable[[EmbeddingNetwork], float],
    seed: int,
    device: torch.device,
    turned: bool = True,
    progress: Progress = silent,
) -> MultilabelNetwork:
    """A network that brings images with common labels together.

    Args:
        backbone: where it starts; is changed and moved to the device. Normalisations that have no
            statistics are measured first.
        images: see there.
        loss: as for `train_multilabel_head`.
        settings: of epochs, batches and the embedding.
        full: learning rates, batch normalisation, views, and how many images are in the network
            at once; nothing else of it counts here.
        score: of the network on the way, higher is better; it decides nothing.
        seed: on one kind of device, with as many threads, the same seed gives the same network.
        device: where to train.
        turned: whether views may be turned by right angles.
        progress: told the epoch; may raise `Cancelled`.

    Raises:
        InputError: labels of other images, or fewer images than two.
        JobError: the loss is no longer a number.
    """
    features = measured_features(
        backbone, images.pixels, images.features, rows=images.rows, device=device
    )
    standardise = fitted_standardise(features, least_scale=LEAST_SCALE)
    widths = TrainingSettings(hidden=settings.hidden, out=settings.out)
    head = new_projection(standardise, widths, generator=torch.Generator().manual_seed(seed))
    half = full.in_bfloat16(device.type)
    network = EmbeddingNetwork(backbone, head, half=half).to(device)
    views = ViewSettings.at_full_depth(full, size_px=images.pixels.size_px, turned=turned)
    course = learn_labels(
        _NetworkLearner(network, images, full, views, seed),
        images.labels,
        loss,
        settings,
        score=lambda: score(network.eval()),
        images=len(images.rows),
        seed=seed,
        progress=progress,
    )
    return MultilabelNetwork(network.eval(), course)


class _NetworkLearner:
    """A network that sees other views of the images at every step."""

    def __init__(
        self,
        network: EmbeddingNetwork,
        images: LabelledImages,
        full: FullDepthSettings,
        views: ViewSettings,
        seed: int,
    ) -> None:
        self._network, self._images, self._full, self._views = network, images, full, views
        self._rng = np.random.default_rng((seed, _STREAM))
        self._device = next(network.parameters()).device

    def optimiser(self) -> torch.optim.Optimizer:
        """See `Learner`."""
        return adam(self._network, [], self._full)

    def backward(self, rows: IntArray, loss: Loss) -> LossValue:
        """See `Learner`."""
        self._network.learn(batch_norm=self._full.batch_norm)
        pixels = self._images.pixels.of(self._images.rows[rows]).to(self._device)
        generator = torch.Generator().manual_seed(int(self._rng.integers(1 << 62)))
        bands = self._network.backbone.bands
        views = random_views(pixels, self._views, generator, bands=bands)
        if self._full.chunk_images:
            chunk_rows = self._full.chunk_images
            return multistage_backward(self._network, views, loss, chunk_rows=chunk_rows)
        found = loss(self._network(views))
        found.value.backward()  # type: ignore[no-untyped-call]
        return LossValue(found.value.detach(), found.valid_anchors)
