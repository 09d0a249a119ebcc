"""Retrains the backbone itself on pairs whose relation is known.

Takes decoded training images, their frozen features and known pairs, gives a backbone that puts
similar images close. A head learns first on the frozen features, then both together learn from
random views of the images, by the same objective as the head alone. Held-out answers are looked at
again and again: the best backbone stays, and where none is better than the frozen one, that does.

A step depends on seed and step alone, so that a training that was interrupted goes on exactly.

Source: ANNEAL, section on training; learning the head first as Kumar et al. 2022, "Fine-Tuning can
Distort Pretrained Features and Underperform Out-of-Distribution".
"""

import hashlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from domain.arrays import FloatArray
from domain.config import TrainingSettings
from domain.errors import Cancelled, InputError, JobError
from domain.jobs import Progress, part_of, silent
from training.backbones import Backbone, backbone_sha256
from training.crops import ViewSettings, random_views
from training.fitting import Fitting, one_thread
from training.guesses import Guesses, Guessing
from training.head import HeadModule
from training.judges import Judges
from training.loss_objectives import new_objective
from training.losses.multistage import multistage_backward
from training.losses.relevance import LossValue
from training.network import EmbeddingNetwork, adam, half_precision
from training.network_state import Course, Learners, keep, resume
from training.normalisation import measured_features
from training.objectives import Objective, PairObjective
from training.pixels import Pixels, ahead
from training.rotations import turned_at_random
from training.samplers import Batch, Batches
from training.selection import SelectionSet
from training.trainer import KnownPairs, held_out, missing_kind

KEEP_EVERY_S = 60.0
# Of the features' scales to the median one: what a network hardly ever says would else be blown up
# a thousandfold, and say anything once the network changes (eight kinds of UC Merced at 64 px,
# AUC in 24 steps: 0.861 to 0.882 by way of 0.79 without this bound, 0.857 to 0.912 with it).
LEAST_SCALE = 0.5
_STREAM = 3  # of random numbers, beside those of heads
_WARM_UP_SHARE = 0.05  # of the steps, in which the learning rate rises


@dataclass(frozen=True)
class Retrained:
    """What came of retraining a backbone.

    Attributes:
        backbone: the best, in evaluation mode; the one given where none was better, with statistics
            where it had none.
        head: that was trained with it.
        history: one mapping a look at the selection set: step, loss, selection_auc.
        start, best: ROC-AUC on the selection set before, and of this backbone; None without one.
        pairs: how many held-out pairs that is.
        images_trained: that went through the network to learn, in this attempt.
        note: why nothing was learnt, in words; empty where something was.
    """

    backbone: Backbone
    head: HeadModule | None
    history: list[dict[str, float]]
    start: float | None = None
    best: float | None = None
    pairs: int = 0
    images_trained: int = 0
    note: str = ""

    @property
    def is_better(self) -> bool:
        """Whether the backbone is another than the one given."""
        return not self.note


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


def retrain_backbone(
    backbone: Backbone,
    pixels: Pixels,
    features: FloatArray,
    known: KnownPairs,
    settings: TrainingSettings,
    *,
    seed: int,
    device: torch.device,
    turned: bool = True,
    objective: Objective | None = None,
    guessing: Guessing | None = None,
    state: Path | None = None,
    progress: Progress = silent,
) -> Retrained:
    """A backbone that tells known similar pairs from dissimilar ones.

    Args:
        backbone: where it starts; is changed and moved to the device. Normalisations that have no
            statistics are measured first, on these images.
        pixels: of the N training images.
        features: [N, D] their features by this backbone, of the single view.
        known: pairs of their rows.
        settings: see there; `settings.full` is what concerns the backbone.
        seed: on one kind of device, with as many threads, the same seed gives the same backbone.
        device: where to train.
        turned: whether images may be turned by right angles: up has no meaning in them.
        objective: what is learnt; None: what `settings.full.loss` names.
        guessing: what is guessed of pairs that are not known; None: nothing.
        state: file in which the training is kept while it lasts, and found again.
        progress: told step and quality; may raise `Cancelled`, the state is kept then.

    Raises:
        InputError: pixels, features and pairs are of different images.
        JobError: the loss is no longer a number.
    """
    if len(pixels) != len(features):
        raise InputError(f"{len(pixels)} images have features of {len(features)}.")
    missing = missing_kind(known)
    selection = None if missing else held_out(known, seed)
    if selection is None:
        few = "Too few answers to judge a retrained backbone by; it stays as it is."
        return Retrained(backbone, None, [], note=missing or few)
    measuring, fit = part_of(progress, 0.0, 0.01), part_of(progress, 0.01, 0.02)
    features = measured_features(backbone, pixels, features, device=device, progress=measuring)
    fitting = Fitting(features, settings, seed, device, least_scale=LEAST_SCALE)
    known = known.only(~selection.held_out)
    unanswered = np.isin(np.arange(len(features)), selection.images)
    guesses = None if guessing is None else guessing(unanswered)
    batches = known.batches(fitting.neighbours, guesses)
    wanted = PairObjective(settings)
    with one_thread():
        head = fitting.fit(batches, wanted, settings.fewest_steps, fit)
    try:
        learnt = objective or new_objective(
            settings, known, head.embed(features), guesses=guesses, seed=seed, device=device
        )
    except InputError as error:
        return Retrained(backbone, None, [], note=f"{error.message} The backbone stays as it is.")
    lesson = Lesson(pixels, fitting, batches, learnt, selection, turned)
    fingerprint = _fingerprint(backbone, known, guesses, lesson)
    half = half_precision(settings.full, device)
    network = EmbeddingNetwork(backbone, head.module, half=half).to(device)
    training = _NetworkTraining(network, lesson, _step_count(known, settings))
    course = training.run(state, fingerprint, part_of(progress, 0.02, 1.0))
    found = _best(network, course, len(selection.pairs))
    return replace(found, images_trained=training.images)


class _NetworkTraining:
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
            for loss in self._losses(course):
                self._tell(course, progress)
                if course.step % self._settings.full.evaluate_every == 0 or self._is_last(course):
                    self._look(course, loss)
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

    def _losses(self, course: Course) -> Iterator[Tensor]:
        """The loss of each step that is left, after the step."""
        if course.looks_since > self._settings.full.patience:
            return
        left = range(course.step + 1, self._steps + 1)
        for step, (batch, pixels) in ahead(self._load, left):
            loss = self._step(step, batch, pixels)
            course.step = step
            self.images += len(batch.rows)
            yield loss

    def _load(self, step: int) -> tuple[Batch, Tensor]:
        full = self._settings.full
        batch = self._lesson.batches.draw(
            self._rng(step), anchors=full.batch_anchors, others=full.batch_others
        )
        return batch, self._lesson.pixels.of(batch.rows)

    def _step(self, step: int, batch: Batch, pixels: Tensor) -> Tensor:
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
        loss = self._backward(images, batch, self._rng(step, 2))
        optimiser.step()
        return loss

    def _backward(self, images: Tensor, batch: Batch, rng: np.random.Generator) -> Tensor:
        """The loss without a graph; its gradient is added to the parameters'."""
        lesson, chunk_rows = self._lesson, self._settings.full.chunk_images

        def loss_of(embeddings: Tensor) -> LossValue:
            value = lesson.fitting.loss(embeddings, lesson.objective, batch, rng)
            return LossValue(value, len(embeddings))

        if chunk_rows:
            return multistage_backward(self._network, images, loss_of, chunk_rows=chunk_rows).value
        loss = loss_of(self._network(images)).value
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _look(self, course: Course, loss: Tensor | None) -> None:
        """How well the selection set is told apart now."""
        if loss is not None and not bool(torch.isfinite(loss)):
            raise JobError(
                f"The loss became {float(loss)} at step {course.step}.",
                "Lower training.full.backbone_learning_rate in project.toml and train again.",
            )
        auc = self._judges.auc(self._network)
        line = {"step": float(course.step), "selection_auc": auc}
        course.history.append(line if loss is None else {**line, "loss": float(loss)})
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

    def _is_last(self, course: Course) -> bool:
        return course.step == self._steps

    def _rng(self, step: int, use: int = 0) -> np.random.Generator:
        return np.random.default_rng((self._seed, _STREAM, step, use))


def _best(network: EmbeddingNetwork, course: Course, pairs: int) -> Retrained:
    network.load_state_dict(course.best_network)
    network.eval()
    note = ""
    if course.best_step == 0:
        note = (
            f"No retrained backbone told {pairs} held-out pairs apart better than before (AUC "
            f"{course.start:.3f}); it stays as it is."
        )
    return Retrained(
        network.backbone,
        network.head,
        course.history,
        start=course.start,
        best=course.best,
        pairs=pairs,
        note=note,
    )


def _schedule(step: int, steps: int) -> float:
    """The share of the learning rate at a step, 1…steps: rising, then falling as a cosine."""
    rising = max(1, round(_WARM_UP_SHARE * steps))
    if step <= rising:
        return step / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising + 1)))


def _step_count(known: KnownPairs, settings: TrainingSettings) -> int:
    full = settings.full
    steps = full.epochs * int(known.similar.sum()) // full.batch_anchors
    return min(max(steps, full.fewest_steps), full.most_steps)


def _fingerprint(
    backbone: Backbone, known: KnownPairs, guesses: Guesses | None, lesson: Lesson
) -> str:
    """Of all that decides how a training goes."""
    fitting = lesson.fitting
    digest = hashlib.sha256(backbone_sha256(backbone).encode())
    digest.update(f"{fitting.settings.model_dump_json()} {fitting.seed} {lesson.turned}".encode())
    wanted = lesson.objective
    named = repr(wanted) if is_dataclass(wanted) else type(wanted).__qualname__
    digest.update(f"{fitting.device.type} {lesson.pixels.size_px} {named}".encode())
    digest.update(b"" if guesses is None else guesses.digest.encode())
    for values in (known.rows, known.similar, known.weights):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
