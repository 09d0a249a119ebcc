"""Rounds by other strategies, and what a round says of how its questions were chosen."""

import sqlite3
import uuid

import pytest

from domain.answers import Kind, NewAnswer
from domain.config import Strategy
from domain.jobs import silent
from domain.pairs import Pair, pair
from labeling_store import rounds as round_store
from labeling_store import runs
from labeling_store.answers import events
from tests.projects import answer
from training.checkpoints import load_head
from worker.candidates import candidates_of
from worker.foreground import run_to_end
from workflow import jobs, rounds
from workflow.project import CONFIG_NAME, Project, local_owner, with_settings_of_now
from workflow.questions import Question, next_questions, round_progress, submit_answers
from workflow.run_files import CHECKPOINT

NEWEST_ROUND = """
    SELECT a, b, overlap, asked_of, reason, similarity, threshold, is_check FROM proposal
    WHERE round_id = (SELECT max(round_id) FROM round) AND state = 'open'
"""


@pytest.fixture
def project(prepared: Project) -> Project:
    """Its images are embedded."""
    return prepared


def do(project: Project, kind: str, **params: object) -> None:
    run_to_end(project, kind, {"device": "cpu", **params}, silent)


def do_round(project: Project, strategy: Strategy = Strategy.MGUE, pairs: int = 30) -> None:
    params = rounds.round_params(project, strategy=strategy.value, pairs=pairs)
    do(project, jobs.ROUND, **params)


def answer_all(project: Project, kind: Kind) -> None:
    """Everything that is asked, with the same key."""
    member = local_owner(project)
    new = [
        NewAnswer(
            key=str(uuid.uuid4()),
            kind=kind,
            pair=pair(each.image_a, each.image_b),
            proposal_id=each.proposal_id,
            round_id=each.round_id,
        )
        for each in next_questions(project, member, count=1000)
    ]
    submit_answers(project, member, new)


def reasons(project: Project) -> list[str]:
    return [each.reason for each in next_questions(project, local_owner(project), count=100)]


def test_a_bcgue_round_trains_a_classifier_and_asks_what_it_is_unsure_of(project: Project) -> None:
    answer(project, 30)
    do_round(project, Strategy.BCGUE)
    assert load_head(project.runs / "round-001" / CHECKPOINT).classifier is not None
    by_classifier = ["classifier of pairs is unsure" in reason for reason in reasons(project)]
    assert sum(by_classifier) > 0.9 * len(by_classifier) > 20  # the others are random checks
    progress = round_progress(project)
    assert progress is not None
    assert progress.notes == ()


def test_a_mgue_round_trains_no_classifier_and_bcgue_then_says_so(project: Project) -> None:
    answer(project)
    do_round(project)
    assert load_head(project.runs / "round-001" / CHECKPOINT).classifier is None
    do(project, jobs.PROPOSE, **rounds.round_params(project, strategy="bcgue", pairs=20))
    progress = round_progress(project)
    assert progress is not None
    assert "no classifier of pairs yet" in " ".join(progress.notes)


def test_a_one_sided_round_is_noted_and_leaves_its_threshold(project: Project) -> None:
    answer(project, 60)
    do_round(project)
    answer_all(project, Kind.SIMILAR)
    do_round(project)
    notes = " ".join(round_store.list_rounds(project.store.reader())[-1].notes)
    assert 'were "similar", which taught the model little' in notes


def test_questions_say_what_their_answers_settle(project: Project) -> None:
    answer(project)
    do_round(project)
    assert any("settles" in reason for reason in reasons(project))


def test_candidates_know_the_latest_answers_of_the_strategy(project: Project) -> None:
    run = runs.active_run(project.store.reader())
    assert run is not None
    assert not len(candidates_of(project, run).last_answers)
    answer_all(project, Kind.DISSIMILAR)
    said = candidates_of(project, run).last_answers
    assert len(said) > 50
    assert not said.any()


# --- asked of several people, or again ---


def with_settings(project: Project, lines: str) -> Project:
    """The same project with settings for its annotators."""
    path = project.folder / CONFIG_NAME
    path.write_text(path.read_text() + f"\n[annotators]\n{lines}\n")
    return with_settings_of_now(project)


def asked_in_newest_round(project: Project) -> list[sqlite3.Row]:
    return project.store.reader().execute(NEWEST_ROUND).fetchall()


@pytest.mark.parametrize("strategy", [Strategy.MGUE, Strategy.COMPONENTS])
def test_a_share_of_a_round_is_asked_of_two_members(project: Project, strategy: Strategy) -> None:
    project = with_settings(project, "overlap_share = 0.2")
    answer(project, 30)
    do_round(project, strategy)
    overlaps = [row["overlap"] for row in asked_in_newest_round(project)]
    assert set(overlaps) == {1, 2}
    assert overlaps.count(2) == round(0.2 * len(overlaps))


@pytest.mark.parametrize("strategy", [Strategy.MGUE, Strategy.COMPONENTS])
def test_members_are_asked_some_of_their_pairs_again_among_the_others(
    project: Project, strategy: Strategy
) -> None:
    project = with_settings(project, "repeat_share = 0.1\nrepeat_after = 10")
    answer(project, 30)
    reasons_before = {each.pair: each.reason for each in events(project.store.reader())}
    do_round(project, strategy, pairs=20)
    rows = asked_in_newest_round(project)
    again = [row for row in rows if row["asked_of"] == local_owner(project).member_id]
    assert len(again) == (3 if strategy is Strategy.MGUE else 2)  # of 21 and 20 answers
    for row in again:
        assert row["reason"] == reasons_before[Pair(row["a"], row["b"])]
        assert row["overlap"] == 1
    others = [row for row in rows if row["asked_of"] is None and not row["is_check"]]
    assert {row["threshold"] for row in again} == {row["threshold"] for row in others}
    assert all(-1 <= row["similarity"] <= 1 for row in again)  # not told apart where not blind
    progress = round_progress(project)
    assert progress is not None
    assert progress.total <= len(rows) - len(again)
    asked = {(each.image_a, each.image_b) for each in questions_of_all(project)}
    assert asked >= {(row["a"], row["b"]) for row in again}


def test_nothing_is_repeated_before_enough_other_answers(project: Project) -> None:
    answer(project, 45)
    do_round(project)
    assert {row["asked_of"] for row in asked_in_newest_round(project)} == {None}


def questions_of_all(project: Project) -> list[Question]:
    return next_questions(project, local_owner(project), count=1000)


@pytest.mark.parametrize("blind", [True, False])
def test_questions_give_the_models_figures_only_where_the_lead_wants_it(
    project: Project, blind: bool
) -> None:
    answer(project, 30)
    do_round(project)
    project = with_settings(project, f"blind = {str(blind).lower()}")
    given = [each.reason for each in questions_of_all(project)]
    assert given
    assert {"Similarity 0." in each or "Similarity -0." in each for each in given} == {not blind}
