"""Jobs of a project done at once, and what is in use after them."""

from typing import Any

from domain.config import Strategy
from domain.jobs import silent
from domain.rounds import Run
from labeling_store import runs
from worker.foreground import run_to_end
from workflow import jobs, rounds
from workflow.project import Project


def do_job(project: Project, kind: str, **params: Any) -> None:
    run_to_end(project, kind, {"device": "cpu", **params}, silent)


def do_group_round(project: Project) -> None:
    """Learn the groups that were answered, and ask about groups."""
    params = rounds.round_params(project, strategy=Strategy.COMPONENTS.value, pairs=60)
    do_job(project, jobs.ROUND, **params)


def active_run(project: Project) -> Run:
    run = runs.active_run(project.store.reader())
    assert run is not None
    return run
