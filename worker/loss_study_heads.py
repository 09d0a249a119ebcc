"""Heads compared: each loss trains that of a checkpoint further, or a new one alone."""

import time
from collections.abc import Mapping
from dataclasses import replace

from domain.jobs import Progress
from training.device import resolve_device
from training.finetuning import fine_tune
from training.guesses import guesses_of
from training.head import TrainedHead, frozen_head
from training.losses.catalogue import new_loss
from training.losses.relevance import RelevanceLoss
from training.objectives import RelevanceObjective
from training.trainer import train_with_loss
from worker.loss_gaps import gap_figures
from worker.loss_study_options import StudyOptions, Training
from worker.loss_study_sources import Source
from worker.loss_study_table import Row


class HeadCells:
    """The cells of one seed, whose trainings share features, relations and checkpoint."""

    def __init__(self, source: Source, options: StudyOptions, seed: int) -> None:
        self._source, self._options, self._seed = source, options, seed

    def frozen(self) -> Mapping[str, float]:
        """Figures of the features as they are."""
        return self._source.measure(frozen_head(self._source.features))

    def checkpoint(self, progress: Progress) -> Mapping[str, float]:
        """Figures of the head that was trained before."""
        return self._source.measure(self._source.start)

    def trained(self, training: Training, progress: Progress) -> Row:
        """A loss's head and its figures."""
        source, options, began = self._source, self._options, time.perf_counter()
        loss, row = new_loss(training.loss, training.settings), Row(training.name, self._seed)
        train = self._alone if options.alone else self._further
        head, row = train(loss, row, progress)
        seconds, metrics = time.perf_counter() - began, dict(source.measure(head))
        if options.gaps:
            metrics |= gap_figures(loss, head, source.features, source.known, seed=self._seed)
        return replace(row, seconds=seconds, metrics=metrics)

    def _alone(self, loss: RelevanceLoss, row: Row, progress: Progress) -> tuple[TrainedHead, Row]:
        """A new head that only this loss has trained."""
        source, tuning = self._source, self._options.finetuning
        shared = ("batch_anchors", "batch_others", "learning_rate", "structure_weight")
        settings = source.training.model_copy(
            update={name: getattr(tuning, name) for name in shared}
        )
        head = train_with_loss(
            source.features,
            source.known,
            loss,
            settings,
            steps=tuning.steps,
            seed=self._seed,
            device=resolve_device(self._options.device),
            guesses=guesses_of(source.start.labels, weight=tuning.guess_weight),
            progress=progress,
        )
        return head, replace(row, steps=tuning.steps)

    def _further(
        self, loss: RelevanceLoss, row: Row, progress: Progress
    ) -> tuple[TrainedHead, Row]:
        """The checkpoint's head, trained further for as long as held-out images gain."""
        source = self._source
        found = fine_tune(
            source.start,
            source.features,
            source.known,
            lambda *_: RelevanceObjective(loss),
            self._options.finetuning,
            retrain=source.retrain,
            seed=self._seed,
            device=resolve_device(self._options.device),
            progress=progress,
        )
        score = found.selection
        return found.head, replace(
            row,
            steps=found.steps,
            better=found.is_better,
            before=None if score is None else score.before,
            after=None if score is None else score.after,
            uncertainty=None if score is None else score.uncertainty,
        )
