"""The loss of a training is kept in the job's log while it trains, for a curve."""

import time
from collections.abc import Callable

import pytest

from domain.jobs import Step, step_in
from tests.ui import stage
from ui.loss_curve import loss_curve
from worker import report
from worker.report import JobReport
from worker.stopping import Stop
from workflow import jobs
from workflow.project import Project


@pytest.mark.parametrize(
    ("message", "step"),
    [
        ("step 40 of 400, loss 0.1234", Step(40, 0.1234)),
        (
            "training: step 40 of 400, loss -12.5000, held-out AUC 0.9",
            Step(40, -12.5, "training: "),
        ),
        ("fine-tuning with the loss dcl", None),
        ("embedding", None),
    ],
)
def test_a_step_is_read_from_what_a_training_says(message: str, step: Step | None) -> None:
    assert step_in(message) == step


def test_another_training_is_told_by_its_words_where_its_steps_go_on(project: Project) -> None:
    job = stage.claim_job(project)
    with JobReport(project.jobs, job, Stop()) as told:
        told.log("retraining the backbone, step 3 of 9, loss 0.5000")
        told.log("retraining the backbone, step 9 of 9, loss 0.4000")
        told.log("step 10 of 40, loss 0.9000")
        told.log("step 20 of 40, loss 0.8000")
    assert [each.training for each in jobs.losses(project, job)] == [0, 0, 1, 1]


def wait_until(happened: Callable[[], bool]) -> None:
    for _ in range(1000):
        if happened():
            return
        time.sleep(0.01)
    pytest.fail("It did not come to the log")


def test_losses_are_kept_as_they_change_until_the_training_ends(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "HEARTBEAT_S", 0.01)
    monkeypatch.setattr(report, "LOSS_EVERY_S", 0.0)
    job = stage.claim_job(project)
    with JobReport(project.jobs, job, Stop()) as told:
        for said, count in (("embedding", 0), (1, 1), (2, 2), (2, 2), (9, 3), (4, 4)):
            told(0.5, f"step {said} of 9, loss {1 / said:.4f}" if isinstance(said, int) else said)
            wait_until(lambda wanted=count: len(jobs.losses(project, job)) >= wanted)
            time.sleep(0.05)  # some beats: the same loss again is no news
    kept = jobs.losses(project, job)
    assert [each.loss for each in kept] == [1.0, 0.5, 0.1111, 0.25]
    assert [each.training for each in kept] == [0, 0, 0, 1]
    assert [each.at_s for each in kept] == sorted(each.at_s for each in kept)
    drawing = loss_curve(kept)
    assert drawing is not None
    assert drawing.words == (
        "Loss of the training: from 1.0000 to 0.1111. Loss of the training: from 0.2500 to 0.2500."
    )
    assert loss_curve(kept[:1]) is None
