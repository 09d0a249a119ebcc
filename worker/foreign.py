"""Images that are not in the archive, under the project's active model."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archive.scan import scan
from domain.arrays import FloatArray
from domain.errors import ArchiveError, InputError, JobError
from domain.files import written_whole
from domain.images import QuarantinedFile, ScannedImage
from domain.jobs import Progress, part_of
from labeling_store import runs
from training.checkpoints import load_head
from training.device import resolve_device
from training.feature_cache import FeatureCache
from training.features import features_for
from worker.backbone import run_backbone
from workflow.project import Project
from workflow.run_files import CHECKPOINT, views_of


@dataclass(frozen=True)
class EmbeddedFolder:
    """How many images were embedded, and the files that could not be, with the reason."""

    images: int
    quarantined: tuple[QuarantinedFile, ...]


def embed_folder(
    project: Project, folder: Path, out: Path, *, device: str, progress: Progress
) -> EmbeddedFolder:
    """Embed all readable images below a folder into a `.npz` with `paths` [N] and `vectors` [N, D].

    The project's own folder is passed over where it lies among them.

    Raises:
        ArchiveError: the folder cannot be used, or no image in it can be read.
        InputError: `out` is a folder, in a folder that does not exist, or cannot be written.
        JobError: there is no model yet.
    """
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise InputError(
            f"--out {out}: it must be a file in a folder that exists.", "Give another path."
        )
    bands = project.config.model.bands
    found = scan(folder, exclude=project.folder, bands=bands, progress=part_of(progress, 0.0, 0.2))
    if not found.images:
        first = found.quarantined[0]
        raise ArchiveError(
            f"No image in {str(folder)!r} can be read; the first, {first.path!r}: {first.reason}",
            "Repair or replace the files, or name another folder.",
        )
    sources = [(image.sha256, folder / image.path) for image in found.images]
    vectors = _embed(project, sources, device, part_of(progress, 0.2, 1.0))
    _write(out, found.images, vectors)
    return EmbeddedFolder(len(found.images), tuple(found.quarantined))


def embed_file(project: Project, path: Path, *, device: str, progress: Progress) -> FloatArray:
    """[D] the vector of one image file.

    Raises:
        ArchiveError: the file is missing or no readable image.
        JobError: there is no model yet.
    """
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise JobError(
            f"{path} cannot be read: {error.strerror}.", "Give the path of an image file."
        ) from error
    vector: FloatArray = _embed(project, [(sha256, path)], device, progress)[0]
    return vector


def _write(out: Path, images: Sequence[ScannedImage], vectors: FloatArray) -> None:
    paths = np.array([image.path for image in images], dtype=np.str_)
    try:
        with written_whole(out) as draft, draft.open("wb") as file:
            np.savez(file, paths=paths, vectors=vectors)
    except OSError as error:
        raise InputError(
            f"--out {out} cannot be written: {error.strerror}.", "Choose a folder you may write to."
        ) from error


def _embed(
    project: Project, sources: Sequence[tuple[str, Path]], device: str, progress: Progress
) -> FloatArray:
    run = runs.active_run(project.store.reader())
    if run is None:
        raise JobError("There is no model yet.", 'Run "python cli.py embed" first.')
    where = resolve_device(device)
    backbone, _ = run_backbone(project, run.name, where, part_of(progress, 0.0, 0.2))
    features = features_for(
        sources,
        backbone,
        cache=FeatureCache(project.cache / "features"),
        size_px=project.config.model.image_size_px,
        views=views_of(project.runs / run.name),
        device=where,
        progress=part_of(progress, 0.2, 1.0),
    )
    return load_head(project.runs / run.name / CHECKPOINT).embed(features)
