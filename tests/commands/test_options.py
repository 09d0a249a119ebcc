"""Options that do not go together are refused, never passed over."""

from pathlib import Path

import pytest

from tests.commands.conftest import Run
from worker.simulate import Simulation
from worker.simulation_options import SimulationOptions


@pytest.mark.parametrize("option", ["--cancel", "--retry"])
def test_a_job_to_cancel_or_retry_must_be_named(run: Run, project: object, option: str) -> None:
    outcome = run("jobs", option)
    assert outcome.status == 2
    assert f"{option} needs the id of a job" in outcome.err
    assert f"jobs 3 {option}" in outcome.err


def test_a_job_is_not_cancelled_and_tried_again_at_once(run: Run, project: object) -> None:
    outcome = run("jobs", "1", "--cancel", "--retry")
    assert outcome.status == 2
    assert "exclude each other" in outcome.err
    assert run("jobs", "1", "--json").json["state"] == "queued"


def test_a_job_that_has_ended_cannot_be_cancelled(run: Run, project: object) -> None:
    assert run("jobs", "1", "--cancel", "--json").json["state"] == "cancelled"
    outcome = run("jobs", "1", "--cancel")
    assert outcome.status == 2
    assert "Job 1 is cancelled" in outcome.err


def test_the_demo_has_a_layout_of_its_own(run: Run) -> None:
    outcome = run("init", "--demo", "--layout", "flat")
    assert outcome.status == 2
    assert "--layout" in outcome.err


def test_an_old_sqlite_is_said_where_the_worker_starts(
    run: Run, project: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 40, 1))
    monkeypatch.setattr("commands.worker.supervise", lambda *supervisors: None)
    assert "Warning: SQLite" in run("worker").err
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 51, 3))
    assert "SQLite" not in run("worker").err


def test_bcgue_is_simulated_as_in_the_paper_where_that_is_asked_for(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[SimulationOptions] = []

    def simulated(options: SimulationOptions, progress: object) -> Simulation:
        asked.append(options)
        return Simulation((), ())

    monkeypatch.setattr("commands.simulate.run_simulation", simulated)
    for more in ((), ("--literal-bcgue",)):
        run("simulate", "--images", tmp_path, "--out", tmp_path / "out", *more)
    assert [each.training.classifier_symmetric for each in asked] == [True, False]
    assert asked[0].identity() != asked[1].identity()
