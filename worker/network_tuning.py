"""The network of a run trained further on the run's own answers, with any loss.

It starts from the network that the run reads, and stops where held-out images are told apart best:
images that this network has learnt no answer about. Whether the model that comes of it is used is
decided when it has a head, by `worker.finetuning`.
"""

import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import torch

from domain.answers import KnownRelation
from domain.arrays import IntArray
from domain.config import TrainingSettings, Views
from domain.files import written_whole
from domain.jobs import Progress, part_of
from domain.losses import Value
from domain.rounds import Run
from training.backbones import look_at_scales
from training.device import device_in_words
from training.full_depth import Further, Retrained
from training.loss_objectives import NewObjective, loss_objective
from training.valid_anchors import few_anchors
from training.weights import WeightsKind, load_backbone, save_backbone
from worker.backbone import ArchiveFeatures, archive_features, features_by, run_backbone
from worker.network_lessons import NetworkLesson, kept_lesson, own_folder
from worker.report import JobReport
from worker.run_training import implied_by
from workflow.project import Project
from workflow.run_files import BACKBONE, LEARNT, RETRAINED, learnt_images, read_relations


@dataclass(frozen=True)
class TunedNetwork:
    """What came of training a network further.

    Attributes:
        verdict: in words.
        features: of the same images by that network; None where the one before stays.
    """

    verdict: str
    features: ArchiveFeatures | None = None


@dataclass(frozen=True)
class NetworkTuning:
    """A network to be trained further.

    Attributes:
        parent: the run that reads it, and has learnt from answers.
        archive: features of all images by it.
        groups: whether the parent sorts images into groups: what these imply is learnt then, and
            what they let guess.
        loss, parameters: what it is trained with.
    """

    project: Project
    parent: Run
    archive: ArchiveFeatures
    groups: bool
    loss: str
    parameters: Mapping[str, Value]
    device: torch.device

    def tuned(self, report: JobReport, progress: Progress) -> TunedNetwork:
        """The network trained further, if that made it better.

        Args:
            report: told how it went.
            progress: may raise `Cancelled`; a further attempt with the job's key goes on, if it
                starts from the same model.
        """
        model = self.parent.name.split("+", 1)[0]  # the same with new images embedded
        folder = own_folder(self.project, f"{report.key} from {model}")
        if not (folder / RETRAINED).is_file():
            told = self._trained(folder, report, part_of(progress, 0.0, 0.8))
            with written_whole(folder / RETRAINED) as draft:
                draft.write_text(tomli_w.dumps(told), encoding="utf-8")
        told = tomllib.loads((folder / RETRAINED).read_text(encoding="utf-8"))
        report.log(told["verdict"])
        if not told["used"]:
            return TunedNetwork(told["verdict"])
        backbone, info = load_backbone(folder / BACKBONE)
        look_at_scales(backbone, self.archive.descriptor.scales)
        rest, views = part_of(progress, 0.8, 1.0), self.archive.views
        made = features_by(self.project, backbone, info, self.device, progress=rest, views=views)
        features = replace(_inside(made, self.archive), backbone_in=folder)
        return TunedNetwork(told["verdict"], features)

    def _trained(self, folder: Path, report: JobReport, progress: Progress) -> dict[str, Any]:
        """What came of a training, as the run keeps it; trained at scale 1."""
        name, descriptor = self.parent.name, self.archive.descriptor.at_scale_one
        ready = part_of(progress, 0.02, 0.04)
        lesson, began = self._lesson(folder, part_of(progress, 0.0, 0.02)), time.monotonic()
        further = Further(self._objective(), among=self._unlearnt(lesson))
        report.log(
            f"training the whole network of {name} further on {len(lesson.known())} "
            f"known pairs, {device_in_words(self.device)}"
        )
        found = lesson.train(
            run_backbone(self.project, name, self.device, ready, descriptor=descriptor)[0],
            self._settings(),
            self.device,
            further=further,
            guessing=lesson.guessing(self.archive, self.device, ready) if self.groups else None,
            progress=part_of(progress, 0.04, 1.0),
        )
        if few := few_anchors(found.history):
            report.log(few)
        if found.is_better:
            save_backbone(found.backbone, folder / BACKBONE, kind=WeightsKind.RETRAINED)
        return {
            "used": found.is_better,
            "verdict": found.note or _verdict(found),
            "device": device_in_words(self.device),
            "seconds": round(time.monotonic() - began, 1),
            "known_pairs": len(lesson.known()),
            LEARNT: sorted(self._learnt.union(lesson.learnt(among=further.among))),
            "history": found.history,
        }

    def _lesson(self, folder: Path, progress: Progress) -> NetworkLesson:
        base = archive_features(
            self.project,
            self.device,
            progress,
            views=Views.SINGLE,
            of=self.parent.name,
            descriptor=self.archive.descriptor.at_scale_one,
        )
        begun_with = set(self.archive.image_ids.tolist())
        return kept_lesson(self.project, folder, base, self._relations, begun_with=begun_with)

    def _relations(self) -> list[KnownRelation]:
        told = read_relations(self.project.runs / self.parent.name)
        return implied_by(told) if self.groups else told

    def _objective(self) -> NewObjective:
        seed = self.project.config.seed
        turned = self.project.config.model.views is Views.MULTI
        return loss_objective(
            self.loss, self.parameters, seed=seed, device=self.device, turned=turned
        )

    def _settings(self) -> TrainingSettings:
        """As for any training of the network, with the loss and the rates of a fine-tuning."""
        config = self.project.config
        full, share = config.training.full, config.finetuning.network_rate
        changed = {
            "loss": self.loss,
            "parameters": dict(self.parameters),
            "backbone_learning_rate": share * full.backbone_learning_rate,
            "head_learning_rate": share * full.head_learning_rate,
        }
        return config.training.model_copy(update={"full": full.model_copy(update=changed)})

    @property
    def _learnt(self) -> frozenset[int]:
        return learnt_images(self.project.runs / self.parent.name) or frozenset()

    def _unlearnt(self, lesson: NetworkLesson) -> IntArray:
        learnt = self._learnt
        return np.flatnonzero([each not in learnt for each in lesson.image_ids.tolist()])


def _inside(made: ArchiveFeatures, archive: ArchiveFeatures) -> ArchiveFeatures:
    """Without the images that came in between."""
    row = {record.image_id: place for place, record in enumerate(made.records)}
    rows = [row[record.image_id] for record in archive.records]
    return replace(made, records=archive.records, features=made.features[rows])


def _verdict(found: Retrained) -> str:
    return (
        f"The whole network was trained further: it tells {found.pairs} held-out pairs apart with "
        f"an AUC of {found.best:.3f}, the one before with {found.start:.3f}."
    )
