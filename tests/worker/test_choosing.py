"""Rounds by other strategies, and what a round says of how its questions were chosen."""

import uuid

from domain.answers import Kind, NewAnswer
from domain.config import Strategy
from domain.jobs import silent
from domain.pairs import pair
from labeling_store import rounds as round_store
from labeling_store import runs
from tests.projects import answer
from training.checkpoints import load_head
from worker.candidates import candidates_of
from worker.foreground import run_to_end
from workflow import jobs, rounds
from workflow.project import Project, local_owner
from workflow.questions import next_questions, round_progress, submit_answers
from workflow.run_files import CHECKPOINT


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
    do(project, jobs.PREPARE)
    answer(project, 30)
    do_round(project, Strategy.BCGUE)
    assert load_head(project.runs / "round-001" / CHECKPOINT).classifier is not None
    by_classifier = ["classifier of pairs is unsure" in reason for reason in reasons(project)]
    assert sum(by_classifier) > 0.9 * len(by_classifier) > 20  # the others are random checks
    progress = round_progress(project)
    assert progress is not None
    assert progress.notes == ()


def test_a_mgue_round_trains_no_classifier_and_bcgue_then_says_so(project: Project) -> None:
    do(project, jobs.PREPARE)
    answer(project)
    do_round(project)
    assert load_head(project.runs / "round-001" / CHECKPOINT).classifier is None
    do(project, jobs.PROPOSE, **rounds.round_params(project, strategy="bcgue", pairs=20))
    progress = round_progress(project)
    assert progress is not None
    assert "no classifier of pairs yet" in " ".join(progress.notes)


def test_a_one_sided_round_is_noted_and_leaves_its_threshold(project: Project) -> None:
    do(project, jobs.PREPARE)
    answer(project, 60)
    do_round(project)
    answer_all(project, Kind.SIMILAR)
    do_round(project)
    notes = " ".join(round_store.list_rounds(project.store.reader())[-1].notes)
    assert 'were "similar", which taught the model little' in notes


def test_questions_say_what_their_answers_settle(project: Project) -> None:
    do(project, jobs.PREPARE)
    answer(project)
    do_round(project)
    assert any("settles" in reason for reason in reasons(project))


def test_candidates_know_the_latest_answers_of_the_strategy(project: Project) -> None:
    do(project, jobs.PREPARE)
    run = runs.active_run(project.store.reader())
    assert run is not None
    assert not len(candidates_of(project, run).last_answers)
    answer_all(project, Kind.DISSIMILAR)
    said = candidates_of(project, run).last_answers
    assert len(said) > 50
    assert not said.any()
