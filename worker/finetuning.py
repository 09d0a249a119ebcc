"""A fine-tuned run from an earlier one: its snapshot, its head trained further, the verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from annealing.components.evidence import Answers
from annealing.expansion import count_known, known_relations
from domain.answers import KnownRelation, Propagation
from domain.arrays import BoolArray
from domain.clock import utc_now
from domain.images import Part
from domain.jobs import Progress
from domain.loss_catalogue import loss_choice
from domain.rounds import Run
from labeling_store import runs
from training.checkpoints import load_head, save_head
from training.device import device_in_words
from training.finetuning import FineTuned, Retrain, fine_tune, pair_checkpoint
from training.group_head import GroupHead, group_head
from training.head import TrainedHead
from training.losses.catalogue import new_loss
from training.ranking_selection import RankingGain
from training.trainer import KnownPairs
from worker.backbone import ArchiveFeatures
from worker.distinct import distinct
from worker.learning import free_name, keep_run
from worker.report import JobReport
from workflow.consistency import error_to_reckon_with
from workflow.finetuning import FineTuning, fine_tuning_of
from workflow.project import Project
from workflow.run_files import CHECKPOINT, read_relations

MOST_PAIRS = 2_000_000  # implied by groups: with more, each answer implies one step only


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
    parent, or one that was fine-tuned from it less well, is active; else the active run stays.

    Args:
        archive: features of the views that the parent was made from.
        parent: has learnt from answers.
        params: `loss` and its `parameters`.
    """
    folder = project.runs / parent.name
    start = load_head(folder / CHECKPOINT, device=str(device))
    seed = project.config.seed
    training = RunTraining(project, archive, read_relations(folder), seed=seed, device=device)
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
    rival = _rival(project, parent)
    verdict = _verdict(found, parent, rival)
    report.log(verdict)
    name = free_name(project, f"{parent.name.split('+', 1)[0]}-{params['loss']}")
    return keep_run(
        project,
        archive,
        replace(parent, name=name, created_at=utc_now(), active=_takes_over(found, rival)),
        found.head.embed(archive.features),
        training.relations,
        found.head.history,
        partial(save_head, found.head),
        made_by=report.key,
        fine_tuning=FineTuning(
            parent=parent.name,
            loss=params["loss"],
            parameters=values,
            steps=found.steps,
            verdict=verdict,
            device=device_in_words(device),
            **_figures(found.selection),
        ).as_toml(),
    )


class RunTraining:
    """The training images of an archive, and the answers that a run has learnt from."""

    def __init__(
        self,
        project: Project,
        archive: ArchiveFeatures,
        relations: Sequence[KnownRelation],
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        """What a run of this project has learnt from.

        Args:
            archive: the features that it read.
            relations: its snapshot; those of images that are no training images now are left out.
            seed: of a training without some of them.
        """
        rows = archive.rows_in(Part.TRAIN)
        self._row = {int(archive.image_ids[row]): place for place, row in enumerate(rows)}
        self._project, self._seed, self._device = project, seed, device
        self._images = distinct([archive.records[row] for row in rows])
        self.features = archive.features[rows]
        self.relations = [each for each in relations if {*each.pair} <= self._row.keys()]

    def known(self, *, groups: bool) -> KnownPairs:
        """What the answers say of pairs of rows; of groups also all that they imply."""
        return self._pairs(_implied(self.relations) if groups else self.relations)

    def retrain(self, start: TrainedHead) -> Retrain:
        """What makes the head of the run without some images' answers."""
        if isinstance(start.module, GroupHead):
            return self._groups_without
        return pair_checkpoint(
            self.features,
            self.known(groups=False),
            self._project.config.training,
            seed=self._seed,
            device=self._device,
        )

    def _groups_without(self, held_out: BoolArray) -> TrainedHead:
        known = self._pairs(self.relations)
        kept = known.only(np.asarray(~held_out[known.rows].any(axis=1)))
        rows = self._images.copy_of[kept.rows]
        apart = rows[:, 0] != rows[:, 1]
        return group_head(
            self.features[self._images.first],
            Answers(rows[apart], kept.similar[apart]),
            error=error_to_reckon_with(self._project),
            device=self._device,
        )

    def _pairs(self, relations: Sequence[KnownRelation]) -> KnownPairs:
        rows = [[self._row[each.pair.a], self._row[each.pair.b]] for each in relations]
        return KnownPairs(
            np.array(rows, dtype=np.int64).reshape(-1, 2),
            np.array([each.similar for each in relations], dtype=bool),
            np.array([each.weight for each in relations], dtype=np.float32),
        )


def _implied(relations: Sequence[KnownRelation]) -> list[KnownRelation]:
    """Answered relations with all that they imply, or with less where that is too much."""
    labels = {each.pair: each.similar for each in relations if not each.implied}
    few = count_known(labels, Propagation.CLOSURE) <= MOST_PAIRS
    spread = Propagation.CLOSURE if few else Propagation.ONE_STEP
    return known_relations(labels, spread, proofs=False)


def _rival(project: Project, parent: Run) -> tuple[Run, float] | None:
    """The active run and how well it ranks held-out images, if it comes from the same parent.

    The parent itself has 0: whether a head ranks better than it is known already. None: another
    model is in use, and stays.
    """
    active = runs.active_run(project.store.reader())
    if active is None:
        return None
    if active.name == parent.name:
        return active, 0.0
    found = fine_tuning_of(project.runs / active.name)
    return (active, found.after) if found is not None and found.parent == parent.name else None


def _takes_over(found: FineTuned, rival: tuple[Run, float] | None) -> bool:
    if rival is None or found.selection is None or not found.is_better:
        return False
    return found.selection.after > rival[1]


def _verdict(found: FineTuned, parent: Run, rival: tuple[Run, float] | None) -> str:
    stays = "the model in use stays" if rival is None else f"{rival[0].name} stays in use"
    score = found.selection
    if score is None:
        return f"Too few answers are known to tell whether it is better: {stays}."
    said = (
        f"Trained without the answers about {score.images} images, it ranks what is like them with "
        f"an average precision of {score.after:.1%}; {parent.name} does with {score.before:.1%} "
        f"(the difference is sure to {score.uncertainty:.1%})"
    )
    if _takes_over(found, rival):
        return f"{said}. It takes the place of the model in use."
    why = "" if found.is_better else " Not better beyond chance:"
    return f"{said}.{why} {stays[0].upper() + stays[1:] if not why else stays}."


def _figures(selection: RankingGain | None) -> dict[str, Any]:
    if selection is None:
        return {"images": 0, "before": 0.0, "after": 0.0, "uncertainty": 0.0}
    return vars(selection)
