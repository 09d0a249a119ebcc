"""How a lane of the worker runs as a program: when it ends, and what its exit status says."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from domain.errors import AnnealError, InputError, ProjectError, SchemaError

# Exit statuses: a reason that may pass; the project is served already; somebody must mend it.
DIED, ANOTHER_WORKER, CANNOT_START = 1, 3, 4

LOCK_PATIENCE_S = 3.0  # pages probe a lane's lock for an instant

_log = logging.getLogger(__name__)


class Stop:
    """Set by a signal, or when the parent process is gone; jobs then go back to the queue."""

    def __init__(self, parent_pid: int | None = None) -> None:
        self._event = threading.Event()
        self._parent_pid = parent_pid

    def __bool__(self) -> bool:
        orphaned = self._parent_pid is not None and os.getppid() != self._parent_pid
        return orphaned or self._event.is_set()

    def request(self, signal_number: int, frame: FrameType | None) -> None:
        """Signal handler."""
        self.set()

    def set(self) -> None:
        """Stop now; also from another thread."""
        self._event.set()

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until the request."""
        self._event.wait(seconds)


def run_lane(serve: Callable[[Path, Stop], int]) -> int:
    """Serve the project that the program's arguments name until told to stop.

    Args:
        serve: takes the project's folder and what stops it; gives the exit status.

    Returns:
        0, or why it ended; the message is on standard error.
    """
    folder, parent_pid = Path(sys.argv[1]), int(sys.argv[2])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    stop = Stop(parent_pid)
    signal.signal(signal.SIGTERM, stop.request)
    signal.signal(signal.SIGINT, stop.request)
    try:
        return serve(folder, stop)
    except AnnealError as error:
        return _cannot_go_on(error)


def _cannot_go_on(error: AnnealError) -> int:
    """Say why a lane ends; its exit status."""
    _log.error("the worker cannot go on: %s", error)
    lasting = isinstance(error, ProjectError | InputError | SchemaError)
    return CANNOT_START if lasting else DIED
