"""Pictures that people search with: handed to the worker's quick lane, which embeds them.

A mailbox of files in the project's cache, so that the web process neither decodes an unknown file
nor loads a network, and so that a search waits for no other job. A picture is left under the hash
of its content and the name of the model; the lane takes it, leaves the vector and a small picture,
and deletes what was brought. The same picture with the same model is embedded once.
"""

import hashlib
import io
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from domain.arrays import FloatArray
from domain.errors import AnnealError, InputError, JobError
from domain.files import written_whole
from labeling_store import runs
from workflow.locks import is_held
from workflow.project import Project

MOST_BYTES = 50 * 1024 * 1024  # as much as the pages let through, see maxUploadSize
MOST_KEPT = 200  # embedded pictures; the oldest go first
LONGEST_WAIT_S = 20.0  # the lane may be starting, and a picture may have 64 million pixels
QUICK_LOCK = "quick.lock"
_POLL_S = 0.01
_HASH_DIGITS = 64
_WAITING, _TAKEN = ".waiting", ".taken"


@dataclass(frozen=True)
class Query:
    """A picture that is no image of the archive, as a model sees it.

    Attributes:
        sha256: of the file's bytes.
        vector: [D] of length 1.
        picture: a small JPEG of it.
    """

    sha256: str
    run: str
    vector: FloatArray
    picture: Path


@dataclass(frozen=True)
class Request:
    """A picture that waits to be embedded with a model; `path` is the file as it was brought."""

    sha256: str
    run: str
    path: Path


def embedded(project: Project, content: bytes, *, wait_s: float = LONGEST_WAIT_S) -> Query:
    """A picture under the active model; waits until the quick lane has embedded it.

    Raises:
        InputError: the content is empty or too large.
        ArchiveError: it is no readable JPEG, PNG or TIFF, or has too many pixels.
        JobError: there is no model yet, no worker is running, or it takes too long.
    """
    _check_size(content)
    run = runs.active_run(project.store.reader())
    if run is None:
        raise JobError(
            "There is no model yet.", "The worker makes the first one; see the Overview page."
        )
    sha256 = hashlib.sha256(content).hexdigest()
    found = _answer(project, sha256, run.name)
    if found is None:
        if not quick_lane_alive(project):
            raise JobError(
                "The worker is not running: nothing can embed the picture.",
                'Start it with "script/run" or "python cli.py worker".',
            )
        _leave(project, sha256, run.name, content)
        found = _wait_for(project, sha256, run.name, wait_s)
    os.utime(found.picture)  # used now: kept longer
    return found


def quick_lane_alive(project: Project) -> bool:
    """Whether a process embeds pictures for this project now."""
    return is_held(project.folder / QUICK_LOCK)


# --- the lane's side -----------------------------------------------------------------------


def next_request(project: Project) -> Request | None:
    """Take the picture that waits longest; None if none waits."""
    try:
        waiting = [each for each in os.scandir(_folder(project)) if each.name.endswith(_WAITING)]
        first = min(waiting, key=lambda each: each.stat().st_mtime_ns, default=None)
        if first is None:
            return None
        taken = Path(first.path).with_suffix(_TAKEN)
        os.rename(first.path, taken)
    except FileNotFoundError:  # nothing was ever asked, or the asker gave up just now
        return None
    return Request(taken.name[:_HASH_DIGITS], taken.stem[_HASH_DIGITS + 1 :], taken)


def answer(project: Project, request: Request, vector: FloatArray, picture: bytes) -> None:
    """Leave a picture's vector [D] and its small JPEG for those who wait."""
    folder = _answers(project, request.sha256)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "picture.jpg", picture)
    array = io.BytesIO()
    np.save(array, vector, allow_pickle=False)
    _write(folder / f"{request.run}.npy", array.getvalue())  # last: it is what they look for
    request.path.unlink(missing_ok=True)


def refuse(project: Project, request: Request, error: AnnealError) -> None:
    """Say why a picture cannot be embedded."""
    folder = _answers(project, request.sha256)
    folder.mkdir(parents=True, exist_ok=True)
    said = {"message": error.message, "hint": error.hint}
    _write(folder / "refused.json", json.dumps(said).encode())
    request.path.unlink(missing_ok=True)


def tidy(project: Project) -> None:
    """Delete pictures that a lane had taken when it died, and the oldest answers."""
    folder = _folder(project)
    for left in folder.glob(f"*{_TAKEN}"):
        left.unlink(missing_ok=True)
    answers = [each for each in folder.glob("*") if len(each.name) == _HASH_DIGITS]
    answers.sort(key=lambda each: _used_at(each), reverse=True)
    for old in answers[MOST_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


# --- the asker's side ----------------------------------------------------------------------


def _check_size(content: bytes) -> None:
    if not content:
        raise InputError("The file is empty (0 bytes).", "Choose a JPEG, PNG or TIFF.")
    if len(content) > MOST_BYTES:
        raise InputError(
            f"The file has {len(content) >> 20} MiB; at most {MOST_BYTES >> 20} are allowed.",
            "Make the picture smaller; the model looks at a few hundred pixels a side anyway.",
        )


def _leave(project: Project, sha256: str, run: str, content: bytes) -> None:
    (_answers(project, sha256) / "refused.json").unlink(missing_ok=True)
    _folder(project).mkdir(parents=True, exist_ok=True)
    _write(_folder(project) / f"{sha256}-{run}{_WAITING}", content)


def _wait_for(project: Project, sha256: str, run: str, wait_s: float) -> Query:
    deadline = time.monotonic() + wait_s
    while (found := _answer(project, sha256, run)) is None:
        _raise_refusal(project, sha256)
        if time.monotonic() > deadline:
            (_folder(project) / f"{sha256}-{run}{_WAITING}").unlink(missing_ok=True)
            raise JobError(
                f"The picture was not embedded within {wait_s:.0f} seconds.",
                "The worker is starting or very busy: try again in a minute.",
            )
        time.sleep(_POLL_S)
    return found


def _answer(project: Project, sha256: str, run: str) -> Query | None:
    folder = _answers(project, sha256)
    try:
        vector: FloatArray = np.load(folder / f"{run}.npy", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return Query(sha256, run, vector, folder / "picture.jpg")


def _raise_refusal(project: Project, sha256: str) -> None:
    try:
        said = json.loads((_answers(project, sha256) / "refused.json").read_text())
    except (OSError, ValueError):
        return
    raise InputError(said["message"], said["hint"])


def _folder(project: Project) -> Path:
    return project.cache / "queries"


def _answers(project: Project, sha256: str) -> Path:
    return _folder(project) / sha256


def _used_at(folder: Path) -> float:
    try:
        return (folder / "picture.jpg").stat().st_mtime
    except OSError:
        return 0.0


def _write(path: Path, content: bytes) -> None:
    """The file with this content; nobody reads half of it.

    Raises:
        JobError: the project's cache cannot be written.
    """
    try:
        with written_whole(path) as draft:
            draft.write_bytes(content)
    except OSError as error:
        raise JobError(
            f"{path.parent} cannot be written: {error.strerror}.",
            "Make room on the disk, or make the project folder writable.",
        ) from error
