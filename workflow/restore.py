"""Bringing a backup back: into a new folder, or in the place of what a project holds now.

Everything is unpacked and checked beside the project first; what was there is kept. Nobody may
have the project open meanwhile: they would go on writing into the replaced file.
"""

import hashlib
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from domain.clock import utc_now
from domain.config import BackupSettings, ProjectConfig, project_toml, read_config
from domain.errors import AnnealError, InputError, ProjectError, StoreError
from domain.files import sync
from domain.jobs import Progress, silent
from labeling_store import runs, sign_ins, tokens
from labeling_store.checks import check_copy
from labeling_store.db import Store
from labeling_store.numbering import go_on_counting
from workflow import jobs
from workflow.backup import (
    CHUNK_BYTES,
    LABELS,
    MANIFEST,
    UNREADABLE,
    Manifest,
    file_moment,
    make_backup,
    read_backup,
    sha256_of,
)
from workflow.locks import alone
from workflow.new_folder import writing
from workflow.project import CONFIG_NAME, IN_USE_LOCK, Project, open_project
from workflow.run_files import CHECKPOINT, FILES, is_usable

KEPT = "before-restore-"  # how the names of what was replaced start, in the folder of backups
_LOGS = ("-wal", "-shm", "-journal")
_NAME = re.compile(
    rf"{re.escape(LABELS)}|{re.escape(CONFIG_NAME)}|"
    rf"runs/(?!\.)[\w.-]+/({'|'.join(map(re.escape, FILES))})",
    re.ASCII,
)


@dataclass(frozen=True)
class Restored:
    """What a restore did.

    Attributes:
        kept: the backup, or the folder, that holds what was replaced; None in a new folder.
        warnings: what a person should look at.
    """

    project: Project
    manifest: Manifest
    kept: Path | None
    warnings: tuple[str, ...]


def restore(
    file: Path,
    folder: Path,
    *,
    overwrite: bool = False,
    images: Path | None = None,
    progress: Progress = silent,
) -> Restored:
    """The project as a backup has it.

    Args:
        file: made by `make_backup`.
        folder: of the project; made where it is missing.
        overwrite: whether a project that is there may be replaced; it is kept as a backup.
        images: where the archive's images are now; None: where they were.
        progress: told about the steps.

    Returns:
        The open project. The worker is asked to prepare what is not in a backup.

    Raises:
        InputError: the file is no backup, is damaged, or holds what no backup does.
        SchemaError: a newer version wrote it.
        ProjectError: a project is there, is in use, or the folder cannot be written.
        StoreError: the database in the backup is damaged.
    """
    manifest = read_backup(file).manifest
    _check_names(file, manifest)
    if images is not None and not images.is_dir():
        raise InputError(f"--images {images} is no folder.", "Name the folder with the images.")
    is_there = any((folder / name).exists() for name in (CONFIG_NAME, LABELS))
    if is_there and not overwrite:
        raise ProjectError(
            f"{folder} holds a project already.",
            "Choose another folder with --project DIR, or give --overwrite: what is there is kept "
            "as a backup.",
        )
    with ExitStack() as stack:
        stack.enter_context(writing(folder))
        workshop = stack.enter_context(_workshop(folder))
        stack.enter_context(alone(folder / IN_USE_LOCK))
        config = _unpack(file, manifest, workshop, images, progress)
        progress(0.7, "keeping what is there")
        kept = _keep(folder, config) if is_there else None
        go_on_counting(workshop / LABELS, folder / LABELS)
        progress(0.9, "putting the backup in its place")
        with _kept_named(kept):
            _put(workshop, folder)
    return _opened(folder, manifest, kept)


def _check_names(file: Path, manifest: Manifest) -> None:
    """Refuse names that lead elsewhere; only what backups hold is ever unpacked."""
    strange = [name for name in manifest.files if not _NAME.fullmatch(name) or ".." in name]
    if strange or not {LABELS, CONFIG_NAME} <= manifest.files.keys():
        what = f"holds {strange[0]!r}" if strange else f"has no {LABELS} or no {CONFIG_NAME}"
        raise InputError(f"{file} {what}, as no backup does.", "Use another backup.")


@contextmanager
def _workshop(folder: Path) -> Iterator[Path]:
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    workshop = Path(tempfile.mkdtemp(prefix=".restoring-", dir=folder))
    try:
        yield workshop
    except BaseException:
        shutil.rmtree(workshop)
        if missing:
            (folder / IN_USE_LOCK).unlink(missing_ok=True)
        for made in missing:
            made.rmdir()
        raise
    shutil.rmtree(workshop)


def _unpack(
    file: Path, manifest: Manifest, workshop: Path, images: Path | None, progress: Progress
) -> ProjectConfig:
    size_bytes = sum(each.size_bytes for each in manifest.files.values())
    free_bytes = shutil.disk_usage(workshop).free
    if size_bytes > free_bytes:
        raise ProjectError(
            f"The backup needs {size_bytes:,} bytes, and {free_bytes:,} are free.", "Make room."
        )
    done_bytes = 0
    with zipfile.ZipFile(file) as archive:
        for name, packed in manifest.files.items():
            progress(0.6 * done_bytes / max(size_bytes, 1), f"unpacking {name}")
            _unpack_one(archive, name, packed.size_bytes, packed.sha256, workshop / name)
            done_bytes += packed.size_bytes
    progress(0.6, "checking the answers")
    check_copy(workshop / LABELS)
    config = read_config(workshop / CONFIG_NAME)
    if images is not None:
        moved = config.archive.model_copy(update={"images": images.absolute()})
        config = config.model_copy(update={"archive": moved})
        (workshop / CONFIG_NAME).write_text(project_toml(config), encoding="utf-8")
    return config


def _unpack_one(
    archive: zipfile.ZipFile, name: str, size_bytes: int, sha256: str, target: Path
) -> None:
    """One file, no longer than the manifest says, whatever the zip claims of itself."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, left = hashlib.sha256(), size_bytes
    try:
        with archive.open(name) as source, target.open("wb") as file:
            while chunk := source.read(min(CHUNK_BYTES, left + 1)):
                left -= len(chunk)
                if left < 0:
                    break
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    except UNREADABLE as error:
        raise _damaged(name) from error
    if left or digest.hexdigest() != sha256:
        raise _damaged(name)


def _damaged(name: str) -> InputError:
    return InputError(
        f"The backup is damaged: {name} is not as {MANIFEST} says.",
        "Nothing was changed; use another backup.",
    )


def _keep(folder: Path, config: ProjectConfig) -> Path:
    """A backup of what is there; where it is too damaged for one, its files as they are."""
    place = _place(folder, config)
    kept = place / f"{KEPT}{file_moment()}"
    try:
        present = _unguarded(folder)
    except AnnealError:
        return _keep_raw(folder, kept)
    try:
        return make_backup(present, kept.with_suffix(".zip"), with_model=False).path
    except StoreError:
        return _keep_raw(folder, kept)
    finally:
        present.close()  # the last one to leave folds the write-ahead log into the file


def _place(folder: Path, config: ProjectConfig) -> Path:
    """Where the restored project lists its backups; inside it where that is not to be had here."""
    place = folder / config.backup.folder
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError:
        place = folder / BackupSettings().folder
        place.mkdir(exist_ok=True)
    return place


def _unguarded(folder: Path) -> Project:
    """The project in a folder that this process has to itself."""
    config = read_config(folder / CONFIG_NAME)
    store = Store.open(folder / LABELS, journal=config.store.journal)
    return Project(folder=folder, config=config, store=store, jobs=store)


def _keep_raw(folder: Path, kept: Path) -> Path:
    kept.mkdir()
    for name in (CONFIG_NAME, LABELS, *(LABELS + end for end in _LOGS)):
        if (folder / name).exists():
            shutil.copy2(folder / name, kept / name)
    return kept


def _put(workshop: Path, folder: Path) -> None:
    """Move what was unpacked up; the settings last, as they make the folder a project."""
    for run in sorted((workshop / "runs").glob("*")):
        there = folder / "runs" / run.name
        there.parent.mkdir(exist_ok=True)
        if is_usable(run) and there.exists() and not _same_model(run, there):
            there.rename(there.with_name(f"{run.name}-{KEPT}{file_moment()}"))
        if not there.exists():
            run.rename(there)
    for end in _LOGS:  # the log of one database must never be played into another
        (folder / (LABELS + end)).unlink(missing_ok=True)
    (workshop / LABELS).replace(folder / LABELS)
    (workshop / CONFIG_NAME).replace(folder / CONFIG_NAME)
    sync(folder)


@contextmanager
def _kept_named(kept: Path | None) -> Iterator[None]:
    """Says where to find what was there, should the last step fail half-way."""
    try:
        yield
    except OSError as error:
        raise ProjectError(
            f"The backup could not be put in its place: {error.strerror or error}.",
            "Mend that and restore again."
            + (f" What was there is kept in {kept}." if kept is not None else ""),
        ) from error


def _same_model(run: Path, other: Path) -> bool:
    if not is_usable(other):
        return False
    return sha256_of(run / CHECKPOINT) == sha256_of(other / CHECKPOINT)


def _opened(folder: Path, manifest: Manifest, kept: Path | None) -> Restored:
    config = read_config(folder / CONFIG_NAME)
    Store.open(folder / "jobs.db", create=True, journal=config.store.journal).close()
    project = open_project(folder)
    warnings = []
    if not project.images_root.is_dir():
        warnings.append(
            f"The images folder {project.images_root} is not there: restore with --images DIR, or "
            f"mend [archive] images in {folder / CONFIG_NAME}."
        )
    with project.store.transaction() as db:
        active = runs.active_run(db)
        if active is not None and not is_usable(project.runs / active.name):
            runs.activate_none(db)
            warnings.append(
                f"The files of the model {active.name} are not in the backup: train again with "
                '"python cli.py train".'
            )
        # Those that were revoked since the backup was made would open the routes again.
        if ended := tokens.revoke_all(db, now=utc_now()):
            warnings.append(
                f"Tokens of scripts do not come back ({ended} in the backup): make new ones with "
                '"python cli.py token create".'
            )
    if known := sign_ins.list_sign_ins(project.store.reader()):
        warnings.append(
            f"{len(known)} of the members can sign in, as when the backup was made: look with "
            '"python cli.py members" whether they still should.'
        )
    jobs.enqueue_prepare(project.jobs)
    return Restored(project, manifest, kept, tuple(warnings))
