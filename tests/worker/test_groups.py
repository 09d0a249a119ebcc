"""Rounds of `components`: chains in the queue, a head of groups, and what a run keeps of it."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from domain.config import Strategy
from domain.jobs import silent
from labeling_store import answers, runs
from labeling_store import rounds as round_store
from tests.projects import answer
from training import group_head
from training.checkpoints import load_head
from worker import repeats, steps
from worker.foreground import run_to_end
from worker.group_questions import answers_about
from workflow import jobs, rounds
from workflow.project import Project, local_owner
from workflow.questions import next_questions, round_progress
from workflow.run_files import CHECKPOINT

PAIRS = 60


def do_round(project: Project) -> None:
    params = rounds.round_params(project, strategy=Strategy.COMPONENTS.value, pairs=PAIRS)
    run_to_end(project, jobs.ROUND, {"device": "cpu", **params}, silent)


@pytest.fixture
def sorted_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Answered often enough for a head of groups, which is kept although it is of little use."""
    monkeypatch.setattr(group_head, "frozen_length", lambda *_, least: least)
    run_to_end(project, jobs.PREPARE, {"device": "cpu"}, silent)
    answer(project)
    do_round(project)
    return project


def test_the_model_keeps_the_groups_it_learnt(sorted_once: Project) -> None:
    run = runs.active_run(sorted_once.store.reader())
    assert run is not None
    folder = sorted_once.runs / run.name
    assert load_head(folder / CHECKPOINT).module.kind == "groups"
    groups = pq.read_table(folder / "groups.parquet").to_pandas()
    assert groups["probability"].between(0, 1).all()
    assert groups["weight"].between(0, 1).all()
    per_image = groups.groupby("image_ids")["probability"].sum()
    np.testing.assert_allclose(per_image, 1, atol=0.05)  # but for what is improbable


def test_a_round_is_reached_after_few_answers_and_holds_more(sorted_once: Project) -> None:
    progress = round_progress(sorted_once)
    current = round_store.current_round(sorted_once.store.reader())
    assert progress is not None
    assert current is not None
    assert current.strategy == "components"
    assert 0 < progress.target <= sorted_once.config.selection.learn_every


def test_no_chain_puts_two_questions_of_one_image_before_people(sorted_once: Project) -> None:
    rows = sorted_once.store.reader().execute(
        "SELECT proposal_id, chain FROM proposal JOIN round USING (round_id) "
        "WHERE number = 2 AND chain IS NOT NULL AND proposal.state = 'open'"
    )
    chain = {row["proposal_id"]: row["chain"] for row in rows}
    asked = next_questions(sorted_once, local_owner(sorted_once), count=200)
    chains = [chain[each.proposal_id] for each in asked if each.proposal_id in chain]
    assert len(chains) == len(set(chains))


def test_all_answers_are_learnt_from(sorted_once: Project) -> None:
    ids = np.arange(1, 41)
    said = answers_about(sorted_once, ids)
    labelled = sorted_once.store.reader().execute(
        "SELECT count(DISTINCT a * 1000 + b) FROM event WHERE similar IS NOT NULL"
    )
    training = sorted_once.store.reader().execute("SELECT image_id FROM image")
    assert len(said) == labelled.fetchone()[0]
    assert set(ids) >= {row["image_id"] for row in training}


def test_where_answers_contradict_each_other_pairs_are_asked_again(
    sorted_once: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubted = answers.pair_labels(sorted_once.store.reader())[0].pair
    monkeypatch.setattr(repeats, "asked_again", lambda project, count: [doubted][:count])
    answer(sorted_once)
    do_round(sorted_once)
    asked = next_questions(sorted_once, local_owner(sorted_once), count=200)
    again = [each for each in asked if (each.image_a, each.image_b) == doubted]
    assert ["contradict" in each.reason for each in again] == [True]


def test_where_similar_does_not_carry_over_mgue_takes_over_and_says_why(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "steps_back", lambda found: "No groups here.")
    run_to_end(project, jobs.PREPARE, {"device": "cpu"}, silent)
    answer(project, 20)
    do_round(project)
    current = round_store.current_round(project.store.reader())
    assert current is not None
    assert current.strategy == "mgue"
    assert current.notes[0] == "No groups here."
    run = runs.active_run(project.store.reader())
    assert run is not None
    assert not (project.runs / run.name / "groups.parquet").exists()
