"""Trains on images that have several labels each, and counts the triplets it takes.

Takes frozen features with label sets, gives a head, and what its scores were on the way. A batch is
any images; how similar two of them are is the cosine of their label sets. Whole networks learn in
the same way (`training.multilabel_network`).

Source: DAS-RHDIS, experimental set-up: embedding after the network, Adam decayed by 5 % every five
epochs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from domain.arrays import BoolArray, FloatArray, IntArray
from domain.config import TrainingSettings
from domain.errors import InputError, JobError
from domain.jobs import Progress, silent
from training.fitting import one_thread
from training.head import TrainedHead, check_features, fitted_standardise, new_projection
from training.losses.multistage import Loss
from training.losses.relevance import LossValue, RelevanceLoss
from training.losses.representative import RepresentativeTriplets
from training.losses.triplet_selection import label_similarity, triplets_until

_DECAY, _DECAY_EPOCHS = 0.95, 5

Score = Callable[[TrainedHead], float]
"""How good a head is, higher is better; for the curve, it decides nothing."""


@dataclass(frozen=True)
class MultilabelSettings:
    """How images with label sets are learnt from.

    Attributes:
        out: length of an embedding; 1024 is best in the paper.
        hidden: units of the layer before it.
        epochs, batch_images, learning_rate: the paper's, for UC Merced; whole networks have
            learning rates of their own.
        score_epochs: epochs between two looks at the score.
    """

    out: int = 1024
    hidden: int = 512
    epochs: int = 100
    batch_images: int = 100
    learning_rate: float = 1e-3
    score_epochs: int = 1


@dataclass(frozen=True)
class MultilabelCourse:
    """How a training went.

    Attributes:
        triplets: seen up to each look; all 0 for a loss that chooses none.
        scores: at each look, the last after the last epoch.
    """

    triplets: list[int]
    scores: list[float]

    def triplets_until(self, share: float = 0.9, *, above: float = 0.0) -> int | None:
        """How many triplets it took to a share of the last score, of what it is above another."""
        gains = [score - above for score in self.scores]
        return triplets_until(self.triplets, gains, share=share)


@dataclass(frozen=True)
class MultilabelTraining:
    """What came of a training.

    Attributes:
        head: after the last epoch.
        course: see there.
    """

    head: TrainedHead
    course: MultilabelCourse


class Learner(Protocol):
    """What learns to embed images, which it knows by row."""

    def optimiser(self) -> torch.optim.Optimizer:
        """Of everything that learns."""

    def backward(self, rows: IntArray, loss: Loss) -> LossValue:
        """The loss of images without a graph; its gradient is added to that of what learns."""


def train_multilabel_head(
    features: FloatArray,
    labels: BoolArray,
    loss: RelevanceLoss,
    settings: MultilabelSettings,
    *,
    score: Score,
    seed: int,
    device: torch.device,
    progress: Progress = silent,
) -> MultilabelTraining:
    """A head that brings images with common labels together.

    Args:
        features: [N, D] frozen features of the training images only.
        labels: [N, L] whether an image has a label.
        loss: `RepresentativeTriplets` reads graded similarities; any other is told that two
            images are similar if they share a label.
        settings: see there.
        score: of the head on the way.
        seed: on one kind of device the same seed gives the same head.
        device: where to train.
        progress: told the epoch; may raise `Cancelled`.

    Raises:
        InputError: labels of other images than the features, or fewer images than two.
        JobError: the loss is no longer a number.
    """
    check_features(features, width=features.shape[-1])
    with one_thread():
        learner = _HeadLearner(features, settings, seed, device)
        course = learn_labels(
            learner,
            labels,
            loss,
            settings,
            score=lambda: score(learner.head()),
            images=len(features),
            seed=seed,
            progress=progress,
        )
        return MultilabelTraining(learner.head(), course)


def learn_labels(
    learner: Learner,
    labels: BoolArray,
    loss: RelevanceLoss,
    settings: MultilabelSettings,
    *,
    score: Callable[[], float],
    images: int,
    seed: int,
    progress: Progress,
) -> MultilabelCourse:
    """What the scores were, and how many triplets it took; the learner is another afterwards.

    Args:
        learner: knows images 0…N-1.
        labels: [N, L] whether an image has a label.
        loss: see `train_multilabel_head`.
        settings: see there.
        score: of the learner as it is.
        images: N.
        seed: of the batches.
        progress: told the epoch; may raise `Cancelled`.

    Raises:
        InputError: labels of other images, or fewer images than two.
        JobError: the loss is no longer a number.
    """
    if len(labels) != images or images < 2:
        raise InputError(
            f"{images} images have labels of {len(labels)}; two images or more with labels are "
            "needed.",
            "Pass the labels in the order of the images.",
        )
    if settings.batch_images < 2:
        raise InputError(
            f"A batch of {settings.batch_images} image has nothing to compare.",
            "Take 2 or more; the paper takes 100.",
        )
    rng, seen = np.random.default_rng(seed), 0
    optimiser = learner.optimiser()
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, _DECAY_EPOCHS, _DECAY)
    triplets, scores = [], []
    for epoch in range(1, settings.epochs + 1):
        for rows in _batches(images, settings.batch_images, rng):
            counted = _Counted(loss, torch.from_numpy(np.asarray(labels[rows])))
            optimiser.zero_grad()
            found = learner.backward(rows, counted)
            if found.valid_anchors:
                optimiser.step()
            seen += counted.triplets
        schedule.step()
        progress(epoch / settings.epochs, f"epoch {epoch} of {settings.epochs}")
        if epoch % settings.score_epochs == 0 or epoch == settings.epochs:
            _check_finite(found, epoch)
            triplets.append(seen)
            scores.append(score())
    return MultilabelCourse(triplets, scores)


class _HeadLearner:
    """A head on frozen features."""

    def __init__(
        self, features: FloatArray, settings: MultilabelSettings, seed: int, device: torch.device
    ) -> None:
        standardise = fitted_standardise(features).to(device)
        rows = np.ascontiguousarray(features, dtype=np.float32)
        with torch.no_grad():
            self._inputs = standardise(torch.from_numpy(rows).to(device))
        widths = TrainingSettings(hidden=settings.hidden, out=settings.out)
        generator = torch.Generator().manual_seed(seed)
        self._module = new_projection(standardise, widths, generator=generator).to(device)
        self._rate = settings.learning_rate

    def head(self) -> TrainedHead:
        """As it is now; it learns on."""
        return TrainedHead(self._module.eval())

    def optimiser(self) -> torch.optim.Optimizer:
        """See `Learner`."""
        return torch.optim.Adam(self._module.parameters(), lr=self._rate)

    def backward(self, rows: IntArray, loss: Loss) -> LossValue:
        """See `Learner`."""
        found = loss(self._module.project(self._inputs[torch.from_numpy(rows)]))
        found.value.backward()  # type: ignore[no-untyped-call]
        return LossValue(found.value.detach(), found.valid_anchors)


class _Counted:
    """The loss of a batch by its labels, and how many triplets it is of."""

    def __init__(self, loss: RelevanceLoss, labels: Tensor) -> None:
        self._loss, self._labels = loss, labels
        self.triplets = 0

    def __call__(self, embeddings: Tensor) -> LossValue:
        graded = label_similarity(self._labels.to(embeddings.device))
        if isinstance(self._loss, RepresentativeTriplets):
            chosen = self._loss.select(embeddings, graded)
            self.triplets = chosen.count
            return self._loss.of(embeddings, chosen)
        return self._loss(embeddings, (graded > 0).to(embeddings))


def _batches(images: int, size: int, rng: np.random.Generator) -> list[IntArray]:
    """Rows of all images in a new order; a single one that is left over is left out."""
    order = rng.permutation(images)
    batches = (order[start : start + size] for start in range(0, images, size))
    return [rows for rows in batches if len(rows) > 1]


def _check_finite(found: LossValue, epoch: int) -> None:
    if not bool(torch.isfinite(found.value)):
        raise JobError(f"The loss became {float(found.value)} in epoch {epoch}.", "")
