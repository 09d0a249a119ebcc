"""A project's database file: connections, transactions, and what can go wrong with them.

The only place that connects, sets pragmas and begins transactions. Every thread has one connection;
every write runs in `with store.transaction() as db:`, which is BEGIN IMMEDIATE: a transaction that
only becomes a writer half-way fails at once where two people write, whatever the busy timeout.
"""

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from domain.config import Journal
from domain.errors import StoreError
from labeling_store.failures import translated
from labeling_store.filesystems import network_file_system
from labeling_store.ledger import Ledger
from labeling_store.migrations import check_version, migrate

BUSY_TIMEOUT_S = 30.0  # longer than any import of a large file holds the write lock
LOG_ROOM_BYTES = 256 << 20  # a log longer than this gives its room back when it begins anew
_POLL_S = 0.02
_TRIES = 10  # to begin the log anew while others write
FIRST_SAFE_SQLITE = (3, 51, 3)  # before: simultaneous checkpoints can corrupt a WAL database
_SQLITE_MAGIC = b"SQLite format 3\x00"


class _Connection:
    """A thread's connection; closed when the thread ends, as some Pythons warn otherwise."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __del__(self) -> None:
        self.connection.close()


class Store:
    """One SQLite file, safe to use from many threads and processes at once."""

    def __init__(
        self,
        path: Path,
        *,
        read_only: bool = False,
        checkpoints: bool = False,
        journal: Journal = Journal.AUTO,
    ) -> None:
        self.path = path
        self.read_only = read_only
        self.checkpoints = checkpoints
        self.journal = journal
        self.ledger = Ledger()
        self._thread = threading.local()
        self._connections: weakref.WeakSet[_Connection] = weakref.WeakSet()
        self._opening = threading.Lock()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        create: bool = False,
        checkpoints: bool = False,
        journal: Journal = Journal.AUTO,
    ) -> "Store":
        """The store in a file, brought to the newest schema.

        The schema follows the file's name: `jobs.db` holds the worker's jobs, every other name
        people's work. Where the file or its folder cannot be written, the store opens for reading.

        Args:
            path: the database file.
            create: make the file if it is missing.
            checkpoints: this process folds the write-ahead log into the file; exactly one process
                of a project should (a race between two corrupts the file before SQLite 3.51.3).
            journal: with `auto` a network file system is refused.

        Raises:
            StoreError: missing, no database, unreadable, locked for longer than the timeout, or on
                a network file system.
            SchemaError: written by a newer version of the program.
        """
        _check_file(path, create)
        read_only = path.exists() and not _writable(path)
        if journal is Journal.AUTO and not read_only:
            _refuse_network(path)
        store = cls(path, read_only=read_only, checkpoints=checkpoints, journal=journal)
        with translated(path, writing=False):
            if read_only:
                check_version(store.reader(), path)
            else:
                migrate(store.reader(), path)
        return store

    def reader(self) -> sqlite3.Connection:
        """This thread's connection, for reading; each statement sees the newest committed state."""
        held: _Connection | None = getattr(self._thread, "held", None)
        if held is None:
            held = _Connection(self._connect())
            self._thread.held = held
            with self._opening:
                self._connections.add(held)
        return held.connection

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """All or nothing: commits at the end, takes everything back when an error leaves the block.

        Args:
            durable: survives a power cut once the block is left. False does not wait for the disk:
                a power cut may take it back (never in part), the death of the process cannot.

        Raises:
            StoreError: locked by others for too long, disk full, read-only; nothing was saved.
            RuntimeError: opened inside another transaction of the same thread.
        """
        db = self.reader()
        if db.in_transaction:
            raise RuntimeError("A transaction is open in this thread already; pass its `db` on.")
        with translated(self.path):
            if not durable:
                db.execute("PRAGMA synchronous = NORMAL")
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                if not durable:
                    db.execute("PRAGMA synchronous = FULL")

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Several reads of one moment, never for writing; inside a transaction, that one."""
        db = self.reader()
        if db.in_transaction:
            yield db
            return
        with translated(self.path, writing=False):
            db.execute("BEGIN")
            try:
                yield db
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def checkpoint(self) -> None:
        """Fold the write-ahead log into the file, as far as running readers allow.

        The next answer is then written to the log's begin. The log keeps its room on the disk: a
        file that does not grow is flushed in two thirds of the time. Nobody waits for it longer
        than a moment. Does nothing where the store was not opened with `checkpoints=True`.
        """
        if not self.checkpoints:
            return
        db = self.reader()
        with translated(self.path):
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # beside readers and writers
            # To begin the log anew, writers must wait: not for a reader that takes its time.
            db.execute("PRAGMA busy_timeout = 0").fetchall()
            try:
                for _ in range(_TRIES):
                    (busy, _, _) = db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
                    if not busy:
                        return
                    time.sleep(_POLL_S)
            finally:
                db.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}").fetchall()

    def copy_to(self, target: Path) -> None:
        """Write a database file with everything of one moment, while others go on writing.

        The copy is one file, without a log beside it. It is not checked.

        Raises:
            StoreError: it does not fit, or this file is damaged; the target may be half written.
        """
        with translated(target):
            copy = sqlite3.connect(target, isolation_level=None)
            try:
                # At once: copied in parts, it would start again whenever somebody writes.
                self.reader().backup(copy, pages=-1)
                copy.execute("PRAGMA journal_mode = DELETE").fetchall()
            finally:
                copy.close()

    def close(self) -> None:
        """Close the connections of all threads; the store cannot be used afterwards."""
        with self._opening:
            for held in list(self._connections):
                held.connection.close()

    def _connect(self) -> sqlite3.Connection:
        with translated(self.path, writing=False):
            if self.read_only:
                return _connect_for_reading(self.path)
            db = _connected(str(self.path))
            _use_journal(db, "DELETE" if self.journal is Journal.DELETE else "WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("PRAGMA temp_store = MEMORY")  # else a savepoint opens a file of its own
            db.execute("PRAGMA recursive_triggers = ON")  # else REPLACE deletes past the triggers
            db.execute(f"PRAGMA journal_size_limit = {LOG_ROOM_BYTES}").fetchall()
            if not self.checkpoints:
                db.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
            return db


def sqlite_warning() -> str | None:
    """What to tell the people of a project about this SQLite's version; None if it is safe."""
    if sqlite3.sqlite_version_info >= FIRST_SAFE_SQLITE:
        return None
    return (
        f"SQLite {sqlite3.sqlite_version} is older than 3.51.3, where a rare corruption under "
        "simultaneous checkpoints was mended; Anneal lets only one process checkpoint. "
        "A newer Python brings a newer SQLite."
    )


def _connected(target: str, *, uri: bool = False) -> sqlite3.Connection:
    # Other threads may close a connection, but only its own thread ever uses it.
    db = sqlite3.connect(
        target, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, uri=uri
    )
    db.row_factory = sqlite3.Row
    return db


def _use_journal(db: sqlite3.Connection, name: Literal["DELETE", "WAL"]) -> None:
    """Switch the file over; where others do the same, SQLite fails at once instead of waiting."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            db.execute(f"PRAGMA journal_mode = {name}").fetchall()
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() >= deadline:
                raise
        time.sleep(_POLL_S)


def _connect_for_reading(path: Path) -> sqlite3.Connection:
    """In a folder without a write-ahead log, `immutable` spares SQLite the files it cannot make."""
    log = path.with_name(path.name + "-wal")
    untouched = not log.exists() or log.stat().st_size == 0
    options = "mode=ro&immutable=1" if untouched else "mode=ro"
    return _connected(f"{path.absolute().as_uri()}?{options}", uri=True)


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _refuse_network(path: Path) -> None:
    kind = network_file_system(path.parent)
    if kind is not None:
        raise StoreError(
            f"{path.parent} is on a network file system ({kind}), where the write-ahead log of the "
            "database is not safe.",
            "Put the project folder on a disk of this computer (--project DIR); the images may "
            'stay. Or keep it here, slower, with journal = "delete" under [store] in project.toml '
            "(init --journal delete), and open it on one computer at a time.",
        )


def _check_file(path: Path, create: bool) -> None:
    if not path.exists():
        if not create:
            raise StoreError(
                f"{path} is missing.", 'Make a project with "python cli.py init --images DIR".'
            )
        if not path.parent.is_dir():
            raise StoreError(f"{path.parent} is no folder.", "Make the folder first.")
        if not os.access(path.parent, os.W_OK):
            raise StoreError(
                f"{path.parent} cannot be written.", "Choose a folder you may write to."
            )
        return
    try:
        start = _first_bytes(path) if path.is_file() else b"?"
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read: {error.strerror}.", "Allow reading it and try again."
        ) from error
    if start != _SQLITE_MAGIC and not (start == b"" and create):
        raise StoreError(
            f"{path} is no database of Anneal.", 'Bring a backup back with "python cli.py restore".'
        )


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_SQLITE_MAGIC))
