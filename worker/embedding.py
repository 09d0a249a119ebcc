"""Models that there are already, for images that they have not embedded."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from domain.clock import utc_now
from domain.config import Views, read_config
from domain.errors import ModelError
from domain.jobs import Progress
from labeling_store import runs
from training.checkpoints import load_head
from worker.backbone import ArchiveFeatures, archive_features
from worker.learning import Told, free_name, keep_run, taken_names
from workflow.finetuning import fine_tuning_of
from workflow.project import CONFIG_NAME, Project
from workflow.run_files import (
    CHECKPOINT,
    RUN_CONFIG,
    Embeddings,
    descriptor_of,
    has_embeddings,
    read_embeddings,
    read_relations,
    reads_own_backbone,
    views_of,
    write_embeddings,
)


def needs_views(project: Project) -> bool:
    """Whether all views are to be embedded: the settings say so, or the active model has them."""
    if project.config.model.views is Views.MULTI:
        return True
    run = runs.active_run(project.store.reader())
    return run is not None and views_of(project.runs / run.name) is Views.MULTI


def embed_new_images(
    project: Project, archive: ArchiveFeatures, device: torch.device, progress: Progress
) -> None:
    """Give images that came after the active run's training an embedding: a run beside it.

    It is the same model: its threshold, the pairs it was trained on and its log stay. Features of
    other views than its own do not concern it.
    """
    run = runs.active_run(project.store.reader())
    if run is None:
        return
    folder = project.runs / run.name
    if views_of(folder) is not archive.views or _covers(folder, archive):
        return
    name = f"{run.name.split('+', 1)[0]}+{len(archive.records)}"
    if name in taken_names(project) and _covers(project.runs / name, archive):
        with project.store.transaction() as db:
            runs.activate_run(db, name)
        return
    made_by = descriptor_of(folder)
    if reads_own_backbone(folder) or made_by != archive.descriptor:
        archive = archive_features(
            project, device, progress, views=archive.views, of=run.name, descriptor=made_by
        )
    head = load_head(folder / CHECKPOINT)
    wider = replace(run, name=free_name(project, name), created_at=utc_now())
    vectors = head.embed(archive.features)
    known, log = read_relations(folder), _read_log(folder)
    fine_tuning = fine_tuning_of(folder)
    keep_run(
        project,
        archive,
        wider,
        vectors,
        known,
        log,
        _copy(folder),
        threshold=run.metrics.get("threshold"),
        told=Told(fine_tuning=None if fine_tuning is None else fine_tuning.as_toml()),
    )


def embed_again(project: Project, name: str, archive: ArchiveFeatures) -> None:
    """Make the embeddings of a run that were dropped anew, and the run the active one.

    Args:
        project: with the same backbone as the run.
        name: of the run.
        archive: features of all images of now, of the run's views and made as its were.

    Raises:
        ModelError: the run was made with another backbone, weights or image size than the
            settings name now.
    """
    folder = project.runs / name
    made_with = read_config(folder / RUN_CONFIG).model
    as_made = {"views": made_with.views, "descriptor": made_with.descriptor}
    wanted = project.config.model.model_copy(update=as_made)
    if reads_own_backbone(folder):  # whatever weights the settings name now
        wanted = wanted.model_copy(
            update={"backbone": made_with.backbone, "weights": made_with.weights}
        )
    if made_with != wanted:
        raise ModelError(
            f"The model {name} reads features of another backbone than the settings name.",
            f"Set [model] in {CONFIG_NAME} as it stands in {folder / RUN_CONFIG}, then try again.",
        )
    vectors = load_head(folder / CHECKPOINT).embed(archive.features)
    write_embeddings(folder, Embeddings(archive.image_ids, vectors))
    with project.store.transaction() as db:
        runs.activate_run(db, name)


def _covers(folder: Path, archive: ArchiveFeatures) -> bool:
    if not has_embeddings(folder):
        return False
    return np.array_equal(np.sort(read_embeddings(folder).image_ids), np.sort(archive.image_ids))


def _read_log(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _copy(folder: Path) -> Callable[[Path], None]:
    def copy(target: Path) -> None:
        shutil.copyfile(folder / CHECKPOINT, target)

    return copy
