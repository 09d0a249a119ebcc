"""A job whose worker died, or that was cancelled, goes on where it was."""

from collections.abc import Callable
from typing import Any

import pytest

from domain.clock import utc_now
from domain.jobs import JobState, silent
from labeling_store import jobs as queue
from tests.projects import answer
from worker import steps
from worker.foreground import run_to_end
from worker.lane import lane_lock, run_job, work
from worker.stopping import Stop
from workflow import jobs, rounds
from workflow.project import Project

PARAMS = {"strategy": "mgue", "pairs": 5, "device": "cpu"}


class Killed(BaseException):
    """The worker's process ends here, as by SIGKILL: nothing else is written."""


def killed(*_: Any, **__: Any) -> None:
    raise Killed


def killed_after(step: Callable[..., Any]) -> Callable[..., Any]:
    def first_the_step(*args: Any, **kwargs: Any) -> None:
        step(*args, **kwargs)
        raise Killed

    return first_the_step


@pytest.fixture
def answered(project: Project) -> Project:
    """Prepared, with answers to learn from."""
    run_to_end(project, jobs.PREPARE, {"device": "cpu"}, silent)
    answer(project, 40)
    return project


def start(project: Project, kind: str) -> int:
    """Queue a job; its worker dies where the test says."""
    job_id = queue.enqueue(project.jobs, kind, PARAMS)
    job = queue.claim_job(project.jobs, "doomed", now=utc_now())
    assert job is not None
    with pytest.raises(Killed):
        run_job(project, job, Stop())
    return job_id


def next_worker(project: Project, job_id: int) -> None:
    with lane_lock(project) as got:
        assert got
        work(project, Stop(), until_job=job_id)
    assert jobs.get(project, job_id).state is JobState.DONE


def run_names(project: Project) -> list[str]:
    return [run.name for run in rounds.list_runs(project)]


def round_numbers(project: Project) -> list[int]:
    return sorted(row.round.number for row in rounds.list_rounds(project))


def test_a_round_killed_between_training_and_proposing_does_not_train_again(
    answered: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(steps, "propose_next", killed)
        job_id = start(answered, jobs.ROUND)
    next_worker(answered, job_id)
    assert run_names(answered) == ["frozen", "round-001"]
    assert round_numbers(answered) == [1, 2]


def test_a_round_killed_after_proposing_opens_no_further_round(
    answered: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(steps, "propose_next", killed_after(steps.propose_next))
        job_id = start(answered, jobs.ROUND)
    answer(answered, 2)  # people do not wait for the worker
    next_worker(answered, job_id)
    assert run_names(answered) == ["frozen", "round-001"]
    assert round_numbers(answered) == [1, 2]


def test_a_training_killed_after_its_model_was_kept_is_not_done_again(
    answered: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(steps, "train_on_answers", killed_after(steps.train_on_answers))
        job_id = start(answered, jobs.TRAIN)
    next_worker(answered, job_id)
    assert run_names(answered) == ["frozen", "round-001"]


def test_proposing_killed_after_the_questions_were_put_is_not_done_again(
    answered: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(steps, "propose_next", killed_after(steps.propose_next))
        job_id = start(answered, jobs.PROPOSE)
    answer(answered, 2)
    next_worker(answered, job_id)
    assert round_numbers(answered) == [1, 2]


def test_a_cancelled_round_that_is_tried_again_keeps_its_model(
    answered: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(steps, "propose_next", killed)
        job_id = start(answered, jobs.ROUND)
    jobs.cancel(answered, job_id)
    queue.recover_stale(answered.jobs, now=utc_now(), stale_s=0)
    assert jobs.get(answered, job_id).state is JobState.CANCELLED
    next_worker(answered, jobs.retry(answered, job_id))
    assert run_names(answered) == ["frozen", "round-001"]
    assert round_numbers(answered) == [1, 2]


def test_a_training_that_ended_well_is_done_again_when_asked(answered: Project) -> None:
    run_to_end(answered, jobs.TRAIN, {"device": "cpu"}, silent)
    again = jobs.retry(answered, jobs.recent(answered)[0].job_id)
    next_worker(answered, again)
    assert run_names(answered) == ["frozen", "round-001", "round-001-2"]


def test_the_progress_of_a_round_never_goes_back(
    answered: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    report = steps.JobReport.__call__

    def listening(self: steps.JobReport, done: float, message: str) -> None:
        told.append(done)
        report(self, done, message)

    monkeypatch.setattr(steps.JobReport, "__call__", listening)
    run_to_end(answered, jobs.ROUND, PARAMS, silent)
    assert told == sorted(told)
    assert told[-1] > 0.9
