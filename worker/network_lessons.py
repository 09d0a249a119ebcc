"""What a whole network learns from people's answers: images, relations and guesses, kept.

Everything lies in a folder of the project's cache that carries the job's key, so that an attempt
after a crash goes on exactly where the one before was, on the same answers.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from domain.answers import KnownRelation
from domain.arrays import BoolArray, FloatArray, IntArray
from domain.config import TrainingSettings, Views
from domain.files import written_whole
from domain.images import ImageRecord, Part
from domain.jobs import Progress, part_of
from training.backbones import Backbone
from training.device import device_in_words
from training.full_depth import Further, Retrained, retrain_backbone
from training.guesses import Guesses, Guessing, guesses_of
from training.pixels import open_pixels
from training.trainer import KnownPairs, held_out
from worker.backbone import ArchiveFeatures, archive_features, file_if_any
from worker.distinct import distinct
from worker.group_labels import AnsweredGroups, kept_labels, labels_of
from worker.known_rows import inside, known_rows
from workflow.consistency import error_to_reckon_with
from workflow.project import Project
from workflow.run_files import read_groups, read_relations, write_groups, write_relations
from workflow.speed import note_speed

_FOLDER, _STATE, _IDS = "retraining", "state.safetensors", "image_ids.json"


@dataclass(frozen=True)
class NetworkLesson:
    """What is learnt from, as it was when the training began.

    Attributes:
        folder: where all of it is kept.
        base: features of the single view by the network that goes on learning, of all images.
        records: the training images.
        relations: what is known of them.
    """

    project: Project
    folder: Path
    base: ArchiveFeatures
    records: tuple[ImageRecord, ...]
    relations: Sequence[KnownRelation]

    @property
    def image_ids(self) -> IntArray:
        """Of the training images."""
        return np.array([record.image_id for record in self.records], dtype=np.int64)

    @property
    def features(self) -> FloatArray:
        """Of the training images, by the network that goes on learning."""
        return self.of(self.base)

    def of(self, archive: ArchiveFeatures) -> FloatArray:
        """Features [N, D] of the training images by another network, or of other views."""
        row = {record.image_id: place for place, record in enumerate(archive.records)}
        return archive.features[[row[record.image_id] for record in self.records]]

    def known(self, *, implied: bool = True) -> KnownPairs:
        """Pairs of places of the records, with those that answers imply or without."""
        told = [each for each in self.relations if implied or not each.implied]
        return known_rows(self.image_ids, inside(self.image_ids, told))

    def learnt(self, *, among: IntArray | None = None) -> list[int]:
        """Ids of the images whose answers are learnt: all that have any, but those held out.

        Args:
            among: see `Further`.
        """
        known = self.known()
        found = held_out(known, self.project.config.seed, among=among)
        kept = known.rows if found is None else known.rows[~found.held_out]
        return sorted(self.image_ids[np.unique(kept)].tolist())

    def train(
        self,
        backbone: Backbone,
        settings: TrainingSettings,
        device: torch.device,
        *,
        further: Further | None = None,
        guessing: Guessing | None = None,
        progress: Progress,
    ) -> Retrained:
        """What comes of training the network; how fast that went is noted for the pages."""
        config, began = self.project.config, time.monotonic()
        pixels = open_pixels(
            [(record.sha256, file_if_any(self.project, record)) for record in self.records],
            size_px=config.model.image_size_px,
            device=device,
            resident_mb=settings.full.resident_mb,
            bands=config.model.bands,
            progress=part_of(progress, 0.0, 0.05),
        )
        found = retrain_backbone(
            backbone,
            pixels,
            self.features,
            self.known(),
            settings,
            seed=config.seed,
            device=device,
            turned=config.model.views is Views.MULTI,
            further=further,
            guessing=guessing,
            state=self.folder / _STATE,
            progress=part_of(progress, 0.05, 1.0),
        )
        if found.images_trained:
            rate = round(found.images_trained / max(time.monotonic() - began, 1e-9), 2)
            note_speed(self.project, device.type, device_in_words(device), trained_per_s=rate)
        return found

    def guessing(
        self, archive: ArchiveFeatures, device: torch.device, progress: Progress
    ) -> Guessing | None:
        """What groups say of pairs that are not known; kept, so that it stays the same.

        Kept by what is held out, as other settings hold out other images; nothing is kept as
        nothing. They are found in features of all views where those are there, never by a retrained
        backbone, which has learnt what is held out.

        Args:
            archive: features by the network in use.
            device: where groups are found.
            progress: of embedding images for that, where the network in use was retrained; may
                raise `Cancelled`.
        """
        weight = self.project.config.training.full.guess_weight
        if weight == 0:
            return None

        def guessed(held_out: BoolArray) -> Guesses | None:
            kept_in = self.folder / hashlib.sha256(held_out.tobytes()).hexdigest()[:16]
            if not kept_in.is_dir():
                own = archive
                if archive.backbone_in is not None:
                    own = archive_features(self.project, device, progress)
                self._keep_groups(own, held_out, kept_in, device)
            kept = read_groups(kept_in)
            if kept is None:
                return None
            return guesses_of(labels_of(kept, self.image_ids), weight=weight)

        return guessed

    def _keep_groups(
        self, archive: ArchiveFeatures, held_out: BoolArray, kept_in: Path, device: torch.device
    ) -> None:
        """The groups, had nobody answered about some images; the folder is there once whole."""
        head = AnsweredGroups(
            self.of(archive),
            distinct(self.records),
            self.known(implied=False),
            error_to_reckon_with(self.project),
            device,
        ).head(held_out)
        draft = kept_in.with_suffix(".draft")
        draft.mkdir(exist_ok=True)
        if head.labels is not None:
            write_groups(draft, kept_labels(self.image_ids, head.labels))
        draft.rename(kept_in)


def kept_lesson(
    project: Project,
    folder: Path,
    base: ArchiveFeatures,
    relations: Callable[[], Sequence[KnownRelation]],
    *,
    begun_with: set[int],
) -> NetworkLesson:
    """A lesson as it was kept in its folder; else the images and relations of now, kept.

    Of images that came since the job began, which only the newest features know, nothing is.

    Args:
        base: see `NetworkLesson`.
        relations: those of now.
        begun_with: ids of the images that the job began with.
    """
    record_of = {record.image_id: record for record in base.records}
    if not (folder / _IDS).is_file():
        training = [each.image_id for each in base.records if each.part is Part.TRAIN]
        ids = [each for each in training if each in begun_with]
        write_relations(relations(), folder / "pairs.parquet")
        with written_whole(folder / _IDS) as draft:
            draft.write_text(json.dumps(ids), encoding="utf-8")
    ids = json.loads((folder / _IDS).read_text(encoding="utf-8"))
    records = tuple(record_of[each] for each in ids if each in record_of)
    return NetworkLesson(project, folder, base, records, read_relations(folder))


def own_folder(project: Project, key: str) -> Path:
    """The job's; those of earlier jobs, which nobody went on with, are deleted."""
    folder = project.cache / _FOLDER / hashlib.sha256(key.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    for other in folder.parent.iterdir():
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    return folder


def forget_lesson(project: Project) -> None:
    """Delete what was kept to go on with: the run has it all."""
    shutil.rmtree(project.cache / _FOLDER, ignore_errors=True)
