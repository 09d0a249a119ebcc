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


class Presence:
    """A lock shared with all others who are present; held until its end or the process's."""

    def __init__(self, handle: int) -> None:
        self._handle: int | None = handle

    def end(self) -> None:
        """Let go; once is enough."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __del__(self) -> None:
        self.end()


def present(path: Path) -> Presence | None:
    """Keep away whoever wants to be `alone`; None in a folder that cannot be written.

    Raises:
        ProjectError: somebody is alone there now.
    """
    handle = _handle_of(path)
    if handle is None:
        return None
    presence = Presence(handle)
    if not _try(handle, fcntl.LOCK_SH):
        presence.end()
        raise ProjectError(
            f"A backup is being restored into {path.parent}.", "Try again in a moment."
        )
    return presence


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Inside, nobody else is or becomes present.

    Raises:
        ProjectError: somebody is present, or the file cannot be written.
    """
    with _opened(path) as file:
        if not _try(file.fileno(), fcntl.LOCK_EX):
            raise ProjectError(
                f"{path.parent} is in use by the app, the worker or a command.",
                "Stop them (Ctrl+C in script/run) and try again; nothing was changed.",
            )
        yield


def _handle_of(path: Path) -> int | None:
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
        try:
            return os.open(path, flags, 0o666)
        except OSError:
            continue
    return None


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
