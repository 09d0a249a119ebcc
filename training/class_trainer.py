"""Trains heads on class labels: the compared class-label active learning, and the upper bound.

Nobody who uses the app has class labels; simulations have them in the names of folders.

Source: ANNEAL, section on the compared methods.
"""

from dataclasses import dataclass

import numpy as np
import torch

from domain.arrays import FloatArray, IntArray
from domain.config import TrainingSettings
from domain.errors import InputError
from domain.jobs import Progress, silent
from training.fitting import Fitting, one_thread
from training.head import TrainedHead, check_features
from training.objectives import LENGTH, ClassObjective, PairObjective
from training.samplers import ClassBatches

_PARTNERS = 4  # of each kind of each image and epoch


@dataclass(frozen=True)
class ClassHead:
    """A head and the layer of classes on it.

    Attributes:
        head: embeds images.
        weight: [C, out] and bias: [C] of the layer, which reads the embeddings times `LENGTH`.
    """

    head: TrainedHead
    weight: FloatArray
    bias: FloatArray

    def probabilities(self, features: FloatArray) -> FloatArray:
        """[N, C] softmax over the classes of images with features [N, D]."""
        logits = LENGTH * self.head.embed(features) @ self.weight.T + self.bias
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


def train_class_head(
    features: FloatArray,
    labels: IntArray,
    classes: int,
    settings: TrainingSettings,
    *,
    seed: int,
    device: torch.device,
    progress: Progress = silent,
) -> ClassHead:
    """A head and a layer of classes that predict the known classes.

    Args:
        features: [N, D] frozen features of the training images only.
        labels: [N] class 0…C-1 of each, -1 where it is unknown.
        classes: C.
        settings: of heads.
        seed: on one kind of device the same seed gives the same head.
        device: where to train.
        progress: told the step and the loss; may raise `Cancelled`.

    Raises:
        InputError: shapes do not fit, a label is outside -1…C-1, fewer than two known classes.
        JobError: the loss is no longer a number.

    Source: ANNEAL, the compared CAL: softmax head on the projection, cross-entropy.
    """
    labels = _checked(features, labels, classes)
    with one_thread():
        fitting = Fitting(features, settings, seed, device)
        generator = torch.Generator().manual_seed(seed + 1)
        objective = ClassObjective(
            labels, classes, settings.out, generator=generator, device=device
        )
        batches = ClassBatches(labels, neighbours=fitting.neighbours)
        head = fitting.fit(batches, objective, settings.most_steps, progress)
    layer = objective.layer
    return ClassHead(head, layer.weight.detach().cpu().numpy(), layer.bias.detach().cpu().numpy())


def train_on_all_relations(
    features: FloatArray,
    labels: IntArray,
    settings: TrainingSettings,
    *,
    seed: int,
    device: torch.device,
    progress: Progress = silent,
) -> TrainedHead:
    """The upper bound: a head trained like any other, on relations drawn from all there are.

    An epoch has four similar and four dissimilar partners of every image. With all relations
    between its images a batch would know everything, and nothing would keep the structure of the
    frozen features, which costs several points of mAP@5.

    Args:
        features: [N, D] frozen features of the training images.
        labels: [N] class of each; two images of one class are similar.
        settings, seed, device, progress: as for `train_class_head`.

    Raises:
        InputError: shapes do not fit, or fewer than two classes.
        JobError: the loss is no longer a number.

    Source: ANNEAL, the upper bound that trains on the entire training set.
    """
    labels = _checked(features, labels, int(np.max(labels, initial=0)) + 1)
    with one_thread():
        fitting = Fitting(features, settings, seed, device)
        batches = ClassBatches(labels, neighbours=fitting.neighbours, only_drawn=True)
        anchors = settings.epochs * _PARTNERS * len(labels)
        steps = max(anchors // settings.batch_anchors, settings.fewest_steps)
        return fitting.fit(batches, PairObjective(settings), steps, progress)


def _checked(features: FloatArray, labels: IntArray, classes: int) -> IntArray:
    check_features(features, width=features.shape[-1])
    labels = np.asarray(labels, dtype=np.int64)
    if labels.shape != (len(features),):
        raise InputError(
            f"{len(features)} images have labels of shape {labels.shape}; one each is needed.",
            "Pass them in the order of the images, -1 for unknown.",
        )
    if len(labels) and not (labels.min() >= -1 and labels.max() < classes):
        raise InputError(
            f"Labels go from {labels.min()} to {labels.max()}; with {classes} classes they must "
            f"lie in -1…{classes - 1}.",
            "Number the classes from 0.",
        )
    return labels
