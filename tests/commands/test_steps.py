"""The steps of a round from the command line."""

from pathlib import Path

import pytest

from domain.config import Views
from tests.commands.conftest import Run
from tests.pictures import write_archive
from tests.projects import answer, make_project, random_weights
from workflow.project import CONFIG_NAME, Project


@pytest.fixture
def few(tmp_path: Path) -> Project:
    """Four images, so that a minute's answers settle every pair."""
    archive = write_archive(tmp_path / "few", each=1, classes=False)
    return make_project(tmp_path / "project", archive, random_weights(tmp_path))


def test_proposing_says_when_nothing_is_left_to_ask(run: Run, few: Project) -> None:
    answer(few)
    assert run("embed").status == 0
    outcome = run("propose", "--json")
    assert outcome.status == 0
    assert "there is nothing to ask" in outcome.err
    assert outcome.json == {"round": 1, "open": 0, "strategy": "random"}


def test_embedding_goes_on_to_all_views_where_the_settings_want_them(
    run: Run, tmp_path: Path
) -> None:
    archive, weights = write_archive(tmp_path / "few", each=1), random_weights(tmp_path)
    make_project(tmp_path / "project", archive, weights, views=Views.MULTI)
    outcome = run("embed", "--json")
    assert (outcome.status, outcome.json["run"]) == (0, "frozen-views")


def test_proposing_says_how_many_questions_the_round_wants(run: Run, few: Project) -> None:
    assert run("embed").status == 0
    outcome = run("propose", "--pairs", "1", "--json")
    assert outcome.json == {"round": 1, "open": 1, "strategy": "mgue"}
    assert "nothing to ask" not in outcome.err


def test_what_a_training_ran_on_is_said(run: Run, tmp_path: Path) -> None:
    project = make_project(
        tmp_path / "project", write_archive(tmp_path / "images"), random_weights(tmp_path)
    )
    with (project.folder / CONFIG_NAME).open("a") as config:
        config.write("\n[finetuning]\nsteps = 2\ncheck_steps = 2\n")
    assert run("embed").status == 0
    answer(project, 100)
    trained = run("train", "--depth", "head", "--json")
    assert trained.status == 0
    assert trained.json["device"].startswith("CPU (")
    assert trained.json["bfloat16"] is False
    tuned = run("finetune", "--loss", "pedc")
    assert tuned.status == 0
    assert f"Trained on {trained.json['device']}." in tuned.out
    refused = run("finetune", "--loss", "pedc", "--set", "margin=1")
    assert refused.status == 2
    assert "has no margin" in refused.err
