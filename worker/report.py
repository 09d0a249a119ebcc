"""How a running job tells of itself: progress, log, heartbeat, and whether to stop."""

import threading
import time
import traceback
from contextlib import suppress
from types import TracebackType
from typing import Protocol

from domain.errors import Cancelled, JobError, StoreError
from domain.jobs import Job, step_in
from labeling_store import jobs as queue
from labeling_store.db import Store
from workflow.jobs import IN_THE_BACKGROUND

HEARTBEAT_S = 1.0
# A training's loss is kept in the log that often, and more seldom the longer it lasts: enough for a
# curve of some hundred points, whether it takes seconds or a day.
LOSS_EVERY_S, LOSS_SHARE = 2.0, 0.02


class StopSignal(Protocol):
    def __bool__(self) -> bool: ...


class JobReport:
    """A `Progress` that writes to the job's row once a second, from a thread of its own.

    The work itself never waits for the database; a request to cancel is noticed at the next call
    after the heartbeat that read it. So is, for a job in the background, that another one waits.

    Attributes:
        makes_way: whether the job was asked to stop for another.
    """

    def __init__(self, store: Store, job: Job, stop: StopSignal) -> None:
        self._store = store
        self._job = job
        self._stop = stop
        self._done = 0.0
        self._message = ""
        self._noted: float | None = None  # the last loss that the log has
        self._started_s = self._noted_s = time.monotonic()
        self._cancel = False
        self.makes_way = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat_until_ended, daemon=True)

    def __enter__(self) -> "JobReport":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def __call__(self, done: float, message: str) -> None:
        """Report a fraction and what is being done.

        Raises:
            Cancelled: somebody asked for the job, or the worker, to stop.
        """
        self._done, self._message = done, message
        if self._cancel or self._stop or self.makes_way:
            raise Cancelled("The job was asked to stop.")

    @property
    def key(self) -> str:
        """What the job leaves behind is marked with it, for its further attempts to find."""
        return self._job.key

    def log(self, text: str) -> None:
        """Write a line that a lead can read on the Rounds page."""
        queue.append_log(self._store, self._job.job_id, text)

    def log_traceback(self) -> None:
        """Write the current exception, for whoever mends the program."""
        self.log(traceback.format_exc())

    def _beat_until_ended(self) -> None:
        while not self._ended.wait(HEARTBEAT_S):
            self._cancel = self._cancel or self._beat()
            self._note_loss()
            self.makes_way = self.makes_way or self._another_waits()

    def _beat(self) -> bool:
        """Whether to stop: somebody asked, or another worker has taken the job over."""
        try:
            return queue.heartbeat(
                self._store,
                self._job.job_id,
                self._job.attempt,
                progress=self._done,
                message=self._message,
            )
        except JobError:
            return True
        except StoreError:  # the disk is full or the database busy: the work can go on
            return False

    def _note_loss(self) -> None:
        """Keep the loss in the log, for a curve; a training says the same one for many steps."""
        now_s, message = time.monotonic(), self._message
        step = step_in(message)
        wait_s = max(LOSS_EVERY_S, LOSS_SHARE * (now_s - self._started_s))
        if step is None or step.loss == self._noted or now_s - self._noted_s < wait_s:
            return
        self._noted, self._noted_s = step.loss, now_s
        with suppress(StoreError):  # a log with a gap
            self.log(message)

    def _another_waits(self) -> bool:
        """Whether a job waits that somebody may be waiting for, and this is in the background."""
        if self._job.kind not in IN_THE_BACKGROUND:
            return False
        try:
            return queue.is_waiting(self._store, but=IN_THE_BACKGROUND)
        except StoreError:
            return False
