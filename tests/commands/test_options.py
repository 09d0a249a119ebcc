"""Options that do not go together are refused, never passed over."""

from pathlib import Path

import pytest

from domain.config import read_config
from domain.descriptors import PLAIN, Descriptor, Pooling
from tests.commands.conftest import Run
from worker.simulate import Simulation
from worker.simulation_options import SimulationOptions
from worker.triplet_study import TripletStudy


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


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[SimulationOptions]:
    """What simulations are asked for, none of which runs."""
    found: list[SimulationOptions] = []

    def simulated(options: SimulationOptions, progress: object) -> Simulation:
        found.append(options)
        return Simulation((), ())

    monkeypatch.setattr("commands.simulate.run_simulation", simulated)
    return found


def test_bcgue_is_simulated_as_in_the_paper_where_that_is_asked_for(
    run: Run, tmp_path: Path, asked: list[SimulationOptions]
) -> None:
    for more in ((), ("--literal-bcgue",)):
        run("simulate", "--images", tmp_path, "--out", tmp_path / "out", *more)
    assert [each.training.classifier_symmetric for each in asked] == [True, False]
    assert asked[0].identity() != asked[1].identity()


GEM = ("--pooling", "gem", "--gem-power", "4", "--scales", "1,0.7071")
AS_GEM = Descriptor(pooling=Pooling.GEM, power=4, scales=(1.0, 0.7071))


def test_a_new_project_gets_the_pooling_and_the_scales_that_were_typed(
    run: Run, archive: Path, tmp_path: Path
) -> None:
    assert run("init", "--images", archive, *GEM).status == 0
    settings = tmp_path / "project" / "project.toml"
    assert read_config(settings).model.descriptor == AS_GEM
    assert run("init", "--images", archive, "--project", tmp_path / "plain").status == 0
    assert "descriptor" not in (tmp_path / "plain" / "project.toml").read_text()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("--pooling", "sum"), ["'sum'", "'mean', 'max', 'gem'"]),
        (("--gem-power", "9"), ["9", "1<=x<=6"]),
        (("--scales", "1,half"), ["--scales '1,half'", "numbers with commas"]),
        (("--scales", "1,1"), ["--scales 1,1", "each once"]),
        (("--scales", "3"), ["--scales 3", "up to 2"]),
        (("--scales", "1,0.125"), ["224 px are 28 px at scale 0.125", "32 px or more"]),
        (("--pooling", "gem", "--backbone", "vgg16_pbffn"), ["gem does not go with vgg16_pbffn"]),
    ],
)
@pytest.mark.parametrize("command", ["init", "simulate", "compare-losses"])
def test_features_that_cannot_be_made_are_told_before_any_work(
    run: Run, archive: Path, tmp_path: Path, command: str, typed: tuple[str, ...], words: list[str]
) -> None:
    out = () if command == "init" else ("--out", tmp_path / "out")
    outcome = run(command, "--images", archive, *out, *typed)
    assert outcome.status == 2
    assert all(each in outcome.err for each in words), outcome.err
    assert not (tmp_path / "project").exists()
    assert not (tmp_path / "out").exists()


def test_simulations_and_comparisons_make_features_by_the_same_options(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[SimulationOptions]
) -> None:
    def compared(options: object, archive: SimulationOptions, progress: object) -> list[object]:
        asked.append(archive)
        return []

    def of_triplets(study: TripletStudy, progress: object) -> list[object]:
        asked.append(study.archive)
        return []

    monkeypatch.setattr("commands.compare_losses.compare_on_answers", compared)
    monkeypatch.setattr("commands.triplets.run_study", of_triplets)
    where = ("--images", tmp_path, "--out", tmp_path / "out")
    for more in ((), (*GEM, "--bands", "5")):
        run("simulate", *where, *more)
        run("compare-losses", *where, *more)
        run("compare-triplets", *where, "--labels", tmp_path, *more)
    assert [each.descriptor for each in asked] == [PLAIN] * 3 + [AS_GEM] * 3
    assert [each.bands for each in asked] == [3] * 3 + [5] * 3
    assert asked[0].identity() != asked[3].identity()
