"""Keeps the worker's lane alive: starts it again when it dies, ever more slowly."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from domain.errors import JobError
from workflow.jobs import WORKER_LOCK
from workflow.locks import is_held

ANOTHER_WORKER = 3
FIRST_PAUSE_S = 1.0
OTHER_POLL_S = 2.0
LONGEST_PAUSE_S = 60.0
HEALTHY_AFTER_S = 60.0  # a lane that lived so long starts again without a pause
STOP_PATIENCE_S = 10.0

_log = logging.getLogger(__name__)


class Supervisor:
    """Runs `worker.lane` for one project until `stop` is called."""

    def __init__(self, folder: Path, *, patient: bool = False) -> None:
        """Patient: where another process works on the project, wait until it is done."""
        self._folder = folder
        self._patient = patient
        self._stopping = threading.Event()

    def stop(self, *_: object) -> None:
        """Let the lane finish its step and end; also a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Supervise until stopped.

        Raises:
            JobError: another worker serves this project already, and it is not patient.
        """
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            began = time.monotonic()
            code = self._run_lane()
            if code == ANOTHER_WORKER and self._patient:
                self._wait_for_the_other()
                continue
            if code == ANOTHER_WORKER:
                raise JobError(
                    f"Another worker serves {self._folder} already.",
                    "One is enough: leave it running, or stop it first.",
                )
            if self._stopping.is_set() or code == 0:
                return
            lived_s = time.monotonic() - began
            pause_s = FIRST_PAUSE_S if lived_s > HEALTHY_AFTER_S else pause_s
            _log.warning("the worker died (exit %s); starting again in %.0f s", code, pause_s)
            self._stopping.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _wait_for_the_other(self) -> None:
        """A command such as `embed` works itself while no worker runs; it ends."""
        while not self._stopping.wait(OTHER_POLL_S) and is_held(self._folder / WORKER_LOCK):
            pass

    def _run_lane(self) -> int:
        command = [sys.executable, "-m", "worker.lane", str(self._folder), str(os.getpid())]
        with subprocess.Popen(command, cwd=Path(__file__).parents[1]) as lane:
            while lane.poll() is None and not self._stopping.wait(0.2):
                pass
            if lane.poll() is None:
                lane.terminate()
                _wait_or_kill(lane)
            return lane.wait()


def supervise(supervisor: Supervisor) -> None:
    """Run in the foreground until SIGINT or SIGTERM."""
    signal.signal(signal.SIGTERM, supervisor.stop)
    signal.signal(signal.SIGINT, supervisor.stop)
    supervisor.run()


def _wait_or_kill(lane: subprocess.Popen[bytes]) -> None:
    try:
        lane.wait(STOP_PATIENCE_S)
    except subprocess.TimeoutExpired:
        lane.kill()  # the queue gives its job to the next worker
