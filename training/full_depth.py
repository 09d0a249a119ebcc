"""Retrains the backbone itself on pairs whose relation is known.

Takes decoded training images, their frozen features and known pairs, gives a backbone that puts
similar images close. A head learns first on the frozen features, then both together learn from
random views of the images, by the same objective as the head alone (`training.network_training`).
Held-out answers are looked at again and again: the best backbone stays, and where none is better
than the one given, that does.

Source: ANNEAL, section on training; learning the head first as Kumar et al. 2022, "Fine-Tuning can
Distort Pretrained Features and Underperform Out-of-Distribution".
"""

import hashlib
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path

import numpy as np
import torch

from domain.arrays import FloatArray, IntArray
from domain.config import TrainingSettings
from domain.errors import InputError
from domain.jobs import Progress, part_of, silent
from training.backbones import Backbone, backbone_sha256
from training.fitting import Fitting, one_thread
from training.guesses import Guesses, Guessing
from training.head import HeadModule
from training.loss_objectives import NewObjective, settings_objective
from training.network import EmbeddingNetwork
from training.network_state import Course
from training.network_training import Lesson, NetworkTraining
from training.normalisation import measured_features
from training.objectives import PairObjective
from training.pixels import Pixels
from training.trainer import KnownPairs, held_out, missing_kind

# Of the features' scales to the median one: what a network hardly ever says would else be blown up
# a thousandfold, and say anything once the network changes (eight kinds of UC Merced at 64 px,
# AUC in 24 steps: 0.861 to 0.882 by way of 0.79 without this bound, 0.857 to 0.912 with it).
LEAST_SCALE = 0.5


@dataclass(frozen=True)
class Retrained:
    """What came of retraining a backbone.

    Attributes:
        backbone: the best, in evaluation mode; the one given where none was better, with statistics
            where it had none.
        head: that was trained with it.
        history: one mapping a look at the selection set: step, selection_auc, and of the last step
            before it the loss, and the share of a batch's images that it spoke of.
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
class Further:
    """How a backbone that may have learnt from answers goes on.

    Attributes:
        objective: makes what is learnt.
        among: rows of the images that it has learnt no answer about, which alone can be held out to
            judge by; None: any.
    """

    objective: NewObjective
    among: IntArray | None = None


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
    further: Further | None = None,
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
        further: how a backbone goes on learning; None: with what `settings.full.loss` names, judged
            by any images.
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
    among = None if further is None else further.among
    selection = None if missing else held_out(known, seed, among=among)
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
    new = settings_objective(settings, seed=seed, device=device, turned=turned)
    if further is not None:
        new = further.objective
    pairs = PairObjective(settings)
    with one_thread():
        head = fitting.fit(batches, pairs, settings.fewest_steps, fit)
    try:
        learnt = new(known, head.embed(features), guesses)
    except InputError as error:
        return Retrained(backbone, None, [], note=f"{error.message} The backbone stays as it is.")
    lesson = Lesson(pixels, fitting, batches, learnt, selection, turned)
    fingerprint = _fingerprint(backbone, known, guesses, lesson)
    half = settings.full.in_bfloat16(device.type)
    network = EmbeddingNetwork(backbone, head.module, half=half).to(device)
    training = NetworkTraining(network, lesson, _step_count(known, settings))
    course = training.run(state, fingerprint, part_of(progress, 0.02, 1.0))
    found = _best(network, course, len(selection.pairs))
    return replace(found, images_trained=training.images)


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
