"""Commands do their jobs here, or follow them where a worker is already running."""

import threading
import time
from collections.abc import Mapping
from typing import Any

from domain.errors import JobError
from domain.jobs import Job, JobState, Progress
from labeling_store import jobs as queue
from worker.lane import BUG, Stop, lane_lock, work
from workflow import jobs
from workflow.project import Project

POLL_S = 0.2


def run_to_end(project: Project, kind: str, params: Mapping[str, Any], progress: Progress) -> None:
    """Queue a job and return when it is done; Ctrl+C cancels it.

    Raises:
        JobError: the job failed or was cancelled; the message says why.
        RuntimeError: the job failed by a defect of the program.
    """
    job_id = queue.enqueue(project.jobs, kind, params, unique=True)
    stop = Stop()
    helper = threading.Thread(target=_work_if_nobody_does, args=(project, stop, job_id))
    helper.start()
    try:
        job = _follow(project, job_id, progress)
    except KeyboardInterrupt:
        queue.request_cancel(project.jobs, job_id)
        raise
    finally:
        helper.join()
    _raise_unless_done(job)


def _work_if_nobody_does(project: Project, stop: Stop, job_id: int) -> None:
    with lane_lock(project, patience_s=0.3) as got:
        if got:
            work(project, stop, until_job=job_id)


def _follow(project: Project, job_id: int, progress: Progress) -> Job:
    while True:
        job = jobs.get(project, job_id)
        progress(job.progress, job.message)
        if job.state.ended:
            return job
        time.sleep(POLL_S)


def _raise_unless_done(job: Job) -> None:
    if job.state is JobState.CANCELLED:
        raise JobError(f"Job {job.job_id} ({job.kind}) was cancelled.")
    if job.state is JobState.FAILED and (job.error or "").startswith(BUG):
        raise RuntimeError(job.error)
    if job.state is JobState.FAILED:
        raise JobError(job.error or "The job failed.", f'See "python cli.py jobs {job.job_id}".')
