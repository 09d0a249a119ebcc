"""A new project's folder: made in a workshop inside it, and moved up once it is complete."""

import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from domain.errors import ProjectError
from workflow.project import CONFIG_NAME

_PEOPLES_WORK = "labels.db"
# What a project keeps in its folder. A write-ahead log of another database would be played into
# the new one; an old cache or secret would belong to other images and people.
_OWN_NAMES = (
    _PEOPLES_WORK,
    *(f"{base}{end}" for base in ("labels.db", "jobs.db") for end in ("-wal", "-shm")),
    "jobs.db",
    "runs",
    "cache",
    "secret",
)


@contextmanager
def new_folder(folder: Path, *, also: Collection[str] = ()) -> Iterator[Path]:
    """A workshop inside the folder, whose content moves up at the end, the settings last.

    Whatever fails, also half-way through the move, leaves the folder as it was.

    Args:
        folder: of the project; made where it is missing.
        also: further names that the project will have in its folder.

    Raises:
        ProjectError: the folder holds a project, or something of its names; or cannot be written.
    """
    with writing(folder):
        _refuse_present(folder, also)
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            workshop = Path(tempfile.mkdtemp(prefix=".new-project-", dir=folder))
        try:
            yield workshop
            with writing(folder):
                _move_up(workshop, folder)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
    finally:
        with suppress(OSError):  # not empty: the project is there
            for made in missing:
                made.rmdir()


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns what the system says when it cannot write into a `ProjectError`."""
    try:
        yield
    except OSError as error:
        raise ProjectError(
            f"{folder} cannot be written: {error.strerror or error}.",
            "Make room, change its permissions, or choose another folder with --project DIR.",
        ) from error


def _move_up(workshop: Path, folder: Path) -> None:
    names = sorted((each.name for each in workshop.iterdir()), key=lambda name: name == CONFIG_NAME)
    _refuse_present(folder, names)  # again: making a project takes minutes
    try:
        for name in names:
            (workshop / name).rename(folder / name)
    except BaseException:
        for name in names:
            if not (workshop / name).exists():
                with suppress(OSError):
                    (folder / name).rename(workshop / name)
        raise


def _refuse_present(folder: Path, also: Collection[str]) -> None:
    if (folder / CONFIG_NAME).exists():
        raise ProjectError(
            f"{folder} holds a project already.",
            "Open it, or choose another folder with --project DIR.",
        )
    present = next((each for each in (*_OWN_NAMES, *also) if (folder / each).exists()), None)
    if present is not None:
        back = f"Put the {CONFIG_NAME} back" if present == _PEOPLES_WORK else "Move it away"
        raise ProjectError(
            f"{folder} holds a {present} but no {CONFIG_NAME}.",
            f"{back}, or choose another folder with --project DIR.",
        )
