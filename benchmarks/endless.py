"""A project whose worker trains a head without end, at its own priority."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import store_world
from benchmarks.serving import ROOT
from domain.answers import Kind, NewAnswer
from domain.config import Backbone, ModelSettings, Views
from domain.jobs import JobState, silent
from domain.pairs import Pair
from labeling_store import jobs as job_queue
from training.backbones import build_backbone
from training.weights import save_backbone
from worker.foreground import run_to_end
from workflow import jobs
from workflow.creation import create_project
from workflow.project import CONFIG_NAME, Project, open_project
from workflow.questions import submit_answers

PATIENCE_S = 300.0
ENDLESS_STEPS = 10_000_000
FEATURES_READ = 0.3  # progress of a training that takes its steps
SETTINGS = f"""
[training]
fewest_steps = {ENDLESS_STEPS}
most_steps = {ENDLESS_STEPS}

[selection]
strategy = "mgue"
"""


def make_project(
    folder: Path,
    archive: Path,
    *,
    backbone: Backbone = Backbone.RESNET18,
    size_px: int = store_world.SIZE_PX,
    views: Views = Views.SINGLE,
) -> Project:
    """A project of these images, embedded with an untrained network, whose training never ends."""
    weights = folder / "weights.safetensors"
    save_backbone(build_backbone(backbone.value), weights)
    model = ModelSettings(backbone=backbone, weights=weights, image_size_px=size_px, views=views)
    create_project(folder / "project", images=archive, model=model).project.close()
    with (folder / "project" / CONFIG_NAME).open("a") as settings:
        settings.write(SETTINGS)
    project = open_project(folder / "project")
    run_to_end(project, jobs.PREPARE, {}, silent)
    if views is Views.MULTI:
        run_to_end(project, jobs.VIEWS, {}, silent)
    return project


def learn_from(project: Project, pairs: Sequence[Pair], *, groups: int) -> None:
    """Answer pairs, as if every so many-th image were of one kind."""
    (owner,) = store_world.enrol(project.store, 1)
    alike = [Kind.SIMILAR if (b - a) % groups == 0 else Kind.DISSIMILAR for a, b in pairs]
    given = [NewAnswer(f"learnt-{at:06}", alike[at], each) for at, each in enumerate(pairs)]
    submit_answers(project, owner, given)


@contextmanager
def training(project: Project) -> Iterator[None]:
    """The project's worker, which begins to train; see `wait_until_it_trains`."""
    job_queue.enqueue(project.jobs, jobs.TRAIN, {"strategy": "mgue"})
    command = [sys.executable, "cli.py", "--project", str(project.folder), "worker"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as worker:
        try:
            yield
        finally:
            worker.terminate()
            worker.wait()


def wait_until_it_trains(project: Project) -> None:
    """Until the training takes its steps, half a minute after the worker's start.

    Raises:
        RuntimeError: it does not come so far.
    """
    deadline_s = time.monotonic() + PATIENCE_S
    while _progress(project) < FEATURES_READ:
        if time.monotonic() > deadline_s:
            raise RuntimeError("The worker does not begin to train.")
        time.sleep(0.2)


def trains(project: Project) -> bool:
    """Whether the training goes on.

    Raises:
        RuntimeError: it failed.
    """
    job = jobs.newest(project, jobs.TRAIN)
    if job is not None and job.state is JobState.FAILED:
        raise RuntimeError(f"The training failed: {job.error}")
    return job is not None and job.state is JobState.RUNNING


def _progress(project: Project) -> float:
    job = jobs.newest(project, jobs.TRAIN)
    return 0.0 if job is None else job.progress
