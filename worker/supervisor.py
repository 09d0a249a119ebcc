"""Keeps the worker's lanes alive: starts one again when it dies, ever more slowly.

Where it cannot start before a person mends something, it is not started in a loop.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from domain.errors import JobError
from worker.stopping import ANOTHER_WORKER, CANNOT_START
from workflow.jobs import WORKER_LOCK
from workflow.locks import is_held
from workflow.project import CONFIG_NAME
from workflow.queries import QUICK_LOCK

FIRST_PAUSE_S = 1.0
OTHER_POLL_S = 2.0
LONGEST_PAUSE_S = 60.0
HEALTHY_AFTER_S = 60.0  # a lane that lived so long starts again after the first, short pause
STOP_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Lane:
    """A program of the worker, and the lock that it holds while it serves a project."""

    module: str
    lock: str


LONG = Lane("worker.lane", WORKER_LOCK)
QUICK = Lane("worker.quick", QUICK_LOCK)

_HINDRANCES = {
    ANOTHER_WORKER: (
        "Another worker serves {folder} already.",
        "One is enough: leave it running, or stop it first.",
    ),
    CANNOT_START: (
        "The worker cannot start for {folder}; its message stands above.",
        "Mend what it says, then start the worker again.",
    ),
}

_log = logging.getLogger(__name__)


class Supervisor:
    """Runs a lane for one project until `stop` is called."""

    def __init__(self, folder: Path, *, patient: bool = False, lane: Lane = LONG) -> None:
        """Patient: wait for what hinders the lane to pass, such as another process at work."""
        self._folder = folder
        self._lane = lane
        self._patient = patient
        self._stopping = threading.Event()

    def stop(self, *_: object) -> None:
        """Let the lane finish its step and end; also a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Supervise until stopped.

        Raises:
            JobError: it is not patient, and another worker serves this project already, or the
                lane cannot start before somebody mends what its message says.
        """
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            began = time.monotonic()
            code = self._run_lane()
            if self._stopping.is_set() or code == 0:
                return
            if code in _HINDRANCES:
                self._wait_or_give_up(code)
                continue
            lived_s = time.monotonic() - began
            pause_s = FIRST_PAUSE_S if lived_s > HEALTHY_AFTER_S else pause_s
            _log.warning(
                "%s died (exit %s); starting again in %.0f s", self._lane.module, code, pause_s
            )
            self._stopping.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _wait_or_give_up(self, code: int) -> None:
        if not self._patient:
            message, hint = _HINDRANCES[code]
            raise JobError(message.format(folder=self._folder), hint)
        if code == ANOTHER_WORKER:
            self._wait_for_the_other()
        else:
            self._wait_for_other_settings()

    def _wait_for_the_other(self) -> None:
        """A command such as `embed` works itself while no worker runs; it ends."""
        while not self._stopping.wait(OTHER_POLL_S) and is_held(self._folder / self._lane.lock):
            pass

    def _wait_for_other_settings(self) -> None:
        """Until the settings are changed, or a while has passed: something else may be mended."""
        _log.warning("the worker waits until %s is mended", self._folder / CONFIG_NAME)
        before, until = self._settings_time(), time.monotonic() + LONGEST_PAUSE_S
        while not self._stopping.wait(OTHER_POLL_S) and time.monotonic() < until:
            if self._settings_time() != before:
                return

    def _settings_time(self) -> int:
        path = self._folder / CONFIG_NAME
        return path.stat().st_mtime_ns if path.exists() else 0

    def _run_lane(self) -> int:
        command = [sys.executable, "-m", self._lane.module, str(self._folder), str(os.getpid())]
        with subprocess.Popen(command, cwd=Path(__file__).parents[1]) as lane:
            while lane.poll() is None and not self._stopping.wait(0.2):
                pass
            if lane.poll() is None:
                lane.terminate()
                _wait_or_kill(lane)
            return lane.wait()


def supervise(supervisor: Supervisor, *beside: Supervisor) -> None:
    """Run in the foreground until SIGINT or SIGTERM, with others beside it as long as it runs."""
    signal.signal(signal.SIGTERM, supervisor.stop)
    signal.signal(signal.SIGINT, supervisor.stop)
    threads = [threading.Thread(target=each.run) for each in beside]
    for thread in threads:
        thread.start()
    try:
        supervisor.run()
    finally:
        for each in beside:
            each.stop()
        for thread in threads:
            thread.join()


def _wait_or_kill(lane: subprocess.Popen[bytes]) -> None:
    try:
        lane.wait(STOP_PATIENCE_S)
    except subprocess.TimeoutExpired:
        lane.kill()  # the queue gives its job to the next worker
