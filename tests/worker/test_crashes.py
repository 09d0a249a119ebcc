"""The worker process is killed, stopped or asked to cancel: jobs and answers survive."""

import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import crash_worker
from domain.errors import JobError
from domain.jobs import JobState
from labeling_store import jobs as queue
from worker.supervisor import Supervisor
from workflow import jobs
from workflow.project import Project

PATIENCE_S = 400.0  # a worker has the lowest priority: beside busy programs its start takes minutes


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        if time.monotonic() > deadline:
            pytest.fail("it did not happen in time")
        time.sleep(0.05)


@contextmanager
def lane(project: Project) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "worker.lane", str(project.folder), str(os.getpid())]
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def newest(project: Project) -> JobState:
    return jobs.recent(project)[0].state


def test_rounds_and_answers_survive_workers_that_are_killed(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    logging.getLogger(__name__).warning("python -m benchmarks.crash --quick --seed %d", seed)
    outcome = crash_worker.measure(tmp_path, 3, random.Random(seed))
    assert outcome.acknowledged > 10
    assert outcome.is_good, outcome


def test_a_queued_job_that_is_cancelled_never_starts(project: Project) -> None:
    jobs.cancel(project, jobs.recent(project)[0].job_id)
    assert newest(project) is JobState.CANCELLED


def test_a_second_worker_gives_way_and_a_stopped_one_puts_its_job_back(project: Project) -> None:
    with lane(project) as worker:
        wait_until(lambda: newest(project) is not JobState.QUEUED)
        with lane(project) as second:
            assert second.wait(PATIENCE_S) == 3
        assert worker.poll() is None
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE_S) == 0
    assert newest(project) in (JobState.QUEUED, JobState.DONE)


def test_a_patient_supervisor_waits_for_others_and_starts_a_dead_worker_again(
    project: Project,
) -> None:
    """A command that works itself is another worker, until it ends."""
    supervisor = Supervisor(project.folder, patient=True)
    thread = threading.Thread(target=supervisor.run)
    with lane(project) as first:
        wait_until(lambda: jobs.worker_alive(project))
        thread.start()
        time.sleep(1)
        first.kill()
        first.wait()
    try:
        wait_until(lambda: worker_pid(project) not in (None, first.pid))
        second = worker_pid(project)
        assert second
        os.kill(second, signal.SIGKILL)
        wait_until(lambda: worker_pid(project) not in (None, first.pid, second))
    finally:
        supervisor.stop()
        thread.join()
    assert not jobs.worker_alive(project)


def worker_pid(project: Project) -> int | None:
    text = (project.folder / jobs.WORKER_LOCK).read_text().strip()
    return int(text) if text else None


def test_an_attempt_that_was_taken_over_cannot_end_the_job(project: Project) -> None:
    now = "2026-01-01T00:00:00.000+00:00"
    first = queue.claim_job(project.jobs, "one", now=now)
    assert first is not None
    queue.recover_stale(project.jobs, now="2027-01-01T00:00:00.000+00:00", stale_s=0)
    second = queue.claim_job(project.jobs, "two", now=now)
    assert second is not None
    assert second.attempt == 2
    with pytest.raises(JobError):
        queue.finish(project.jobs, first.job_id, first.attempt)
