"""The worker, killed at random in the middle of rounds, while somebody answers their questions."""

import os
import random
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks import store_world
from benchmarks.crash_outcome import Outcome, damage, examine
from benchmarks.serving import ROOT
from domain.answers import Kind, NewAnswer, ReceiptStatus
from domain.config import ModelSettings, Views
from domain.jobs import JobState, silent
from domain.members import Member
from domain.pairs import pair
from labeling_store import rounds, runs
from training.backbones import build_backbone
from training.weights import save_backbone
from worker.foreground import run_to_end
from workflow import jobs
from workflow.creation import create_project
from workflow.project import CONFIG_NAME, Project, open_project
from workflow.questions import next_questions, submit_answers
from workflow.run_files import read_embeddings

IMAGES = 200
GROUPS = 100  # so many that answers never settle every pair
LONGEST_WORK_S = 3.0  # from when a job runs
THINK_S = 0.1
PATIENCE_S = 600.0  # of the lowest priority beside busy programs
PARAMS = {"strategy": "mgue", "pairs": 200, "device": "cpu"}
SETTINGS = """
[training]
most_steps = 100

[selection]
strategy = "mgue"
learn_every = 0
"""


def measure(folder: Path, kills: int, rng: random.Random) -> Outcome:
    """Kill the worker that often, each time at another round, which its successor brings to an end.

    The successor is killed at the next round.

    Raises:
        RuntimeError: a round did not come to its end, or left something twice or broken.
    """
    project = _make_project(folder)
    with _annotator(project) as someone, ExitStack() as workers:
        worker = workers.enter_context(_lane(project))
        for _ in range(kills):
            someone.wait_for_more()
            job_id = jobs.enqueue_round(project.jobs, PARAMS)
            was_at_work = _kill_at_work(project, worker, job_id, rng.uniform(0, LONGEST_WORK_S))
            worker = workers.enter_context(_lane(project))
            _wait_for_end(project, job_id)
            _check_round(project, job_id, attempts=1 + was_at_work)
    current = rounds.current_round(project.store.reader())
    if current is None:
        raise RuntimeError("The project has no round.")
    outcome = examine(
        project.store,
        current.round_id,
        kills=kills,
        acknowledged=someone.acknowledged,
        given=someone.acknowledged,
    )
    outcome = replace(outcome, damage=(*outcome.damage, *damage(project.jobs)))
    project.close()
    return outcome


def _kill_at_work(
    project: Project, worker: subprocess.Popen[bytes], job_id: int, after_s: float
) -> bool:
    """Whether the job had not ended before."""
    _wait_until(lambda: jobs.get(project, job_id).state is not JobState.QUEUED)
    time.sleep(after_s)
    worker.kill()
    worker.wait()
    return not jobs.get(project, job_id).state.ended


def _wait_for_end(project: Project, job_id: int) -> None:
    _wait_until(lambda: jobs.get(project, job_id).state.ended)


def _check_round(project: Project, job_id: int, *, attempts: int) -> None:
    job = jobs.get(project, job_id)
    log = "\n".join(line.text for line in jobs.log(project, job_id))
    if job.state is not JobState.DONE or job.attempt != attempts:
        raise RuntimeError(f"Job {job_id}: {job.state.value}, attempt {job.attempt}:\n{log}")
    made = runs.run_made_by(project.store.reader(), job.key)
    if made is None or len(read_embeddings(project.runs / made.name).image_ids) != IMAGES:
        raise RuntimeError(f"Job {job_id} left no whole run:\n{log}")
    if rounds.round_made_by(project.store.reader(), job.key) is None:
        raise RuntimeError(f"Job {job_id} left no questions:\n{log}")


@contextmanager
def _lane(project: Project) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "worker.lane", str(project.folder), str(os.getpid())]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as worker:
        try:
            yield worker
        finally:
            worker.kill()


class _Annotator:
    """Somebody who answers without end, in a thread."""

    def __init__(self, project: Project, member: Member) -> None:
        self._project = project
        self._member = member
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self.acknowledged: set[str] = set()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def wait_for_more(self) -> None:
        """Until there is something new to learn from."""
        now = len(self.acknowledged)
        _wait_until(lambda: len(self.acknowledged) >= now + 3)

    def _live(self) -> None:
        while not self._over.is_set():
            for question in next_questions(self._project, self._member, count=3):
                asked = pair(question.image_a, question.image_b)
                alike = (asked.b - asked.a) % GROUPS == 0
                kind = Kind.SIMILAR if alike else Kind.DISSIMILAR
                key, number = uuid.uuid4().hex, question.proposal_id
                new = NewAnswer(key, kind, asked, proposal_id=number)
                (receipt,) = submit_answers(self._project, self._member, [new])
                if receipt.status is ReceiptStatus.STORED:
                    self.acknowledged.add(key)
                time.sleep(THINK_S)
            time.sleep(THINK_S)


@contextmanager
def _annotator(project: Project) -> Iterator[_Annotator]:
    (member,) = store_world.enrol(project.store, 1)
    someone = _Annotator(project, member)
    someone.start()
    try:
        yield someone
    finally:
        someone.stop()


def _make_project(folder: Path) -> Project:
    """A prepared project of small images with a backbone that is ready at once."""
    store_world.draw_images(folder / "images", IMAGES, groups=GROUPS)
    weights = folder / "weights.safetensors"
    save_backbone(build_backbone("resnet18"), weights)
    model = ModelSettings(weights=weights, image_size_px=store_world.SIZE_PX, views=Views.SINGLE)
    create_project(folder / "project", images=folder / "images", model=model).project.close()
    with (folder / "project" / CONFIG_NAME).open("a") as settings:
        settings.write(SETTINGS)
    project = open_project(folder / "project")
    run_to_end(project, jobs.PREPARE, {"device": "cpu"}, silent)
    return project


def _wait_until(happened: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not happened():
        if time.monotonic() > deadline_s:
            raise RuntimeError("The worker does not go on.")
        time.sleep(0.05)
