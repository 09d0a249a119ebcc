"""A fine-tuned run from an earlier one: its snapshot, what was trained further, the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from domain.clock import utc_now
from domain.config import Depth
from domain.jobs import Progress, part_of
from domain.loss_catalogue import loss_choice
from domain.losses import Value
from domain.rounds import Run
from labeling_store import runs
from training.checkpoint_comparison import Checkpoint
from training.checkpoints import load_head, save_head
from training.device import device_in_words
from training.finetuning import FineTuned, fine_tune
from training.group_head import GroupHead
from training.head import TrainedHead
from training.loss_objectives import loss_objective
from training.ranking_selection import RankingGain
from training.valid_anchors import few_anchors
from worker.backbone import ArchiveFeatures
from worker.learning import Told, free_name, keep_run
from worker.network_tuning import NetworkTuning
from worker.report import JobReport
from worker.run_training import RunTraining
from workflow.finetuning import FineTuning, fine_tuned, fine_tuning_of
from workflow.project import Project
from workflow.run_files import (
    CHECKPOINT,
    Embeddings,
    has_embeddings,
    read_relations,
    write_embeddings,
)
from workflow.succession import is_model, succession_of

_TRAINED = "The whole network was trained further."
_ALONE = "The head alone was trained further."


def fine_tune_run(
    project: Project,
    archive: ArchiveFeatures,
    parent: Run,
    params: Mapping[str, Any],
    *,
    depth: Depth,
    device: torch.device,
    report: JobReport,
    progress: Progress,
) -> Run:
    """A run that is another one trained further on the same answers.

    It becomes the active one if it ranks held-out images better than the parent did, and the
    parent, or one that was fine-tuned from it less well, is active. Where the active one was
    fine-tuned with the same loss and parameters from fewer answers, the best that comes from the
    parent does, the parent itself included. Else the active run stays.

    Args:
        archive: features of the views that the parent was made from.
        parent: has learnt from answers.
        params: `loss` and its `parameters`.
        depth: head; or full, for the whole network first, and then a head of the parent's kind on
            its features. Where the network becomes no better, or no such head can be made, the head
            alone.
    """
    folder, loss = project.runs / parent.name, params["loss"]
    recipe = loss, loss_choice(loss).values(params.get("parameters"))
    tuner = _Tuner(project, parent, archive, recipe, device)
    made = tuner.whole(report, progress) if depth is Depth.FULL else tuner.alone(progress)
    found = made.found
    if few := few_anchors(found.head.history):
        report.log(few)
    name = free_name(project, f"{parent.name.split('+', 1)[0]}-{loss}")
    rival = _rival(project, parent, recipe)
    winner = _winner(found, name, parent, rival)
    verdict = f"{made.words} {_verdict(found, parent, rival, winner)}".lstrip()
    report.log(verdict)
    if winner == parent.name and not has_embeddings(folder):  # they were dropped meanwhile
        vectors = tuner.start.embed(archive.features)
        write_embeddings(folder, Embeddings(archive.image_ids, vectors))
    reached = Depth.HEAD if made.archive is archive else Depth.FULL
    record = FineTuning(
        parent=parent.name,
        loss=loss,
        parameters=recipe[1],
        steps=found.steps,
        verdict=verdict,
        device=device_in_words(device),
        depth=reached.value,
        **_figures(found.selection),
    )
    run = replace(parent, name=name, created_at=utc_now(), active=winner == name)
    return keep_run(
        project,
        made.archive,
        run if reached is Depth.HEAD else replace(run, depth=reached.value),
        found.head.embed(made.archive.features),
        tuner.training(made.archive).relations,
        found.head.history,
        partial(save_head, found.head),
        made_by=report.key,
        told=Told(fine_tuning=record.as_toml()),
        activate=winner,
    )


@dataclass(frozen=True)
class _Made:
    """What was trained further.

    Attributes:
        archive: the features that the head reads: by the network trained further, or as they were.
        found: the head.
        words: what became of the network; empty where it was to stay.
    """

    archive: ArchiveFeatures
    found: FineTuned
    words: str = ""


class _Tuner:
    """Trains a run further, its network or its head.

    Attributes:
        start: the head of the run.
    """

    def __init__(
        self,
        project: Project,
        parent: Run,
        archive: ArchiveFeatures,
        recipe: tuple[str, dict[str, Value]],
        device: torch.device,
    ) -> None:
        self._project, self._parent, self._archive = project, parent, archive
        self._recipe, self._device = recipe, device
        self._folder = project.runs / parent.name
        self.start = load_head(self._folder / CHECKPOINT, device=str(device))
        self._groups = isinstance(self.start.module, GroupHead)

    def whole(self, report: JobReport, progress: Progress) -> _Made:
        """The network trained further, and a head of the run's kind made anew on its features.

        The head alone where the network became no better, or its features are of no use to a head.
        """
        first, rest = part_of(progress, 0.0, 0.8), part_of(progress, 0.8, 1.0)
        loss, values = self._recipe
        tuned = NetworkTuning(
            self._project, self._parent, self._archive, self._groups, loss, values, self._device
        ).tuned(report, first)
        if tuned.features is None:
            return replace(self.alone(rest), words=f"{tuned.verdict} {_ALONE}")
        training = self.training(tuned.features)
        start = training.retrain(self.start)(np.zeros(len(training.features), dtype=bool))
        if start.is_frozen:
            words = f"{_TRAINED} No head can be made of its features, so that it is not used."
            report.log(f"{words} {start.note}")
            return replace(self.alone(rest), words=f"{words} {_ALONE}")
        own = self.training(self._archive)
        before = Checkpoint(own.features, own.retrain(self.start))
        found = self._further(start, training, before, rest)
        untaught = found.untaught and f" Its head was made without the loss: {found.untaught}"
        return _Made(tuned.features, found, _TRAINED + untaught)

    def alone(self, progress: Progress) -> _Made:
        """The head of the run trained further, on the features that it reads."""
        training, start = self.training(self._archive), self.start
        if self._project.config.finetuning.guess_weight:  # else nothing reads them; they may cost
            start = training.labelled(start, self._folder)
        return _Made(self._archive, self._further(start, training, None, progress))

    def _further(
        self,
        start: TrainedHead,
        training: RunTraining,
        before: Checkpoint | None,
        progress: Progress,
    ) -> FineTuned:
        """A head trained further; what comes of it is compared with the parent."""
        config, (loss, values) = self._project.config, self._recipe
        return fine_tune(
            start,
            training.features,
            training.known(groups=self._groups),
            loss_objective(loss, values, seed=config.seed, device=self._device),
            config.finetuning,
            retrain=training.retrain(start),
            before=before,
            among=training.unlearnt(self._folder),
            seed=config.seed,
            device=self._device,
            progress=progress,
        )

    def training(self, archive: ArchiveFeatures) -> RunTraining:
        """What the run has learnt from, with the features of an archive."""
        relations, seed = read_relations(self._folder), self._project.config.seed
        return RunTraining(self._project, archive, relations, seed=seed, device=self._device)


@dataclass(frozen=True)
class _Rival:
    """The active model, where a fine-tuned one may take its place.

    Attributes:
        run: the active one.
        bar: the average precision of held-out images that must be exceeded beside the parent's.
        others: where it was fine-tuned in the same way from fewer answers: the average precision
            of the parent and of what was fine-tuned from it before, of which the best is used.
    """

    run: Run
    bar: float = 0.0
    others: Mapping[str, float] | None = None


def _rival(project: Project, parent: Run, recipe: tuple[str, dict[str, Value]]) -> _Rival | None:
    """None: another model is in use, and stays."""
    active = runs.active_run(project.store.reader())
    if active is None:
        return None
    if active.name == parent.name:
        return _Rival(active)
    found = fine_tuning_of(project.runs / active.name)
    if found is not None and found.parent == parent.name:
        return _Rival(active, bar=found.after)
    decided = succession_of(project.runs / parent.name)
    renews = decided is not None and decided.renewed and is_model(active, decided.before)
    if found is None or found.recipe != recipe or not renews:
        return None
    siblings = [each for each in fine_tuned(project) if each.how.parent == parent.name]
    usable = [each for each in siblings if has_embeddings(project.runs / each.run.name)]
    others = {each.run.name: each.how.after for each in usable if each.how.images}
    return _Rival(active, others=others)


def _winner(found: FineTuned, made: str, parent: Run, rival: _Rival | None) -> str | None:
    """The model that is used from now on; None: the one in use stays."""
    score = found.selection
    if rival is None or score is None:
        return None
    if rival.others is not None:
        ranked = {parent.name: score.before, **rival.others, made: score.after}
        return max(ranked, key=lambda name: ranked[name])
    return made if found.is_better and score.after > rival.bar else None


def _verdict(found: FineTuned, parent: Run, rival: _Rival | None, winner: str | None) -> str:
    stays = "the model in use stays" if rival is None else f"{rival.run.name} stays in use"
    score = found.selection
    if score is None:
        return f"{found.unjudged}: {stays}."
    said = (
        f"Trained without the answers about {score.images} images, it ranks what is like them with "
        f"an average precision of {score.after:.1%}; {parent.name} does with {score.before:.1%} "
        f"(the difference is sure to {score.uncertainty:.1%})"
    )
    if rival is not None and rival.others is not None:
        return (
            f"{said}. {rival.run.name} was fine-tuned in the same way from fewer answers; "
            f"{winner}, the best from those of now, takes its place."
        )
    if winner is not None:
        return f"{said}. It takes the place of the model in use."
    why = "" if found.is_better else " Not better beyond chance:"
    return f"{said}.{why} {stays[0].upper() + stays[1:] if not why else stays}."


def _figures(selection: RankingGain | None) -> dict[str, Any]:
    if selection is None:
        return {"images": 0, "before": 0.0, "after": 0.0, "uncertainty": 0.0}
    return vars(selection)
