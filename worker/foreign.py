"""Images that are not in the archive, under the project's active model."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np

from archive.scan import scan
from domain.arrays import FloatArray
from domain.errors import InputError, JobError
from domain.jobs import Progress, part_of
from labeling_store import runs
from training.checkpoints import load_head
from training.device import resolve_device
from training.feature_cache import FeatureCache
from training.features import features_for
from worker.backbone import ready_backbone
from workflow.project import Project
from workflow.run_files import CHECKPOINT


def embed_folder(
    project: Project, folder: Path, out: Path, *, device: str, progress: Progress
) -> int:
    """Embed all readable images below a folder into a `.npz` with `paths` [N] and `vectors` [N, D].

    Returns:
        How many images.

    Raises:
        ArchiveError: the folder cannot be used.
        InputError: `out` is a folder, or in a folder that does not exist.
        JobError: there is no model yet.
    """
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise InputError(
            f"--out {out}: it must be a file in a folder that exists.", "Give another path."
        )
    found = scan(folder, progress=part_of(progress, 0.0, 0.2)).images
    sources = [(image.sha256, folder / image.path) for image in found]
    vectors = _embed(project, sources, device, part_of(progress, 0.2, 1.0))
    paths = np.array([image.path for image in found], dtype=np.str_)
    with NamedTemporaryFile(dir=out.absolute().parent, suffix=".npz", delete=False) as draft:
        np.savez(draft, paths=paths, vectors=vectors)
    Path(draft.name).replace(out)
    return len(found)


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


def _embed(
    project: Project, sources: Sequence[tuple[str, Path]], device: str, progress: Progress
) -> FloatArray:
    run = runs.active_run(project.store.reader())
    if run is None:
        raise JobError("There is no model yet.", 'Run "python cli.py embed" first.')
    where = resolve_device(device)
    backbone, _ = ready_backbone(project, where, part_of(progress, 0.0, 0.2))
    features = features_for(
        sources,
        backbone,
        cache=FeatureCache(project.cache / "features"),
        size_px=project.config.model.image_size_px,
        device=where,
        progress=part_of(progress, 0.2, 1.0),
    )
    return load_head(project.runs / run.name / CHECKPOINT).embed(features)
