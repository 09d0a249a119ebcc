"""Commands do their jobs here, or follow them where a worker is already running."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from domain.errors import JobError
from domain.jobs import Job, JobState, Progress
from labeling_store import jobs as queue
from worker.lane import BUG, lane_lock, work
from worker.stopping import Stop
from workflow import jobs
from workflow.project import Project

POLL_S = 0.2


def _unheard(text: str) -> None:
    """Where nobody reads along."""


def run_to_end(
    project: Project,
    kind: str,
    params: Mapping[str, Any],
    progress: Progress,
    *,
    tell: Callable[[str], None] = _unheard,
) -> None:
    """Queue a job and return when it is done; Ctrl+C cancels it.

    Where one of that kind is under way already, that one is followed, and Ctrl+C leaves it alone.

    Args:
        tell: is given a sentence where a job of somebody else is followed.

    Raises:
        JobError: the job failed or was cancelled; the message says why.
        RuntimeError: the job failed by a defect of the program.
    """
    job_id, own = queue.enqueue_once(project.jobs, kind, params, by=jobs.BY_COMMAND)
    if not own:
        tell(_following(jobs.get(project, job_id), params))
    stop = Stop()
    with ThreadPoolExecutor(1) as pool:
        work_here = pool.submit(_work_while_nobody_does, project, stop, job_id)
        try:
            _watch(project, job_id, work_here, progress)
        except KeyboardInterrupt:
            if own:
                queue.request_cancel(project.jobs, job_id)
            raise
        finally:
            stop.set()  # a job under way here goes back to the queue
        work_here.result()
    _raise_unless_done(jobs.get(project, job_id))


def _following(job: Job, params: Mapping[str, Any]) -> str:
    theirs, ours = ({"device": "auto", **each} for each in (job.params, params))
    origin = f"queued by {job.queued_by}" if job.queued_by else "queued earlier"
    same = "the same parameters"
    if theirs != ours:
        same = "other parameters: " + ", ".join(f"{k} = {v}" for k, v in sorted(theirs.items()))
    return f"Following job {job.job_id} ({job.kind}, {origin}, {same})."


def _watch(project: Project, job_id: int, work: Future[None], progress: Progress) -> None:
    while not work.done():
        job = jobs.get(project, job_id)
        progress(job.progress, job.message)
        wait([work], timeout=POLL_S)  # ends with the job


def _work_while_nobody_does(project: Project, stop: Stop, job_id: int) -> None:
    """Until the job has ended: also when the worker that was doing it dies."""
    while not stop and not jobs.get(project, job_id).state.ended:
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
