"""Work of the worker process, and how long work reports itself."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

_STEP = re.compile(r"\bstep (\d+) of \d+, loss (-?\d+(?:\.\d+)?)")


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True)
class Job:
    """A job; `progress` is a fraction, `attempt` counts from 1 once it has started.

    Attributes:
        key: what the job leaves behind carries it, so that a further attempt, or a retry (which
            inherits the key), finds what is done already.
        queued_by: where it came from, in words: "the command line".
    """

    job_id: int
    kind: str
    params: Mapping[str, Any]
    state: JobState
    progress: float
    message: str
    attempt: int
    cancel_requested: bool
    created_at: str
    started_at: str | None
    ended_at: str | None
    heartbeat_at: str | None
    error: str | None
    key: str
    queued_by: str


@dataclass(frozen=True)
class LogLine:
    logged_at: str
    text: str


class Progress(Protocol):
    """Told by long work how far it is; raises `Cancelled` when the work should stop."""

    def __call__(self, done: float, message: str) -> None:
        """Report a fraction 0…1 and what is being done, in words."""


@dataclass(frozen=True)
class Step:
    """A step of a training, the loss after it, and the words that stand before."""

    number: int
    loss: float
    doing: str = ""

    def begins_after(self, before: "Step") -> bool:
        """Whether it is of another training than the step before it."""
        return self.number < before.number or self.doing != before.doing


def step_in(message: str) -> Step | None:
    """The step that a training reports in its message: "step 40 of 400, loss 0.1234"."""
    found = _STEP.search(message)
    if found is None:
        return None
    return Step(int(found[1]), float(found[2]), message[: found.start()])


def silent(done: float, message: str) -> None:
    """A `Progress` that tells nobody."""


def part_of(progress: Progress, start: float, end: float) -> Progress:
    """The progress of a step that fills `start`…`end` of a longer work."""

    def report(done: float, message: str) -> None:
        progress(start + (end - start) * done, message)

    return report


def named(progress: Progress, name: str) -> Progress:
    """The progress of a work whose name stands before what it reports."""

    def report(done: float, message: str) -> None:
        progress(done, f"{name}: {message}")

    return report
