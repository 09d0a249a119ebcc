"""What a head is trained for: losses of a batch's embeddings, by what is known of its images.

Each objective takes the embeddings of a batch and the batch, and gives one number to make small,
and how many images it speaks of.
What all trainings share, keeping the structure of what nobody answered, is not here but in
`training.fitting`.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from domain.arrays import IntArray
from domain.config import TrainingSettings
from training.head import empty_linear, set_random
from training.losses.contrastive import contrastive_loss
from training.losses.pair_classification import joint_loss, pair_classification_loss
from training.losses.relevance import LossValue, RelevanceLoss, taught_loss
from training.pair_network import new_pair_network
from training.samplers import Batch

LENGTH = 4.0


class Objective(Protocol):
    """A loss; what it learns itself are its parameters.

    Attributes:
        wants_turned: whether it compares images with themselves turned, where they can be.
    """

    @property
    def wants_turned(self) -> bool: ...

    def __call__(self, embeddings: Tensor, batch: Batch, rng: np.random.Generator) -> LossValue:
        """The loss of embeddings [B, D] of the batch's images.

        Where it wants them, [2 B, D]: those of the same images turned come behind.
        """

    def parameters(self) -> list[nn.Parameter]:
        """What is learnt beside the head."""


class PairObjective:
    """Similar pairs together, dissimilar ones apart.

    Source: ANNEAL, eq. 1.
    """

    wants_turned = False

    def __init__(self, settings: TrainingSettings) -> None:
        self._margin = settings.margin

    def __call__(self, embeddings: Tensor, batch: Batch, rng: np.random.Generator) -> LossValue:
        """See `Objective`; an image is valid with any partner."""
        taught, weights = _on(embeddings, batch.taught), _on(embeddings, batch.weights)
        value = contrastive_loss(embeddings, taught, margin=self._margin, weights=weights)
        return LossValue(value, int((~np.isnan(batch.taught)).any(axis=1).sum()))

    def parameters(self) -> list[nn.Parameter]:
        """Nothing."""
        return []


@dataclass(frozen=True)
class RelevanceObjective:
    """Any loss on relevance matrices; it weighs its anchors, and pairs where it can."""

    wants_turned: ClassVar[bool] = False
    loss: RelevanceLoss

    def __call__(self, embeddings: Tensor, batch: Batch, rng: np.random.Generator) -> LossValue:
        """See `Objective`."""
        taught, trust = _on(embeddings, batch.taught), _on(embeddings, batch.trust)
        sure = _on(embeddings, batch.sure)
        return taught_loss(self.loss, embeddings, taught, trust=trust, sure=sure)

    def parameters(self) -> list[nn.Parameter]:
        """Nothing."""
        return []


class JointObjective:
    """The contrastive loss and a classifier of pairs.

    Source: ANNEAL, eqs. 9-11; random order of a pair's images is ours.
    """

    wants_turned = False

    def __init__(
        self, settings: TrainingSettings, *, generator: torch.Generator, device: torch.device
    ) -> None:
        self._contrastive = PairObjective(settings)
        self._settings = settings
        self.network = new_pair_network(settings.out, generator=generator).to(device)

    def __call__(self, embeddings: Tensor, batch: Batch, rng: np.random.Generator) -> LossValue:
        """See `Objective`; an image is valid with any partner."""
        first, second = np.nonzero(np.triu(~np.isnan(batch.taught), 1))
        similar = _on(embeddings, batch.taught[first, second]) == 1
        weights = _on(embeddings, batch.weights[first, second])
        if self._settings.classifier_symmetric:
            swapped = rng.random(len(first)) < 0.5
            first, second = np.where(swapped, second, first), np.where(swapped, first, second)
        logits = self.network(embeddings, _on(embeddings, first), _on(embeddings, second))
        contrastive = self._contrastive(embeddings, batch, rng)
        value = joint_loss(
            contrastive.value,
            pair_classification_loss(logits, similar, weights),
            gamma=self._settings.classifier_weight,
        )
        return LossValue(value, contrastive.valid_anchors)

    def parameters(self) -> list[nn.Parameter]:
        """Those of the classifier."""
        return list(self.network.parameters())


class ClassObjective:
    """Cross-entropy of a linear layer of classes on the embedding.

    The layer reads the unit vector times `LENGTH`: with length 1 it takes long to become sure of
    anything, with 16 the layer learns and the embedding hardly does (420 labels of UC Merced,
    held-out training images: 89.6, 90.5 and 88.1 mAP@5 with 1, 4 and 16; one seed).

    Source: ANNEAL, the compared class-label active learning (CAL).
    """

    wants_turned = False

    def __init__(
        self,
        labels: IntArray,
        classes: int,
        width: int,
        *,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        """Classes 0…C-1 of the images [N]; -1 where it is unknown."""
        self._labels = torch.from_numpy(np.asarray(labels, dtype=np.int64)).to(device)
        layer = empty_linear(width, classes)
        set_random((layer,), generator)
        self.layer = layer.to(device)

    def __call__(self, embeddings: Tensor, batch: Batch, rng: np.random.Generator) -> LossValue:
        """See `Objective`; an image is valid if its class is known."""
        labels = self._labels[_on(embeddings, batch.rows)]
        logits = self.layer(LENGTH * embeddings)
        value = functional.cross_entropy(logits, labels, ignore_index=-1)
        return LossValue(value, int((labels >= 0).sum()))

    def parameters(self) -> list[nn.Parameter]:
        """Those of the layer of classes."""
        return list(self.layer.parameters())


def _on(like: Tensor, values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(like.device)
