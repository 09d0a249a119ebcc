"""The worker looks for new answers beside its work: cheaply, and whatever is broken meanwhile."""

import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from domain.answers import Kind
from domain.config import SelectionSettings, Strategy, config_toml
from domain.jobs import JobState
from tests.ui import stage
from worker import watching
from worker.lane import work
from worker.stopping import Stop
from worker.watching import Watch
from workflow import continuous, jobs
from workflow.project import CONFIG_NAME, Project, open_project
from workflow.questions import round_progress

EVERY = 5
PATIENCE_S = 120.0


@pytest.fixture
def learning(project: Project) -> Project:
    """Prepared, in its first round of a project that learns by itself; nothing answered."""
    selection = SelectionSettings(strategy=Strategy.COMPONENTS, learn_every=EVERY)
    config = project.config.model_copy(update={"selection": selection})
    (project.folder / CONFIG_NAME).write_text(config_toml(config))
    stage.finish_jobs(project)
    stage.add_model(project, 0, metrics={})
    return project


def folded_in(project: Project) -> int:
    """How many answers are in the database's file itself, whatever is in its log."""
    file = f"{(project.folder / 'labels.db').as_uri()}?immutable=1"
    with closing(sqlite3.connect(file, uri=True)) as db:
        (count,) = db.execute("SELECT count(*) FROM event").fetchone()
    return int(count)


def answer(project: Project, count: int) -> None:
    stage.answer_pair(project, *stage.one_kind(project, 2), Kind.SIMILAR)
    stage.answer_questions(project, count - 1)


def rounds_of(project: Project) -> list[JobState]:
    return [job.state for job in jobs.recent(project) if job.kind == jobs.ROUND]


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_for_round(project: Project, number: int) -> None:
    def is_asked() -> bool:
        progress = round_progress(project)
        return progress is not None and progress.round_number == number

    wait_for(is_asked)


def test_answers_start_a_round(learning: Project) -> None:
    watch = Watch(learning)
    assert watch.look() is None
    answer(learning, EVERY)
    assert watch.look() is not None
    assert watch.look() is None
    assert rounds_of(learning) == [JobState.QUEUED]


def test_settings_are_those_of_now(learning: Project) -> None:
    path = learning.folder / CONFIG_NAME
    path.write_text(path.read_text().replace(f"learn_every = {EVERY}", "learn_every = 7"))
    watch = Watch(learning)
    answer(learning, EVERY)
    assert watch.look() is None
    stage.answer_questions(learning, 7 - EVERY)
    assert watch.look() is not None


def test_while_nothing_happens_nothing_is_worked_out(
    learning: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(learning)
    watch.look()

    def never(project: Project) -> None:
        raise AssertionError("worked out again")

    monkeypatch.setattr(continuous, "start_if_due", never)
    assert [watch.look() for _ in range(3)] == [None] * 3


def test_the_end_of_a_job_is_looked_at(learning: Project) -> None:
    """People answer while the model learns: enough of them start the next round at its end."""
    watch = Watch(learning)
    answer(learning, EVERY)
    watch.look()
    job = stage.claim_job(learning)
    stage.answer_questions(learning, EVERY)
    assert watch.look() is None
    stage.add_model(learning, 1, metrics={}, bits=EVERY)
    stage.finish_job(learning, job)
    assert watch.look() is not None


def test_a_round_that_was_put_off_for_the_views_is_looked_at_again(
    learning: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody answers any more, and the views take hours."""
    monkeypatch.setattr(watching, "AGAIN_EVERY_S", 0.01)
    jobs.enqueue_views(learning.jobs, {})
    stage.claim_job(learning)
    answer(learning, EVERY)
    watch = Watch(learning)
    assert watch.look() is None
    time.sleep(0.02)
    assert watch.look() is None
    monkeypatch.setattr(continuous, "VIEWS_UNDISTURBED_S", 0.0)
    time.sleep(0.02)
    assert watch.look() is not None


def test_a_thread_looks_on_while_settings_are_broken(
    learning: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LOOK_EVERY_S", 0.01)
    path = learning.folder / CONFIG_NAME
    whole = path.read_text()
    path.write_text("name = ")
    with watching.watching(learning):
        answer(learning, EVERY)
        time.sleep(0.2)
        assert rounds_of(learning) == []
        path.write_text(whole)
        wait_for(lambda: bool(rounds_of(learning)))
    assert rounds_of(learning) == [JobState.QUEUED]


def test_people_only_answer_and_rounds_follow(
    learning: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first question on, with the real lane; nobody presses anything."""
    monkeypatch.setattr(watching, "LOOK_EVERY_S", 0.05)
    stop = Stop()
    with ThreadPoolExecutor(1) as pool, watching.watching(learning):
        working = pool.submit(work, learning, stop)
        try:
            answer(learning, 70)  # learning starts at 60
            for number in (2, 3):
                wait_for_round(learning, number)
                stage.answer_questions(learning, EVERY)
        finally:
            stop.set()
        working.result()
    assert {job.queued_by for job in jobs.recent(learning) if job.kind == jobs.ROUND} == {
        jobs.BY_ITSELF
    }


def test_logs_are_folded_in_every_few_seconds(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper, now = open_project(project.folder, checkpoints=True), [100.0]
    monkeypatch.setattr(watching.time, "monotonic", lambda: now[0])
    watch, before = Watch(keeper), folded_in(project)
    answer(project, 3)
    watch.fold_logs()
    assert folded_in(project) == before
    now[0] += watching.CHECKPOINT_EVERY_S
    watch.fold_logs()
    assert folded_in(project) == before + 3
    keeper.close()
