"""SQLite's failures in the words of a user; anything else is a bug and keeps its traceback."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from domain.errors import DiskFullError, StoreError

_CAUSES = {
    sqlite3.SQLITE_BUSY: ("is locked by another program", "Try again in a moment."),
    sqlite3.SQLITE_LOCKED: ("is locked by another program", "Try again in a moment."),
    sqlite3.SQLITE_READONLY: ("cannot be written", "Allow writing to it and to its folder."),
    sqlite3.SQLITE_IOERR: ("could not be read or written (disk error)", "Check the disk."),
    sqlite3.SQLITE_CORRUPT: ("is damaged", 'Bring a backup back with "python cli.py restore".'),
    sqlite3.SQLITE_FULL: ("did not fit: the disk is full", "Free some space and try again."),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "Allow reading it and its folder."),
    sqlite3.SQLITE_NOTADB: (
        "is no database",
        'Bring a backup back with "python cli.py restore".',
    ),
}


@contextmanager
def translated(path: Path, *, writing: bool = True) -> Iterator[None]:
    """Turn SQLite's complaints about the file itself into a `StoreError` that says what to do.

    Args:
        path: the file.
        writing: whether something was to be saved, which the error then says is not.
    """
    try:
        yield
    except sqlite3.Error as error:
        said = in_words(error, f"Not saved: {path}" if writing else str(path))
        if said is None:
            raise
        raise said from error


def in_words(error: Exception, what: str = "The project's database") -> StoreError | None:
    """What a failure of SQLite means to a user, where it is the file's and no bug; else None."""
    if not isinstance(error, sqlite3.Error):
        return None
    code = getattr(error, "sqlite_errorcode", -1) & 0xFF
    cause = _CAUSES.get(code)
    if cause is None:
        return None
    kind = DiskFullError if code == sqlite3.SQLITE_FULL else StoreError
    return kind(f"{what} {cause[0]}.", cause[1])
