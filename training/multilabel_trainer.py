"""Trains a head on images that have several labels each, and counts the triplets it takes.

Takes frozen features with label sets, gives a head, and what its scores were on the way. A batch is
any images; how similar two of them are is the cosine of their label sets.

Source: DAS-RHDIS, experimental set-up: embedding after the network, Adam decayed by 5 % every five
epochs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from domain.arrays import BoolArray, FloatArray
from domain.config import TrainingSettings
from domain.errors import InputError, JobError
from domain.jobs import Progress, silent
from training.fitting import one_thread
from training.head import TrainedHead, check_features, fitted_standardise, new_projection
from training.losses.relevance import LossValue, RelevanceLoss
from training.losses.representative import RepresentativeTriplets
from training.losses.triplet_selection import label_similarity, triplets_until

_DECAY, _DECAY_EPOCHS = 0.95, 5

Score = Callable[[TrainedHead], float]
"""How good a head is, higher is better; for the curve, it decides nothing."""


@dataclass(frozen=True)
class MultilabelSettings:
    """How a head learns from label sets.

    Attributes:
        out: length of an embedding; 1024 is best in the paper.
        hidden: units of the layer before it.
        epochs, batch_images, learning_rate: the paper's, for UC Merced.
        score_epochs: epochs between two looks at the score.
    """

    out: int = 1024
    hidden: int = 512
    epochs: int = 100
    batch_images: int = 100
    learning_rate: float = 1e-3
    score_epochs: int = 1


@dataclass(frozen=True)
class MultilabelTraining:
    """What came of a training.

    Attributes:
        head: after the last epoch.
        triplets: seen up to each look; all 0 for a loss that chooses none.
        scores: at each look, the last after the last epoch.
    """

    head: TrainedHead
    triplets: list[int]
    scores: list[float]

    def triplets_until(self, share: float = 0.9, *, above: float = 0.0) -> int | None:
        """How many triplets it took to a share of the last score, of what it is above another."""
        gains = [score - above for score in self.scores]
        return triplets_until(self.triplets, gains, share=share)


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
    if len(labels) != len(features) or len(features) < 2:
        raise InputError(
            f"{len(features)} images have labels of {len(labels)}; two images or more with labels "
            "are needed.",
            "Pass the labels in the order of the images.",
        )
    with one_thread():
        return _Training(features, labels, loss, settings, seed, device).run(score, progress)


class _Training:
    """A head on its way."""

    def __init__(
        self,
        features: FloatArray,
        labels: BoolArray,
        loss: RelevanceLoss,
        settings: MultilabelSettings,
        seed: int,
        device: torch.device,
    ) -> None:
        self._loss, self._settings, self._rng = loss, settings, np.random.default_rng(seed)
        standardise = fitted_standardise(features).to(device)
        rows = np.ascontiguousarray(features, dtype=np.float32)
        with torch.no_grad():
            self._inputs = standardise(torch.from_numpy(rows).to(device))
        self._labels = torch.from_numpy(np.asarray(labels)).to(device)
        widths = TrainingSettings(hidden=settings.hidden, out=settings.out)
        generator = torch.Generator().manual_seed(seed)
        self._module = new_projection(standardise, widths, generator=generator).to(device)

    def run(self, score: Score, progress: Progress) -> MultilabelTraining:
        settings, seen = self._settings, 0
        optimiser = torch.optim.Adam(self._module.parameters(), lr=settings.learning_rate)
        schedule = torch.optim.lr_scheduler.StepLR(optimiser, _DECAY_EPOCHS, _DECAY)
        triplets, scores = [], []
        for epoch in range(1, settings.epochs + 1):
            for rows in self._batches():
                found, count = self._loss_of(rows)
                seen += count
                optimiser.zero_grad()
                found.value.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            schedule.step()
            progress(epoch / settings.epochs, f"epoch {epoch} of {settings.epochs}")
            if epoch % settings.score_epochs == 0 or epoch == settings.epochs:
                _check_finite(found, epoch)
                triplets.append(seen)
                scores.append(score(TrainedHead(self._module.eval())))
                self._module.train()
        return MultilabelTraining(TrainedHead(self._module.eval()), triplets, scores)

    def _batches(self) -> list[torch.Tensor]:
        """Rows of all images in a new order; a single one that is left over is left out."""
        order = torch.from_numpy(self._rng.permutation(len(self._inputs)))
        return [rows for rows in torch.split(order, self._settings.batch_images) if len(rows) > 1]

    def _loss_of(self, rows: torch.Tensor) -> tuple[LossValue, int]:
        """The loss of images, and how many triplets it is of."""
        rows = rows.to(self._inputs.device)
        embeddings = self._module.project(self._inputs[rows])
        graded = label_similarity(self._labels[rows])
        if isinstance(self._loss, RepresentativeTriplets):
            chosen = self._loss.select(embeddings, graded)
            return self._loss.of(embeddings, chosen), chosen.count
        return self._loss(embeddings, (graded > 0).to(embeddings)), 0


def _check_finite(found: LossValue, epoch: int) -> None:
    if not bool(torch.isfinite(found.value)):
        raise JobError(f"The loss became {float(found.value.detach())} in epoch {epoch}.", "")
