"""A fine-tuned run from an earlier one: its snapshot, its head trained further, the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from domain.clock import utc_now
from domain.jobs import Progress
from domain.loss_catalogue import loss_choice
from domain.losses import Value
from domain.rounds import Run
from labeling_store import runs
from training.checkpoints import load_head, save_head
from training.device import device_in_words
from training.finetuning import FineTuned, fine_tune
from training.group_head import GroupHead
from training.losses.catalogue import new_loss
from training.ranking_selection import RankingGain
from worker.backbone import ArchiveFeatures
from worker.learning import Told, free_name, keep_run
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


def fine_tune_run(
    project: Project,
    archive: ArchiveFeatures,
    parent: Run,
    params: Mapping[str, Any],
    *,
    device: torch.device,
    report: JobReport,
    progress: Progress,
) -> Run:
    """A run whose head is that of another one, trained further on the same answers.

    It becomes the active one if it ranks held-out images better than the parent did, and the
    parent, or one that was fine-tuned from it less well, is active. Where the active one was
    fine-tuned with the same loss and parameters from fewer answers, the best that comes from the
    parent does, the parent itself included. Else the active run stays.

    Args:
        archive: features of the views that the parent was made from.
        parent: has learnt from answers.
        params: `loss` and its `parameters`.
    """
    folder = project.runs / parent.name
    seed = project.config.seed
    training = RunTraining(project, archive, read_relations(folder), seed=seed, device=device)
    start = load_head(folder / CHECKPOINT, device=str(device))
    if project.config.finetuning.guess_weight:  # else nothing reads them, and they may cost much
        start = training.labelled(start, folder)
    values = loss_choice(params["loss"]).values(params.get("parameters"))
    found = fine_tune(
        start,
        training.features,
        training.known(groups=isinstance(start.module, GroupHead)),
        new_loss(params["loss"], values),
        project.config.finetuning,
        retrain=training.retrain(start),
        seed=seed,
        device=device,
        progress=progress,
    )
    name = free_name(project, f"{parent.name.split('+', 1)[0]}-{params['loss']}")
    rival = _rival(project, parent, (params["loss"], values))
    winner = _winner(found, name, parent, rival)
    verdict = _verdict(found, parent, rival, winner)
    report.log(verdict)
    if winner == parent.name and not has_embeddings(folder):  # they were dropped meanwhile
        write_embeddings(folder, Embeddings(archive.image_ids, start.embed(archive.features)))
    record = FineTuning(
        parent=parent.name,
        loss=params["loss"],
        parameters=values,
        steps=found.steps,
        verdict=verdict,
        device=device_in_words(device),
        **_figures(found.selection),
    )
    return keep_run(
        project,
        archive,
        replace(parent, name=name, created_at=utc_now(), active=winner == name),
        found.head.embed(archive.features),
        training.relations,
        found.head.history,
        partial(save_head, found.head),
        made_by=report.key,
        told=Told(fine_tuning=record.as_toml()),
        activate=winner,
    )


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
        return f"Too few answers are known to tell whether it is better: {stays}."
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
