"""worker and jobs: heavy work, and what became of it."""

import logging
import os
import threading
import time

import click

from commands.options import Settings, command_options
from commands.output import show, table, warn
from domain.errors import InputError, JobError
from domain.jobs import Job
from labeling_store.db import sqlite_warning
from worker.supervisor import QUICK, Supervisor, supervise
from workflow import jobs as queue
from workflow.project import Project, project_folder


@click.command()
@click.option("--parent", type=int, hidden=True, help="Stop when this process is gone.")
@command_options
def worker(*, parent: int | None, settings: Settings) -> None:
    """Run the worker in the foreground; script/run does this for you."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    if (old := sqlite_warning()) is not None:
        warn(old)
    settings.open().close()  # a clear message now, rather than from the child process
    folder = project_folder(settings.project)
    supervisor = Supervisor(folder, patient=parent is not None)
    if parent is not None:
        threading.Thread(target=_stop_without, args=(supervisor, parent), daemon=True).start()
    supervise(supervisor, Supervisor(folder, patient=True, lane=QUICK))


@click.command()
@click.argument("job_id", type=int, required=False)
@click.option("--cancel", is_flag=True, help="Ask the job to stop.")
@click.option("--retry", is_flag=True, help="Queue the job again.")
@command_options
def jobs(*, job_id: int | None, cancel: bool, retry: bool, settings: Settings) -> None:
    """List jobs; with an id, show its log, cancel or retry it."""
    if cancel and retry:
        raise InputError("--cancel and --retry exclude each other.", "Give one of them.")
    if job_id is None and (cancel or retry):
        option = "--cancel" if cancel else "--retry"
        raise InputError(
            f"{option} needs the id of a job.",
            f'For example "python cli.py jobs 3 {option}"; "python cli.py jobs" lists them.',
        )
    project = settings.open()
    if job_id is None:
        found = queue.recent(project)
        show(
            {"jobs": [_as_dict(job) for job in found]},
            as_json=settings.as_json,
            text=lambda: _job_table(found),
        )
        return
    if cancel:
        _cancel(project, job_id)
    if retry:
        job_id = queue.retry(project, job_id, by=queue.BY_COMMAND)
    job, lines = queue.get(project, job_id), queue.log(project, job_id)
    show(
        {**_as_dict(job), "log": [line.text for line in lines]},
        as_json=settings.as_json,
        text=lambda: "\n".join(
            [_job_table([job]), *(f"{line.logged_at}  {line.text}" for line in lines)]
        ),
    )


def _cancel(project: Project, job_id: int) -> None:
    state = queue.get(project, job_id).state
    if state.ended:
        raise JobError(f"Job {job_id} is {state.value}: there is nothing to cancel.")
    queue.cancel(project, job_id)


def _job_table(found: list[Job]) -> str:
    if not found:
        return "No jobs yet."
    rows = [
        [job.job_id, job.kind, job.state.value, f"{job.progress:.0%}", job.error or job.message]
        for job in found
    ]
    return table(rows, ["id", "job", "state", "done", "message"])


def _as_dict(job: Job) -> dict[str, object]:
    return {
        "id": job.job_id,
        "kind": job.kind,
        "state": job.state.value,
        "progress": job.progress,
        "message": job.message,
        "error": job.error,
    }


def _stop_without(supervisor: Supervisor, parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    supervisor.stop()
