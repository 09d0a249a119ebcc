"""The long lane: one process that takes jobs from the queue, one after another.

Run by `worker.supervisor`; `python -m worker.lane FOLDER PARENT_PID` is its own program, so that a
crash of PyTorch takes nothing else down. It ends when its parent is gone.
"""

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from domain.clock import utc_now
from domain.errors import AnnealError, Cancelled
from domain.jobs import Job
from labeling_store import jobs as queue
from worker.report import JobReport
from worker.steps import STEPS
from worker.stopping import ANOTHER_WORKER, LOCK_PATIENCE_S, Stop, run_lane
from worker.watching import watching
from workflow.jobs import IN_THE_BACKGROUND, WORKER_LOCK
from workflow.locks import held
from workflow.project import Project, open_project, with_settings_of_now

IDLE_S = 0.5
NICE = 19
BUG = "Unexpected "  # how the error of a job starts that failed by a defect of the program

_log = logging.getLogger(__name__)


@contextmanager
def lane_lock(project: Project, patience_s: float = LOCK_PATIENCE_S) -> Iterator[bool]:
    """Whether this process is the project's only worker; jobs of dead ones are queued again."""
    deadline = time.monotonic() + patience_s
    while True:
        with held(project.folder / WORKER_LOCK) as got:
            if got:
                queue.recover_stale(project.jobs, now=utc_now(), stale_s=0.0)
            if got or time.monotonic() >= deadline:
                yield got
                return
        time.sleep(0.1)


def work(project: Project, stop: Stop, *, until_job: int | None = None) -> None:
    """Take jobs until stopped, or until one job has ended; needs the lane's lock."""
    while not stop:
        job = queue.claim_job(
            project.jobs, f"pid {os.getpid()}", now=utc_now(), last=IN_THE_BACKGROUND
        )
        if job is not None:
            run_job(project, job, stop)
        elif until_job is None:
            stop.wait(IDLE_S)
        if until_job is not None and _ended(project, until_job):
            return


def run_job(project: Project, job: Job, stop: Stop) -> None:
    """Do one job and write down how it ended; an unexpected error is logged with its traceback.

    The settings are read anew: people change them while the worker runs.
    """
    with JobReport(project.jobs, job, stop) as report:
        report.log(f"{job.kind} started (attempt {job.attempt})")
        try:
            STEPS[job.kind](with_settings_of_now(project), job.params, report)
        except Cancelled:
            _put_aside(project, job, report, stop)
        except AnnealError as error:
            report.log(str(error))
            queue.fail(project.jobs, job.job_id, job.attempt, str(error))
        except Exception as error:
            _log.exception("job %d failed", job.job_id)
            report.log_traceback()
            problem = f"{BUG}{type(error).__name__}: {error}"
            queue.fail(project.jobs, job.job_id, job.attempt, problem)
        else:
            report.log(f"{job.kind} done")
            queue.finish(project.jobs, job.job_id, job.attempt)


def _put_aside(project: Project, job: Job, report: JobReport, stop: Stop) -> None:
    asked = queue.get_job(project.jobs, job.job_id)
    if (stop or report.makes_way) and not (asked and asked.cancel_requested):
        why = "worker stopping" if stop else "making way for another job"
        report.log(f"{why}; the job goes back to the queue")
        queue.requeue(project.jobs, job.job_id, job.attempt)
    else:
        report.log("cancelled")
        queue.cancelled(project.jobs, job.job_id, job.attempt)


def _ended(project: Project, job_id: int) -> bool:
    job = queue.get_job(project.jobs, job_id)
    return job is None or job.state.ended


def threads_beside_pages(cores: int, threads: int) -> int:
    """How many of its threads PyTorch may use: one core stays free for the pages, from 3 on."""
    return min(threads, cores - 1) if cores > 2 else threads


def _serve(folder: Path, stop: Stop) -> int:
    os.nice(NICE)
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads_beside_pages(cores, torch.get_num_threads()))
    project = open_project(folder, checkpoints=True)
    with lane_lock(project) as got:
        if not got:
            return ANOTHER_WORKER
        with watching(project):
            work(project, stop)
    project.close()
    return 0


if __name__ == "__main__":
    sys.exit(run_lane(_serve))
