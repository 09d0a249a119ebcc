"""A lock file that a process holds while it lives: the kernel lets go when it dies, however."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from domain.errors import ProjectError


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Whether this process got the lock; it keeps it until the block ends or the process dies.

    Raises:
        ProjectError: the file cannot be written.
    """
    with _opened(path) as file:
        got = _try(file.fileno(), fcntl.LOCK_EX)
        if got:
            os.truncate(path, 0)
            file.write(f"{os.getpid()}\n")
            file.flush()
        yield got


def is_held(path: Path) -> bool:
    """Whether another process holds the lock now."""
    try:
        with path.open() as file:
            return not _try(file.fileno(), fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


def _opened(path: Path) -> TextIO:
    try:
        return path.open("a")
    except OSError as error:
        raise ProjectError(
            f"{path} cannot be written: {error.strerror}.",
            "Training needs a project folder that can be written; reading it goes on.",
        ) from error


def _try(handle: int, mode: int) -> bool:
    try:
        fcntl.flock(handle, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
