"""Fits heads to what is known of the training images, one objective after another.

Whatever the objective, the cosines of the frozen features are kept where nothing is known, and
images that are each other's nearest come a little closer.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from domain.arrays import FloatArray
from domain.config import TrainingSettings
from domain.errors import JobError
from domain.jobs import Progress
from training.head import TrainedHead, fitted_standardise, new_projection
from training.losses.relevance import LossValue
from training.losses.structure import neighbour_loss, structure_loss
from training.neighbours import mutual_neighbours
from training.objectives import Objective
from training.samplers import Batch, Batches

_LOG_STEPS = 20  # steps between two lines of the history


class Fitting:
    """The training images, ready to fit heads to different knowledge of them.

    Attributes:
        settings, seed: of every training.
        device: where it runs.
        neighbours: [N, N] 1 where two images are among each other's nearest.
    """

    def __init__(
        self,
        features: FloatArray,
        settings: TrainingSettings,
        seed: int,
        device: torch.device,
        *,
        least_scale: float = 0.0,
    ) -> None:
        """Frozen features [N, D] of the training images only; the seed decides all chance.

        Args:
            least_scale: see `fitted_standardise`.
        """
        self.settings, self.seed, self.device = settings, seed, device
        self._standardise = fitted_standardise(
            features, components=settings.components, least_scale=least_scale
        ).to(device)
        rows = np.ascontiguousarray(features, dtype=np.float32)
        self._inputs = self._standardise(torch.from_numpy(rows).to(device))
        self.neighbours = mutual_neighbours(self._inputs, settings.neighbours)

    def fit(
        self, batches: Batches, objective: Objective, steps: int, progress: Progress
    ) -> TrainedHead:
        """A head after so many steps; the objective has learnt its own parameters by then.

        Raises:
            JobError: the loss is no longer a number.
        """
        settings, rng = self.settings, np.random.default_rng(self.seed)
        generator = torch.Generator().manual_seed(self.seed)
        head = new_projection(self._standardise, settings, generator=generator).to(self.device)
        learnt = [*head.parameters(), *objective.parameters()]
        optimiser = torch.optim.Adam(learnt, lr=settings.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        history: list[dict[str, float]] = []
        for step in range(1, steps + 1):
            batch = batches.draw(rng, anchors=settings.batch_anchors, others=settings.batch_others)
            found = self.loss(head.project(self._inputs_of(batch)), objective, batch, rng)
            optimiser.zero_grad()
            found.value.backward()  # type: ignore[no-untyped-call]
            if found.valid_anchors:
                optimiser.step()
                schedule.step()
            if step % _LOG_STEPS == 0 or step == steps:
                history.append(_logged(step, found.value, found.valid_anchors / len(batch.rows)))
                progress(step / steps, f"step {step} of {steps}, loss {history[-1]['loss']:.4f}")
        return TrainedHead(head.eval(), history)

    def loss(
        self, embeddings: Tensor, objective: Objective, batch: Batch, rng: np.random.Generator
    ) -> LossValue:
        """The objective, the change of other cosines, and the neighbours; the objective's anchors.

        Args:
            embeddings: [B, D] of the batch's images, by whatever network; those of the same
                images turned may follow, which concern the objective alone.
            objective: see there.
            batch: of rows of the training images.
            rng: the objective's chance.
        """
        settings, frozen = self.settings, self._inputs_of(batch)
        relevance = torch.from_numpy(batch.relevance).to(self.device)
        neighbours = torch.from_numpy(batch.neighbours).to(self.device)
        found, upright = objective(embeddings, batch, rng), embeddings[: len(batch.rows)]
        loss = found.value + settings.structure_weight * structure_loss(upright, frozen, relevance)
        loss = loss + settings.neighbour_weight * neighbour_loss(upright, neighbours)
        return LossValue(loss, found.valid_anchors)

    def _inputs_of(self, batch: Batch) -> Tensor:
        inputs: Tensor = self._inputs[torch.from_numpy(batch.rows).to(self.device)]
        return inputs


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch compute on one core of the CPU meanwhile.

    A step takes milliseconds: threads gain little on an idle machine, and on a busy one their
    waiting for one another made a training 25 times slower (measured with two cores, load 5).
    One thread also gives the same head on machines with more and with fewer cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _logged(step: int, loss: Tensor, valid_share: float) -> dict[str, float]:
    value = float(loss.detach())
    if not np.isfinite(value):
        raise JobError(
            f"The loss became {value} at step {step}.",
            "Lower training.learning_rate in project.toml and train again.",
        )
    return {"step": float(step), "loss": value, "valid_anchors": valid_share}
