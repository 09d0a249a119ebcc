"""Commands do their jobs here, or follow them where a worker is already running."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
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
    with ThreadPoolExecutor(1) as pool:
        work_here = pool.submit(_work_while_nobody_does, project, stop, job_id)
        try:
            while not work_here.done():
                job = jobs.get(project, job_id)
                progress(job.progress, job.message)
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            queue.request_cancel(project.jobs, job_id)
            raise
        work_here.result()
    _raise_unless_done(jobs.get(project, job_id))


def _work_while_nobody_does(project: Project, stop: Stop, job_id: int) -> None:
    """Until the job has ended: also when the worker that was doing it dies."""
    while not jobs.get(project, job_id).state.ended:
        with lane_lock(project, patience_s=POLL_S) as got:
            if got:
                work(project, stop, until_job=job_id)


def _raise_unless_done(job: Job) -> None:
    if job.state is JobState.CANCELLED:
        raise JobError(f"Job {job.job_id} ({job.kind}) was cancelled.")
    if job.state is JobState.FAILED and (job.error or "").startswith(BUG):
        raise RuntimeError(job.error)
    if job.state is JobState.FAILED:
        raise JobError(job.error or "The job failed.", f'See "python cli.py jobs {job.job_id}".')
