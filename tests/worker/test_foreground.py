"""Commands that do a job themselves, or follow one that somebody else queued."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from domain.jobs import JobState, silent
from labeling_store import jobs as queue
from worker import lane
from worker.foreground import run_to_end
from worker.report import JobReport
from workflow import jobs
from workflow.project import Project

PATIENCE_S = 30.0


class SlowStep:
    """A step that goes on until it is let go, or stopped."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.may_end = threading.Event()

    def __call__(self, project: Project, params: Mapping[str, Any], report: JobReport) -> None:
        self.started.set()
        while not self.may_end.wait(0.02):
            report(0.5, "waiting")


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowStep]:
    """Takes the place of all steps."""
    slow = SlowStep()
    monkeypatch.setattr(lane, "STEPS", dict.fromkeys(lane.STEPS, slow))
    yield slow
    slow.may_end.set()


def interrupted_after(started: threading.Event) -> Callable[[float, str], None]:
    """A progress during which somebody presses Ctrl+C."""

    def progress(done: float, message: str) -> None:
        if started.is_set():
            raise KeyboardInterrupt

    return progress


def queue_round(project: Project, **params: object) -> int:
    for each in jobs.recent(project):
        jobs.cancel(project, each.job_id)
    return jobs.enqueue_round(project.jobs, params)


def test_ctrl_c_cancels_the_own_job(project: Project, step: SlowStep) -> None:
    queue.request_cancel(project.jobs, jobs.recent(project)[0].job_id)
    with pytest.raises(KeyboardInterrupt):
        run_to_end(project, jobs.TRAIN, {}, interrupted_after(step.started))
    own = jobs.recent(project)[0]
    assert (own.kind, own.state) == (jobs.TRAIN, JobState.CANCELLED)


def test_ctrl_c_leaves_the_job_of_somebody_else_in_the_queue(
    project: Project, step: SlowStep
) -> None:
    theirs = queue_round(project)
    with pytest.raises(KeyboardInterrupt):
        run_to_end(project, jobs.ROUND, {}, interrupted_after(step.started))
    job = jobs.get(project, theirs)
    assert (job.state, job.cancel_requested) == (JobState.QUEUED, False)


def test_ctrl_c_does_not_wait_for_jobs_queued_before(project: Project, step: SlowStep) -> None:
    (before,) = jobs.recent(project)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_to_end(project, jobs.TRAIN, {}, interrupted_after(step.started))
    assert time.monotonic() - began < PATIENCE_S
    assert jobs.get(project, before.job_id).state is JobState.QUEUED
    assert jobs.recent(project)[0].state is JobState.CANCELLED


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"pairs": 7}, "other parameters: device = auto, pairs = 5"),
        ({"pairs": 5, "device": "auto"}, "the same parameters"),
    ],
    ids=["other", "same"],
)
def test_following_a_job_of_somebody_else_is_said(
    project: Project, step: SlowStep, asked: dict[str, object], words: str
) -> None:
    theirs = queue_round(project, pairs=5)
    step.may_end.set()
    said: list[str] = []
    run_to_end(project, jobs.ROUND, asked, silent, tell=said.append)
    assert said == [f"Following job {theirs} (round, queued by the Rounds page, {words})."]
    assert jobs.get(project, theirs).state is JobState.DONE


def test_nothing_is_said_of_an_own_job(project: Project, step: SlowStep) -> None:
    step.may_end.set()
    said: list[str] = []
    run_to_end(project, jobs.TRAIN, {}, silent, tell=said.append)
    assert said == []
