"""The backbone retrained on people's answers: snapshot, training, whether it is better, features.

Everything lies in a folder of the project's cache that carries the job's key, so that an attempt
after a crash goes on exactly where the one before was, on the same answers. A training starts from
the project's own weights, never from a backbone that was retrained before: that one has seen the
answers that are held out to judge by.
"""

import hashlib
import json
import shutil
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tomli_w
import torch

from annealing.expansion import MOST_RELATIONS
from domain.answers import KnownRelation, Propagation
from domain.arrays import BoolArray, IntArray
from domain.config import Views
from domain.files import written_whole
from domain.images import ImageRecord, Part
from domain.jobs import Progress, part_of, silent
from labeling_store import relations
from training.backbones import Backbone, look_at_scales
from training.device import device_in_words
from training.full_depth import Retrained, retrain_backbone
from training.guesses import Guesses, Guessing, guesses_of
from training.pixels import open_pixels
from training.trainer import KnownPairs
from training.weights import WeightsKind, load_backbone, save_backbone
from worker.backbone import (
    ArchiveFeatures,
    archive_features,
    features_by,
    file_if_any,
    ready_backbone,
)
from worker.distinct import distinct
from worker.group_labels import AnsweredGroups, kept_labels, labels_of
from worker.known_rows import inside, known_rows
from worker.report import JobReport
from worker.retrained_judge import RetrainedJudge
from workflow.consistency import error_to_reckon_with
from workflow.project import Project
from workflow.run_files import (
    BACKBONE,
    RETRAINED,
    read_groups,
    read_relations,
    write_groups,
    write_relations,
)
from workflow.speed import note_speed

_FOLDER, _STATE, _IDS = "retraining", "state.safetensors", "image_ids.json"


@dataclass(frozen=True)
class _Snapshot:
    """What is learnt from, as it was when the training began."""

    records: tuple[ImageRecord, ...]
    relations: Sequence[KnownRelation]

    def known(self, *, implied: bool = True) -> KnownPairs:
        """Pairs of places of the records, with those that answers imply or without."""
        told = [each for each in self.relations if implied or not each.implied]
        return known_rows(self.image_ids, inside(self.image_ids, told))

    @property
    def image_ids(self) -> IntArray:
        return np.array([record.image_id for record in self.records], dtype=np.int64)


def retrained_features(
    project: Project,
    archive: ArchiveFeatures,
    *,
    device: torch.device,
    groups: bool,
    report: JobReport,
    progress: Progress,
) -> ArchiveFeatures:
    """Features of all images by a backbone retrained on the answers, if it is better.

    Args:
        archive: features by the backbone in use; given back where the retrained one is no better.
        groups: whether answers sort images into groups, so that other pairs can be guessed.
        report: told why, and how long it took.
        progress: may raise `Cancelled`; a further attempt with the job's key goes on.
    """
    folder = _own_folder(project, report.key)
    if not (folder / RETRAINED).is_file():
        first = part_of(progress, 0.0, 0.8)
        verdict = _retrained(
            project, archive, folder, device, report, groups=groups, progress=first
        )
        with written_whole(folder / RETRAINED) as draft:
            draft.write_text(tomli_w.dumps(verdict), encoding="utf-8")
    told = tomllib.loads((folder / RETRAINED).read_text(encoding="utf-8"))
    report.log(told["verdict"])
    if not told["used"]:
        return archive
    backbone, info = load_backbone(folder / BACKBONE)
    look_at_scales(backbone, archive.descriptor.scales)
    rest = part_of(progress, 0.8, 1.0)
    made = features_by(project, backbone, info, device, progress=rest, views=archive.views)
    return replace(made, backbone_in=folder)


def forget_retraining(project: Project) -> None:
    """Delete what was kept to go on with: the run has it all."""
    shutil.rmtree(project.cache / _FOLDER, ignore_errors=True)


def _own_folder(project: Project, key: str) -> Path:
    """The job's; those of earlier jobs, which nobody went on with, are deleted."""
    folder = project.cache / _FOLDER / hashlib.sha256(key.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    for other in folder.parent.iterdir():
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    return folder


def _retrained(
    project: Project,
    archive: ArchiveFeatures,
    folder: Path,
    device: torch.device,
    report: JobReport,
    *,
    groups: bool,
    progress: Progress,
) -> dict[str, object]:
    """What came of a training, as the run keeps it; trained and judged at scale 1."""
    descriptor, first = project.config.model.descriptor.at_scale_one, part_of(progress, 0.0, 0.02)
    base = archive_features(project, device, first, views=Views.SINGLE, descriptor=descriptor)
    snapshot = _snapshot(project, base, folder, inside=set(archive.image_ids.tolist()))
    known, rows = snapshot.known(), _rows_of(base, snapshot)
    report.log(f"retraining the backbone on {len(known)} known pairs, {device_in_words(device)}")
    began = time.monotonic()
    guessing = _guessing(project, archive, snapshot, folder, device) if groups else None
    rest = part_of(progress, 0.02, 0.9)
    found = _trained(project, base, snapshot, folder, device, guessing=guessing, progress=rest)
    verdict: dict[str, object] = {
        "used": False,
        "verdict": found.note,
        "device": device_in_words(device),
        "seconds": round(time.monotonic() - began, 1),
        "known_pairs": len(known),
        "history": found.history,
    }
    if not found.is_better:
        return verdict
    info = save_backbone(found.backbone, folder / BACKBONE, kind=WeightsKind.RETRAINED)
    rest = part_of(progress, 0.9, 1.0)
    new = features_by(project, found.backbone, info, device, progress=rest, views=Views.SINGLE)
    config = project.config
    judged = RetrainedJudge(known, config.training, seed=config.seed, device=device)
    problem = judged.worse(base.features[rows], new.features[rows])
    if not problem and archive.backbone_in is not None:
        before = archive_features(
            project,
            device,
            rest,
            views=Views.SINGLE,
            of=archive.backbone_in.name,
            descriptor=descriptor,
        )
        learnt = read_relations(archive.backbone_in)
        problem = judged.worse_than_before(
            before.features[rows], new.features[rows], _answered(snapshot, learnt)
        )
    used = f"The backbone was retrained: {judged.words}"
    return {**verdict, "used": not problem, "verdict": problem or used}


def _snapshot(
    project: Project, base: ArchiveFeatures, folder: Path, *, inside: set[int]
) -> _Snapshot:
    """As it was kept; else the answers and training images of now, kept.

    Of images that came since the job began, which only the newest features know, nothing is.
    """
    record_of = {record.image_id: record for record in base.records}
    if not (folder / _IDS).is_file():
        training = [each.image_id for each in base.records if each.part is Part.TRAIN]
        ids = [each for each in training if each in inside]
        write_relations(_relations(project), folder / "pairs.parquet")
        with written_whole(folder / _IDS) as draft:
            draft.write_text(json.dumps(ids), encoding="utf-8")
    ids = json.loads((folder / _IDS).read_text(encoding="utf-8"))
    records = tuple(record_of[each] for each in ids if each in record_of)
    return _Snapshot(records, read_relations(folder))


def _relations(project: Project) -> list[KnownRelation]:
    spread = project.config.propagation
    if relations.known_pair_count(project.store, spread) > MOST_RELATIONS:
        spread = Propagation.ONE_STEP
    return relations.known_relations(project.store, spread, part=Part.TRAIN, proofs=False)


def _rows_of(base: ArchiveFeatures, snapshot: _Snapshot) -> list[int]:
    row = {record.image_id: place for place, record in enumerate(base.records)}
    return [row[record.image_id] for record in snapshot.records]


def _trained(
    project: Project,
    base: ArchiveFeatures,
    snapshot: _Snapshot,
    folder: Path,
    device: torch.device,
    *,
    guessing: Guessing | None,
    progress: Progress,
) -> Retrained:
    config, began = project.config, time.monotonic()
    backbone = _start(project, device)
    pixels = open_pixels(
        [(record.sha256, file_if_any(project, record)) for record in snapshot.records],
        size_px=config.model.image_size_px,
        device=device,
        resident_mb=config.training.full.resident_mb,
        bands=config.model.bands,
        progress=part_of(progress, 0.0, 0.05),
    )
    found = retrain_backbone(
        backbone,
        pixels,
        base.features[_rows_of(base, snapshot)],
        snapshot.known(),
        config.training,
        seed=config.seed,
        device=device,
        turned=config.model.views is Views.MULTI,
        guessing=guessing,
        state=folder / _STATE,
        progress=part_of(progress, 0.05, 1.0),
    )
    if found.images_trained:
        rate = found.images_trained / max(time.monotonic() - began, 1e-9)
        note_speed(project, device.type, device_in_words(device), trained_per_s=round(rate, 2))
    return found


def _guessing(
    project: Project,
    archive: ArchiveFeatures,
    snapshot: _Snapshot,
    folder: Path,
    device: torch.device,
) -> Guessing | None:
    """What groups say of pairs that are not known; kept beside these, so that it stays the same.

    Kept by what is held out, as other settings hold out other images; nothing is kept as nothing.
    They are found in features of all views where those are there, never by a retrained backbone,
    which has learnt what is held out.
    """
    weight = project.config.training.full.guess_weight
    if weight == 0:
        return None

    def guessed(held_out: BoolArray) -> Guesses | None:
        ids = snapshot.image_ids
        kept_in = folder / hashlib.sha256(held_out.tobytes()).hexdigest()[:16]
        if not kept_in.is_dir():
            own = archive
            if archive.backbone_in is not None:
                own = archive_features(project, device, silent)
            head = AnsweredGroups(
                own.features[_rows_of(own, snapshot)],
                distinct(snapshot.records),
                snapshot.known(implied=False),
                error_to_reckon_with(project),
                device,
            ).head(held_out)
            draft = kept_in.with_suffix(".draft")
            draft.mkdir(exist_ok=True)
            if head.labels is not None:
                write_groups(draft, kept_labels(ids, head.labels))
            draft.rename(kept_in)
        kept = read_groups(kept_in)
        return None if kept is None else guesses_of(labels_of(kept, ids), weight=weight)

    return guessed


def _start(project: Project, device: torch.device) -> Backbone:
    descriptor = project.config.model.descriptor.at_scale_one
    return ready_backbone(project, device, silent, descriptor=descriptor)[0]


def _answered(snapshot: _Snapshot, learnt: Sequence[KnownRelation]) -> list[int]:
    """Places of the images that a model had answers about."""
    ids = {each for relation in learnt for each in relation.pair}
    return [place for place, record in enumerate(snapshot.records) if record.image_id in ids]
