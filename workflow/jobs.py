"""Jobs of the worker as pages and commands see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.clock import seconds_between
from domain.errors import JobError
from domain.jobs import Job, JobState, LogLine, Step, step_in
from labeling_store import jobs as store
from labeling_store.db import Store
from workflow.locks import is_held
from workflow.project import Project

PREPARE = "prepare"  # thumbnails, weights or warm-up, features, first questions
TRAIN = "train"  # learn from the answers, embed, evaluate
PROPOSE = "propose"  # the next questions from the active model
ROUND = "round"  # train, then propose
VIEWS = "views"  # features of all views, once those of the single view are in use
FINETUNE = "finetune"  # train the head of a model further, with another loss
USE = "use"  # an earlier model again, whose embeddings were dropped
PEOPLE = "people"  # how far members agree, and how much they answered
BACKUP = "backup"  # a copy of what people did
VERIFY = "verify"  # whether everything is whole
OF_A_ROUND = (TRAIN, PROPOSE, ROUND)
KINDS = (PREPARE, *OF_A_ROUND, FINETUNE, VIEWS, USE, PEOPLE, BACKUP, VERIFY)
IN_THE_BACKGROUND = (VIEWS,)  # nobody waits for these: they make way for all others
WORKER_LOCK = "worker.lock"


@dataclass(frozen=True)
class LossPoint:
    """The loss of a moment.

    Attributes:
        at_s: seconds since the first one.
        training: which training of the job it is, from 0: one may be to judge another.
    """

    at_s: float
    loss: float
    training: int


BY_PAGE = "the Rounds page"  # who wants a job, as a person reads it
BY_PEOPLE = "the People page"
BY_PROJECT = "the Project page"
BY_COMMAND = "the command line"
BY_WORKER = "the worker"
BY_ITSELF = "the worker, after enough answers"


def enqueue_prepare(queue: Store) -> int:
    """Ask the worker to make thumbnails, features and first questions; once at a time."""
    return store.enqueue_once(queue, PREPARE, {}, by=BY_COMMAND)[0]


def enqueue_round(
    queue: Store, params: Mapping[str, Any], *, by: str = BY_PAGE, key: str | None = None
) -> int:
    """Ask the worker to train on the answers and to propose new questions; once at a time."""
    return store.enqueue_once(queue, ROUND, params, by=by, key=key)[0]


def enqueue_propose(queue: Store, params: Mapping[str, Any]) -> int:
    """Ask the worker for new questions from the active model; once at a time."""
    return store.enqueue_once(queue, PROPOSE, params, by=BY_PAGE)[0]


def enqueue_fine_tuning(queue: Store, params: Mapping[str, Any], *, by: str) -> int:
    """Ask the worker to train a model's head further with a loss; once at a time."""
    return store.enqueue_once(queue, FINETUNE, params, by=by)[0]


def enqueue_renewal(project: Project, params: Mapping[str, Any], *, key: str) -> None:
    """Ask the worker for a fine-tuning beside any other; for each key once."""
    if of_key(project, key) is None:
        store.enqueue(project.jobs, FINETUNE, params, by=BY_WORKER, key=key)


def enqueue_views(queue: Store, params: Mapping[str, Any]) -> int:
    """Ask the worker to embed all views when it has nothing else to do; once at a time.

    Args:
        queue: the store of jobs.
        params: of the job that it goes on from.
    """
    device = {name: value for name, value in params.items() if name == "device"}
    return store.enqueue_once(queue, VIEWS, device, by=BY_WORKER)[0]


def enqueue_use(queue: Store, run_name: str) -> int:
    """Ask the worker to embed the images with an earlier model and use it; one at a time.

    Raises:
        JobError: another model is waiting for that.
    """
    job_id, new = store.enqueue_once(queue, USE, {"run": run_name}, by=BY_PAGE)
    job = store.get_job(queue, job_id)
    if not new and job is not None and job.params["run"] != run_name:
        raise JobError(
            f"The images are being embedded with the model {job.params['run']} already.",
            "Wait until it is in use, or cancel that job; then choose again.",
        )
    return job_id


def enqueue_people(queue: Store) -> int:
    """Ask the worker to compare people's answers; once at a time."""
    return store.enqueue_once(queue, PEOPLE, {}, by=BY_PEOPLE)[0]


def enqueue_backup(queue: Store, made: str, *, by: str) -> int:
    """Ask the worker for a backup; once at a time."""
    return store.enqueue_once(queue, BACKUP, {"made": made}, by=by)[0]


def enqueue_verify(queue: Store) -> int:
    """Ask the worker to look whether everything is whole; once at a time."""
    return store.enqueue_once(queue, VERIFY, {}, by=BY_PROJECT)[0]


def recent(project: Project, limit: int = 20) -> list[Job]:
    """The newest jobs first."""
    return store.list_jobs(project.jobs, limit=limit)


def of_key(project: Project, key: str) -> Job | None:
    """The newest job with a key, if it is one of the newest jobs."""
    return next((job for job in recent(project) if job.key == key), None)


def running(project: Project) -> Job | None:
    """The job at work, else the next in the queue, else None."""
    waiting = [job for job in recent(project) if not job.state.ended]
    at_work = [job for job in waiting if job.state is JobState.RUNNING]
    return next(iter(at_work or waiting[-1:]), None)


def newest(project: Project, kind: str) -> Job | None:
    """The newest job of a kind, whatever its state; None if there never was one."""
    return store.newest_job(project.jobs, kind)


def newest_of(project: Project, kinds: Sequence[str]) -> Job | None:
    """The newest job of some kinds; None if there never was one."""
    found = (newest(project, kind) for kind in kinds)
    return max((job for job in found if job is not None), key=lambda job: job.job_id, default=None)


def get(project: Project, job_id: int) -> Job:
    """One job.

    Raises:
        JobError: there is no such job.
    """
    job = store.get_job(project.jobs, job_id)
    if job is None:
        raise JobError(f"There is no job {job_id}.", 'See "python cli.py jobs".')
    return job


def log(project: Project, job_id: int, after: int = 0) -> list[LogLine]:
    """What a job wrote, oldest first, without the first `after` lines."""
    return store.job_log(project.jobs, job_id, after=after)


def losses(project: Project, job: Job) -> list[LossPoint]:
    """How the loss fell while a job trained, in order of time; empty where it trains nothing.

    Another training is told by its steps, which begin anew, or by the words before them.
    """
    noted = [(line.logged_at, step_in(line.text)) for line in log(project, job.job_id)]
    steps = [(logged_at, step) for logged_at, step in noted if step is not None]
    found: list[LossPoint] = []
    training, before = 0, Step(0, 0.0)
    for logged_at, step in steps:
        training += bool(found) and step.begins_after(before)
        before = step
        found.append(LossPoint(seconds_between(steps[0][0], logged_at), step.loss, training))
    return found


def cancel(project: Project, job_id: int) -> None:
    """Ask a job to stop; a queued one never starts, a running one stops within seconds."""
    get(project, job_id)
    store.request_cancel(project.jobs, job_id)


def retry(project: Project, job_id: int, *, by: str = BY_PAGE) -> int:
    """A new job like one that failed or was cancelled; what it had finished is not done again."""
    job = get(project, job_id)
    key = None if job.state is JobState.DONE else job.key
    return store.enqueue_once(project.jobs, job.kind, job.params, by=by, key=key)[0]


def worker_alive(project: Project) -> bool:
    """Whether a worker process serves this project now."""
    return is_held(project.folder / WORKER_LOCK)
