"""The backbone retrained on people's answers: snapshot, training, whether it is better, features.

How an attempt after a crash goes on: `worker.network_lessons`. A training starts from the project's
own weights, never from a backbone that was retrained before: that one has seen the answers that are
held out to judge by.
"""

import time
import tomllib
from dataclasses import replace
from pathlib import Path

import tomli_w
import torch

from annealing.expansion import MOST_RELATIONS
from domain.answers import KnownRelation, Propagation
from domain.config import Views
from domain.files import written_whole
from domain.images import Part
from domain.jobs import Progress, part_of
from labeling_store import relations
from training.backbones import look_at_scales
from training.device import device_in_words
from training.valid_anchors import few_anchors
from training.weights import WeightsKind, load_backbone, save_backbone
from worker.backbone import ArchiveFeatures, archive_features, features_by, ready_backbone
from worker.network_lessons import NetworkLesson, kept_lesson, own_folder
from worker.report import JobReport
from worker.retrained_judge import RetrainedJudge
from workflow.project import Project
from workflow.run_files import BACKBONE, LEARNT, RETRAINED, read_relations


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
    folder = own_folder(project, report.key)
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
    descriptor = project.config.model.descriptor.at_scale_one
    first, ready = part_of(progress, 0.0, 0.01), part_of(progress, 0.01, 0.02)
    base = archive_features(project, device, first, views=Views.SINGLE, descriptor=descriptor)
    begun_with = set(archive.image_ids.tolist())
    lesson = kept_lesson(project, folder, base, lambda: _relations(project), begun_with=begun_with)
    known = lesson.known()
    report.log(f"retraining the backbone on {len(known)} known pairs, {device_in_words(device)}")
    began = time.monotonic()
    found = lesson.train(
        ready_backbone(project, device, ready, descriptor=descriptor)[0],
        project.config.training,
        device,
        guessing=lesson.guessing(archive, device, ready) if groups else None,
        progress=part_of(progress, 0.02, 0.9),
    )
    if few := few_anchors(found.history):
        report.log(few)
    verdict: dict[str, object] = {
        "used": False,
        "verdict": found.note,
        "device": device_in_words(device),
        "seconds": round(time.monotonic() - began, 1),
        "known_pairs": len(known),
        LEARNT: lesson.learnt(),
        "history": found.history,
    }
    if not found.is_better:
        return verdict
    info = save_backbone(found.backbone, folder / BACKBONE, kind=WeightsKind.RETRAINED)
    rest = part_of(progress, 0.9, 1.0)
    new = features_by(project, found.backbone, info, device, progress=rest, views=Views.SINGLE)
    config = project.config
    judged = RetrainedJudge(known, config.training, seed=config.seed, device=device)
    problem = judged.worse(lesson.features, lesson.of(new))
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
            lesson.of(before), lesson.of(new), _answered(lesson, learnt)
        )
    used = f"The backbone was retrained: {judged.words}"
    return {**verdict, "used": not problem, "verdict": problem or used}


def _relations(project: Project) -> list[KnownRelation]:
    spread = project.config.propagation
    if relations.known_pair_count(project.store, spread) > MOST_RELATIONS:
        spread = Propagation.ONE_STEP
    return relations.known_relations(project.store, spread, part=Part.TRAIN, proofs=False)


def _answered(lesson: NetworkLesson, learnt: list[KnownRelation]) -> list[int]:
    """Places of the images that a model had answers about."""
    ids = {each for relation in learnt for each in relation.pair}
    return [place for place, record in enumerate(lesson.records) if record.image_id in ids]
