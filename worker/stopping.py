"""How a lane of the worker ends: when it is told to, and what its exit status says."""

import logging
import os
import threading
from types import FrameType

from domain.errors import AnnealError, InputError, ProjectError, SchemaError

# Exit statuses: a reason that may pass; the project is served already; somebody must mend it.
DIED, ANOTHER_WORKER, CANNOT_START = 1, 3, 4

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


def cannot_go_on(error: AnnealError) -> int:
    """Say why a lane ends; its exit status."""
    _log.error("the worker cannot go on: %s", error)
    lasting = isinstance(error, ProjectError | InputError | SchemaError)
    return CANNOT_START if lasting else DIED
