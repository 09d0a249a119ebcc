"""Trains the head of a checkpoint further, with any loss on relevance matrices.

Takes features of the training images, what is known of their pairs, and a head that learnt from
that; gives the head after further steps, and whether it became better. That is decided on a
tenth of the answered images, held out of both trainings: a checkpoint that never saw an answer
about them is compared with what fine-tuning makes of it, which also says after how many steps to
stop. Where nothing is known, the cosines of the checkpoint are kept, as the first training kept
those of the frozen features. What a checkpoint of groups guesses of the others may be learnt, too.

Source: the fine-tuning stage after ANNEAL's training is ours; the losses name their papers.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from domain.arrays import BoolArray, FloatArray, IntArray
from domain.config import FineTuningSettings, TrainingSettings
from domain.errors import InputError, JobError
from domain.jobs import Progress, part_of, silent
from training.checkpoint_comparison import (
    HINT,
    TOO_FEW,
    Checkpoint,
    Comparison,
    Retrain,
    Sides,
    compared,
)
from training.fitting import one_thread
from training.guesses import guesses_of
from training.head import TrainedHead, check_features
from training.loss_objectives import NewObjective
from training.losses.structure import structure_loss
from training.objectives import Objective
from training.ranking_selection import RankingGain
from training.trainer import KnownPairs, train_head

_TRIAL_SHARE = 0.6  # of the progress: the trial trains twice, and judges


@dataclass(frozen=True)
class FineTuned:
    """A fine-tuned head, and what speaks for it.

    Attributes:
        head: after `steps` further steps, trained on all that is known.
        steps: after which the trial did best.
        selection: how the trial ranked held-out images before and after; None where nobody can
            tell.
        unjudged: where that is so: why, in words without a full stop.
        untaught: why the head is the checkpoint itself, which this loss cannot teach, in words;
            empty where it could.
    """

    head: TrainedHead
    steps: int
    selection: RankingGain | None
    unjudged: str = TOO_FEW
    untaught: str = ""

    @property
    def is_better(self) -> bool:
        """Whether it should take the checkpoint's place; without a judgement it should not."""
        return self.selection is not None and self.selection.is_better


def fine_tune(
    start: TrainedHead,
    features: FloatArray,
    known: KnownPairs,
    objective: NewObjective,
    settings: FineTuningSettings,
    *,
    retrain: Retrain,
    before: Checkpoint | None = None,
    among: IntArray | None = None,
    seed: int,
    device: torch.device,
    progress: Progress = silent,
) -> FineTuned:
    """The head of a checkpoint, trained further with a loss.

    Args:
        start: the checkpoint; it stays as it is. Its soft labels say what may be guessed.
        features: [N, D] frozen features of the training images, those it was trained on.
        known: pairs of their rows whose relation is known.
        objective: makes what is learnt, and what a loss learns beside the head.
        settings: see there.
        retrain: makes the checkpoint without some images' answers, to compare fairly.
        before: what the result is compared with; None: the checkpoint itself. It differs where the
            features were made by a network that was trained further, too. Then a checkpoint that
            the loss cannot teach is compared as it is, instead of an `InputError`.
        among: rows of the images that may be held out; None: any.
        seed: on one kind of device the same seed gives the same head.
        device: where to train; the head stays there.
        progress: told the step and the loss; may raise `Cancelled`.

    Raises:
        InputError: the checkpoint has learnt nothing, one kind of pairs is not known, or the loss
            cannot learn from what is.
        JobError: the loss is no longer a number.
    """
    check_features(features, width=features.shape[-1])
    _check_learnt(start)
    _check_kinds(known)
    with one_thread():
        tuning = _Tuning(features, objective, settings, seed, device)
        own = Checkpoint(features, retrain)
        untaught = "" if before is None else tuning.refusal(start, known)
        sides = Sides(own, before or own, among)
        found = tuning.judged(start, known, sides, untaught, part_of(progress, 0.0, _TRIAL_SHARE))
        if untaught:
            return found
        rest = part_of(progress, _TRIAL_SHARE, 1.0)
        *_, last = tuning.heads(start, known, found.steps, rest)
    return replace(found, head=last)


class _Tuning:
    """Further training of heads for one archive with one loss."""

    def __init__(
        self,
        features: FloatArray,
        objective: NewObjective,
        settings: FineTuningSettings,
        seed: int,
        device: torch.device,
    ) -> None:
        self._features, self._objective, self._settings = features, objective, settings
        self._seed, self._device = seed, device

    def judged(
        self,
        start: TrainedHead,
        known: KnownPairs,
        sides: Sides,
        untaught: str,
        progress: Progress,
    ) -> FineTuned:
        """The checkpoint, after how many steps it does best, and how much better that is."""
        progress(0.0, "training without the held-out answers")
        try:
            comparison = compared(known, sides, seed=self._seed)
            if untaught:
                gain = comparison.gain(comparison.start)
                return FineTuned(start, 0, gain, untaught=untaught)
            return FineTuned(start, *self._trial(comparison, known, part_of(progress, 0.3, 1.0)))
        except InputError as error:
            steps = 0 if untaught else self._settings.steps
            return FineTuned(start, steps, None, unjudged=error.message, untaught=untaught)

    def _trial(
        self, comparison: Comparison, known: KnownPairs, progress: Progress
    ) -> tuple[int, RankingGain]:
        """After how many steps held-out images are ranked best, and how much better that is.

        Raises:
            InputError: the loss cannot learn from what is left.
        """
        kept = known.only(~comparison.found.held_out)
        if why := self.refusal(comparison.start, kept):
            words = "Without the held-out answers the loss cannot learn, so that nobody can tell"
            raise InputError(f"{words} whether it is better ({why.rstrip('.')})", HINT)
        trials = self.heads(comparison.start, kept, self._settings.steps, progress)
        gains = [(int(head.history[-1]["step"]), comparison.gain(head)) for head in trials]
        return max(gains, key=lambda each: each[1].gain)

    def refusal(self, start: TrainedHead, known: KnownPairs) -> str:
        """Why the loss cannot teach a head from what is known; empty where it can."""
        anchored = _projected(start, self._inputs(start)).cpu().numpy()
        guesses = guesses_of(start.labels, weight=self._settings.guess_weight)
        try:
            self._objective(known, anchored, guesses)
        except InputError as error:
            return error.message
        return ""

    def heads(
        self, start: TrainedHead, known: KnownPairs, steps: int, progress: Progress
    ) -> Iterator[TrainedHead]:
        """The head after every few steps; each is the same module, trained further."""
        settings, rng = self._settings, np.random.default_rng(self._seed)
        module = copy.deepcopy(start.module).to(self._device)
        inputs = self._inputs(start)
        anchored = _projected(start, inputs)
        guesses = guesses_of(start.labels, weight=settings.guess_weight)
        objective = self._objective(known, anchored.cpu().numpy(), guesses)
        learnt = [each.requires_grad_() for each in module.learnt()]
        optimiser = _adam(learnt, module.step_share, objective, settings)
        batches = known.batches(self._nobody(), guesses)
        history: list[dict[str, float]] = []
        for step in range(1, steps + 1):
            batch = batches.draw(rng, anchors=settings.batch_anchors, others=settings.batch_others)
            rows = torch.from_numpy(batch.rows).to(self._device)
            relevance = torch.from_numpy(batch.relevance).to(self._device)
            embeddings = module.project(inputs[rows])
            found = objective(embeddings, batch, rng)
            kept = structure_loss(embeddings, anchored[rows], relevance)
            optimiser.zero_grad()
            (found.value + settings.structure_weight * kept).backward()  # type: ignore[no-untyped-call]
            if found.valid_anchors:
                optimiser.step()
            history.append(_logged(step, found.value, found.valid_anchors / len(rows)))
            if step % settings.check_steps == 0 or step == steps:
                progress(step / steps, f"step {step} of {steps}, loss {history[-1]['loss']:.4f}")
                yield replace(start, module=module.eval(), history=history, classifier=None)
        for each in learnt:
            each.requires_grad_(False)

    def _inputs(self, head: TrainedHead) -> Tensor:
        """[N, C] the standardised features of all training images."""
        rows = np.ascontiguousarray(self._features, dtype=np.float32)
        with torch.no_grad():
            inputs: Tensor = head.module.statistics(torch.from_numpy(rows).to(self._device))
        return inputs.clone()  # what was made in inference mode could not be trained on

    def _nobody(self) -> csr_array:
        """No image's neighbours: the checkpoint has learnt them already."""
        return csr_array((len(self._features), len(self._features)), dtype=np.float32)


def _adam(
    learnt: list[Tensor], step_share: float, objective: Objective, settings: FineTuningSettings
) -> torch.optim.Adam:
    """Steps that suit the head's weights; what the objective learns itself takes whole ones."""
    rate = settings.learning_rate
    groups = [{"params": learnt, "lr": rate * step_share}]
    beside = objective.parameters()
    return torch.optim.Adam([*groups, *([{"params": beside, "lr": rate}] if beside else [])])


def pair_checkpoint(
    features: FloatArray,
    known: KnownPairs,
    settings: TrainingSettings,
    *,
    seed: int,
    device: torch.device,
) -> Retrain:
    """What makes the checkpoint of `train_head` anew without some images' answers."""

    def retrain(held_out: BoolArray) -> TrainedHead:
        kept = known.only(np.asarray(~held_out[known.rows].any(axis=1)))
        return train_head(
            features,
            kept.rows,
            kept.similar,
            kept.weights,
            settings,
            seed=seed,
            device=device,
            against_frozen=False,
        )

    return retrain


def _projected(head: TrainedHead, inputs: Tensor) -> Tensor:
    """[N, out] the embeddings of all training images, which are not trained."""
    with torch.no_grad():
        return head.module.to(inputs.device).project(inputs).clone()


def _logged(step: int, loss: Tensor, valid_share: float) -> dict[str, float]:
    value = float(loss.detach())
    if not np.isfinite(value):
        raise JobError(
            f"The loss became {value} at step {step}.",
            "Lower finetuning.learning_rate in project.toml, or choose another loss.",
        )
    return {"step": float(step), "loss": value, "valid_anchors": valid_share}


def _check_learnt(start: TrainedHead) -> None:
    if not start.module.learnt():
        raise InputError(
            "The model has learnt nothing yet, so there is nothing to fine-tune.",
            "Train on the answers first, or choose a model that has learnt.",
        )


def _check_kinds(known: KnownPairs) -> None:
    if not len(known) or known.similar.all() or not known.similar.any():
        raise InputError(
            f"Of {len(known)} known pairs {int(known.similar.sum())} are similar.",
            "Answer pairs of both kinds first.",
        )
