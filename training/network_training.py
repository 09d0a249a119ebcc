"""A network on its way: steps on batches of views, looks at the selection set, the best so far.

A step depends on seed and step alone, so that a training that was interrupted goes on exactly. What
goes into a training, and what comes of it: `training.full_depth`.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from domain.errors import Cancelled, JobError
from domain.jobs import Progress
from training.crops import ViewSettings, random_views
from training.fitting import Fitting
from training.judges import Judges
from training.losses.multistage import multistage_backward
from training.losses.relevance import LossValue
from training.network import EmbeddingNetwork, adam
from training.network_state import Course, Learners, keep, resume
from training.objectives import Objective
from training.pixels import Pixels, ahead
from training.rotations import turned_at_random
from training.samplers import Batch, Batches
from training.selection import SelectionSet

KEEP_EVERY_S = 60.0
_STREAM = 3  # of random numbers, beside those of heads
_WARM_UP_SHARE = 0.05  # of the steps, in which the learning rate rises


@dataclass(frozen=True)
class Lesson:
    """What a network learns from.

    Attributes:
        fitting: the frozen features, whose structure is kept where nothing is known.
        selection: what it is judged by and does not learn from.
        turned: whether images are turned by right angles.
    """

    pixels: Pixels
    fitting: Fitting
    batches: Batches
    objective: Objective
    selection: SelectionSet
    turned: bool


@dataclass(frozen=True)
class _Taught:
    """What came of a step: its loss, and the share of the batch's images that it spoke of."""

    loss: Tensor
    valid_share: float


class NetworkTraining:
    """A network on its way.

    Attributes:
        images: that went through it to learn.
    """

    def __init__(self, network: EmbeddingNetwork, lesson: Lesson, steps: int) -> None:
        self._network, self._lesson, self._steps = network, lesson, steps
        self.images = 0
        fitting = lesson.fitting
        self._settings, self._seed, self._device = fitting.settings, fitting.seed, fitting.device
        beside = lesson.objective.parameters()
        optimiser = adam(network, beside, self._settings.full)
        self._rates = [group["lr"] for group in optimiser.param_groups]
        self._learners = Learners(network, beside, optimiser)
        self._judges = Judges(lesson.selection, lesson.pixels, self._device, self._seed)
        self._views = ViewSettings.at_full_depth(
            self._settings.full, size_px=lesson.pixels.size_px, turned=lesson.turned
        )

    def run(self, state: Path | None, inputs: str, progress: Progress) -> Course:
        """Go on from the state, if there is one, to the last step or the end of patience."""
        course = None if state is None else resume(state, self._learners, inputs=inputs)
        if course is None:
            course = Course()
            self._look(course, None)
        kept = time.monotonic()
        try:
            for taught in self._steps_left(course):
                try:
                    self._tell(course, progress)
                finally:  # a step that is kept is kept with its look
                    if self._is_due(course):
                        self._look(course, taught)
                if course.looks_since > self._settings.full.patience:
                    break
                if state is not None and time.monotonic() - kept > KEEP_EVERY_S:
                    keep(state, self._learners, course, inputs=inputs)
                    kept = time.monotonic()
        except Cancelled:
            if state is not None:
                keep(state, self._learners, course, inputs=inputs)
            raise
        if state is not None:
            keep(state, self._learners, course, inputs=inputs)
        return course

    def _steps_left(self, course: Course) -> Iterator[_Taught]:
        """Each step that is left, done."""
        if course.looks_since > self._settings.full.patience:
            return
        left = range(course.step + 1, self._steps + 1)
        for step, (batch, pixels) in ahead(self._load, left):
            taught = self._step(step, batch, pixels)
            course.step = step
            self.images += len(batch.rows)
            yield taught

    def _load(self, step: int) -> tuple[Batch, Tensor]:
        full = self._settings.full
        batch = self._lesson.batches.draw(
            self._rng(step), anchors=full.batch_anchors, others=full.batch_others
        )
        return batch, self._lesson.pixels.of(batch.rows)

    def _step(self, step: int, batch: Batch, pixels: Tensor) -> _Taught:
        self._network.learn(batch_norm=self._settings.full.batch_norm)
        generator = torch.Generator().manual_seed(int(self._rng(step, 1).integers(1 << 62)))
        bands = self._network.backbone.bands
        shown = pixels.to(self._device, non_blocking=True)
        images = random_views(shown, self._views, generator, bands=bands)
        if self._lesson.objective.wants_turned and self._lesson.turned:
            images = torch.cat([images, turned_at_random(images, generator)])
        optimiser = self._learners.optimiser
        for group, rate in zip(optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * _schedule(step, self._steps)
        optimiser.zero_grad()
        found = self._backward(images, batch, self._rng(step, 2))
        if found.valid_anchors:
            optimiser.step()
        return _Taught(found.value, found.valid_anchors / len(batch.rows))

    def _backward(self, images: Tensor, batch: Batch, rng: np.random.Generator) -> LossValue:
        """The loss without a graph; its gradient is added to the parameters'."""
        lesson, chunk_rows = self._lesson, self._settings.full.chunk_images

        def loss_of(embeddings: Tensor) -> LossValue:
            return lesson.fitting.loss(embeddings, lesson.objective, batch, rng)

        if chunk_rows:
            return multistage_backward(self._network, images, loss_of, chunk_rows=chunk_rows)
        found = loss_of(self._network(images))
        found.value.backward()  # type: ignore[no-untyped-call]
        return LossValue(found.value.detach(), found.valid_anchors)

    def _look(self, course: Course, taught: _Taught | None) -> None:
        """How well the selection set is told apart now."""
        line = {"step": float(course.step)} if taught is None else _line(course.step, taught)
        auc = self._judges.auc(self._network)
        course.history.append({**line, "selection_auc": auc})
        course.looks_since += 1
        if course.step == 0:
            course.start = auc
        if auc > course.best:
            course.best, course.best_step, course.looks_since = auc, course.step, 0
            state = self._network.state_dict()
            course.best_network = {name: value.cpu().clone() for name, value in state.items()}

    def _tell(self, course: Course, progress: Progress) -> None:
        loss = course.history[-1].get("loss")  # of the last look: to read each would wait for a GPU
        words = f"retraining the backbone, step {course.step} of {self._steps}"
        learnt = "" if loss is None else f", loss {loss:.4f}"
        quality = f"held-out AUC {course.best:.3f} at best"
        progress(course.step / self._steps, f"{words}{learnt}, {quality}")

    def _is_due(self, course: Course) -> bool:
        """Whether the selection set is looked at after this step."""
        return course.step % self._settings.full.evaluate_every == 0 or course.step == self._steps

    def _rng(self, step: int, use: int = 0) -> np.random.Generator:
        return np.random.default_rng((self._seed, _STREAM, step, use))


def _line(step: int, taught: _Taught) -> dict[str, float]:
    loss = float(taught.loss)
    if not math.isfinite(loss):
        raise JobError(
            f"The loss became {loss} at step {step}.",
            "Lower training.full.backbone_learning_rate in project.toml and train again.",
        )
    return {"step": float(step), "loss": loss, "valid_anchors": taught.valid_share}


def _schedule(step: int, steps: int) -> float:
    """The share of the learning rate at a step, 1…steps: rising, then falling as a cosine."""
    rising = max(1, round(_WARM_UP_SHARE * steps))
    if step <= rising:
        return step / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising + 1)))
