"""Backups: one zip file with what people did, made while they go on.

In it: `labels.db`, a copy of one moment; `project.toml`; of every run its settings, metrics and
pairs; of the model in use all files; and last `manifest.json`, which says what the rest is. Not in
it: images (they are never copied), jobs, caches, and the secret that signs sessions.
"""

import hashlib
import json
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from domain.clock import utc_now
from domain.errors import InputError, ProjectError
from domain.files import sync
from domain.images import ImageRecord
from domain.jobs import Progress, silent
from domain.version import VERSION
from labeling_store import answers, images, runs
from labeling_store.checks import check_copy
from labeling_store.db import Store
from workflow.project import CONFIG_NAME, Project
from workflow.run_files import DESCRIPTION, FILES

FORMAT = 1
MANIFEST = "manifest.json"
LABELS = "labels.db"
MOST_MANIFEST_BYTES = 64 << 20  # some 300,000 files
CHUNK_BYTES = 1 << 20
# What reading a zip that was changed or cut off may raise, beside OSError.
UNREADABLE = (
    KeyError, EOFError, ValueError, OverflowError, RuntimeError, zlib.error, struct.error,
    zipfile.BadZipFile, zipfile.LargeZipFile,
)  # fmt: skip


class PackedFile(BaseModel):
    """One file of a backup."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """What a backup says of itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    version: str  # of the program
    made_at: str
    project: str
    images: int = Field(ge=0)
    dataset_sha256: str
    answers: int = Field(ge=0)  # events of the log
    last_event_id: int = Field(ge=0)
    model: str | None  # the run in use
    with_model: bool  # whether its files are in the backup
    files: dict[str, PackedFile]


@dataclass(frozen=True)
class Backup:
    """A backup file and what it says of itself."""

    path: Path
    size_bytes: int
    manifest: Manifest


def make_backup(
    project: Project,
    target: Path,
    *,
    with_model: bool = True,
    progress: Progress = silent,
) -> Backup:
    """Write everything that people did to one file; it appears whole and checked, or not at all.

    People answer meanwhile: it holds every answer acknowledged before the call.

    Args:
        project: may be in use by others.
        target: a new file.
        with_model: also all files of the model in use; else it is trained anew after a restore.
        progress: told about the steps.

    Raises:
        ProjectError: the file exists already, or cannot be written.
        StoreError: the database is damaged, or the disk is full.
    """
    if target.exists():
        raise ProjectError(f"{target} exists already.", "Name a new file; nothing was written.")
    with (
        _writing(target),
        tempfile.TemporaryDirectory(
            dir=target.parent, prefix=f".{target.name}.", suffix=".part"
        ) as folder,
    ):
        copy, draft = Path(folder) / LABELS, Path(folder) / "draft.zip"
        progress(0.0, "copying the answers")
        project.store.copy_to(copy)
        progress(0.3, "checking the copy")
        check_copy(copy)
        progress(0.6, "writing the backup")
        manifest = _write(project, copy, draft, with_model=with_model)
        sync(draft)
        _publish(draft, target)
    return Backup(target, target.stat().st_size, manifest)


def read_backup(path: Path) -> Backup:
    """What a backup says of itself; its files are not read.

    Raises:
        InputError: it is no backup, is cut off, or was made by a newer version.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(MANIFEST).file_size > MOST_MANIFEST_BYTES:
                raise ValueError("its manifest is too long")
            said = json.loads(archive.read(MANIFEST))
            made_as = said.get("format") if isinstance(said, dict) else None
            if isinstance(made_as, int) and made_as > FORMAT:
                raise _newer(path, said)
            return Backup(path, path.stat().st_size, Manifest.model_validate(said))
    except (OSError, *UNREADABLE) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is no backup of Anneal, or is cut off.",
            'Give a file that "python cli.py backup FILE" wrote.',
        ) from error


def dataset_sha256(records: list[ImageRecord]) -> str:
    """One hash for the whole archive: of every image's path and content, whatever its id."""
    lines = sorted(f"{record.sha256}  {record.path}\n" for record in records)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """Of the bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_moment() -> str:
    """Now, as a part of a file's name that sorts by time."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")


def _write(project: Project, copy: Path, draft: Path, *, with_model: bool) -> Manifest:
    store = Store(copy, read_only=True)
    try:
        db = store.reader()
        records, known, active = images.list_images(db), runs.list_runs(db), runs.active_run(db)
        last = answers.last_event_id(db)
        count = answers.effort(db).answers
    finally:
        store.close()
    files: dict[str, PackedFile] = {}
    whole = active.name if active is not None and with_model else None
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        _add(archive, files, LABELS, copy)
        _add(archive, files, CONFIG_NAME, project.folder / CONFIG_NAME)
        for run in known:
            for name in FILES if run.name == whole else DESCRIPTION:
                path = project.runs / run.name / name
                if path.is_file():
                    _add(archive, files, f"runs/{run.name}/{name}", path)
        manifest = Manifest(
            format=FORMAT,
            version=VERSION,
            made_at=utc_now(),
            project=project.config.name,
            images=len(records),
            dataset_sha256=dataset_sha256(records),
            answers=count,
            last_event_id=last,
            model=None if active is None else active.name,
            with_model=whole is not None,
            files=files,
        )
        archive.writestr(MANIFEST, manifest.model_dump_json(indent=1))
    return manifest


def _add(archive: zipfile.ZipFile, files: dict[str, PackedFile], name: str, path: Path) -> None:
    digest, size_bytes = hashlib.sha256(), 0
    with path.open("rb") as source, archive.open(name, "w", force_zip64=True) as target:
        while chunk := source.read(CHUNK_BYTES):
            target.write(chunk)
            digest.update(chunk)
            size_bytes += len(chunk)
    files[name] = PackedFile(size_bytes=size_bytes, sha256=digest.hexdigest())


def _publish(draft: Path, target: Path) -> None:
    try:
        os.link(draft, target)  # unlike a rename, it fails where the file has appeared meanwhile
    except FileExistsError:
        raise
    except OSError:  # some memory sticks know no links
        draft.rename(target)
    sync(target.parent)


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ProjectError(
            f"{target} cannot be written: {error.strerror or error}.",
            "Make room or choose another folder; there is no half-written backup.",
        ) from error


def _newer(path: Path, said: dict[str, object]) -> InputError:
    return InputError(
        f"{path} was written by Anneal {said.get('version')}, which is newer than this one.",
        "Update Anneal and try again.",
    )
