"""The queue holds more questions than a round wants, so that nobody waits for training."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from domain.jobs import silent
from domain.pairs import Pair
from labeling_store import answers
from tests.projects import answer
from tests.ui.stage import training_images
from worker import proposing, steps
from worker.foreground import run_to_end
from workflow import by_hand, jobs, rounds
from workflow.project import CONFIG_NAME, Project, local_owner, open_project
from workflow.questions import RoundProgress, next_questions, round_progress
from workflow.status import overview

ROUND: Mapping[str, Any] = {"strategy": "mgue", "pairs": 20, "device": "cpu"}


def asked(project: Project, number: int) -> list[Pair]:
    """The questions of a round in the order in which they are asked."""
    rows = project.store.reader().execute(
        "SELECT a, b FROM proposal JOIN round USING (round_id) "
        "WHERE number = ? AND proposal.state <> 'withdrawn' ORDER BY rank",
        (number,),
    )
    return [Pair(row["a"], row["b"]) for row in rows]


def progress_of(project: Project) -> RoundProgress:
    progress = round_progress(project)
    assert progress is not None
    return progress


@pytest.fixture
def prepared(project: Project) -> Project:
    """Without hidden repeats, which are extra questions of a round."""
    settings = project.folder / CONFIG_NAME
    text = settings.read_text().replace(
        "[selection]", "[annotators]\nrepeat_share = 0\n[selection]"
    )
    settings.write_text(text)
    run_to_end(project, jobs.PREPARE, {"device": "cpu"}, silent)
    return project


@pytest.fixture
def second_round(prepared: Project) -> Project:
    """In its second round, which wants 21 answers, none of them given."""
    answer(prepared, 60)
    run_to_end(prepared, jobs.ROUND, ROUND, silent)
    return prepared


def test_the_own_questions_are_those_asked_without_spare_ones(
    prepared: Project, tmp_path: Path
) -> None:
    answer(prepared, 60)
    run_to_end(prepared, jobs.TRAIN, {"device": "cpu"}, silent)
    prepared.store.checkpoint()
    shutil.copytree(prepared.folder, tmp_path / "copy")
    with (tmp_path / "copy" / CONFIG_NAME).open("a") as config:
        config.write("spare_share = 0\n")  # under [selection], which is last
    copy = open_project(tmp_path / "copy")
    for each in (prepared, copy):
        run_to_end(each, jobs.PROPOSE, ROUND, silent)
    with_spare, without = asked(prepared, 2), asked(copy, 2)
    copy.close()
    assert len(without) == 21
    assert with_spare[:21] == without
    assert len(set(with_spare)) == 31


def test_what_a_lead_chose_goes_first_in_the_next_round_too(prepared: Project) -> None:
    owner, images = local_owner(prepared), [each.image_id for each in training_images(prepared)]
    answer(prepared, 10)
    assert by_hand.ask(prepared, owner, images, count=3) == 3
    chosen = asked(prepared, 1)[:3]
    run_to_end(prepared, jobs.PROPOSE, {**ROUND, "strategy": "random"}, silent)
    assert asked(prepared, 2)[:3] == chosen
    assert not set(asked(prepared, 1)) & set(chosen)


def test_at_the_target_training_can_start_and_people_can_go_on(second_round: Project) -> None:
    answer(second_round, 21)
    progress = progress_of(second_round)
    assert (progress.answered, progress.left, progress.spare) == (21, 0, 10)
    step = overview(second_round).next_step
    assert step.title == "Train on the answers"
    assert "every answer counts" in step.text
    assert rounds.check_can_train(second_round) is None
    answer(second_round, 4)
    progress = progress_of(second_round)
    assert (progress.answered, progress.left, progress.spare) == (25, 0, 6)
    assert rounds.list_rounds(second_round)[0].answered == 25


def test_before_the_target_the_overview_counts_to_it(second_round: Project) -> None:
    answer(second_round, 11)
    assert "10 of 21 pairs of round 2" in overview(second_round).next_step.text


def test_answers_given_while_the_model_learns_belong_to_the_round_and_stay(
    second_round: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(second_round, 21)
    held = next_questions(second_round, local_owner(second_round), count=2)
    train = steps.train_on_answers

    def while_somebody_answers(*args: Any, **kwargs: Any) -> Any:
        run = train(*args, **kwargs)
        answer(second_round, 3)
        return run

    monkeypatch.setattr(steps, "train_on_answers", while_somebody_answers)
    run_to_end(second_round, jobs.ROUND, ROUND, silent)
    (run,) = [each for each in rounds.list_runs(second_round) if each.round_number == 2]
    effort = answers.effort(second_round.store.reader())
    assert effort.bits == run.bits + 3
    assert {each.proposal_id for each in held} <= answered_or_held(second_round, 2)
    assert progress_of(second_round).round_number == 3
    assert not set(asked(second_round, 3)) & set(asked(second_round, 2))


def test_what_people_take_while_questions_are_chosen_is_not_asked_again(
    second_round: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(second_round, 21)
    choose = proposing.choose

    def while_somebody_answers(*args: Any, **kwargs: Any) -> Any:
        chosen = choose(*args, **kwargs)
        monkeypatch.undo()
        answer(second_round, 5)
        next_questions(second_round, local_owner(second_round), count=3)
        return chosen

    monkeypatch.setattr(proposing, "choose", while_somebody_answers)
    run_to_end(second_round, jobs.PROPOSE, ROUND, silent)
    assert progress_of(second_round).round_number == 3
    assert len(asked(second_round, 2)) == 29
    assert not set(asked(second_round, 3)) & set(asked(second_round, 2))


def answered_or_held(project: Project, number: int) -> set[int]:
    rows = project.store.reader().execute(
        "SELECT proposal_id FROM proposal JOIN round USING (round_id) "
        "WHERE number = ? AND proposal.state <> 'withdrawn'",
        (number,),
    )
    return {row["proposal_id"] for row in rows}


def test_the_next_round_withdraws_spare_questions_nobody_holds(second_round: Project) -> None:
    answer(second_round, 21)
    run_to_end(second_round, jobs.ROUND, ROUND, silent)
    assert len(asked(second_round, 2)) == 21
    second = next(row for row in rounds.list_rounds(second_round) if row.round.number == 2)
    assert (second.answered, second.target) == (21, 21)


def test_when_spare_questions_are_used_up_nothing_is_open(second_round: Project) -> None:
    answer(second_round)
    progress = progress_of(second_round)
    assert (progress.answered, progress.left, progress.spare) == (31, 0, 0)
    assert "every answer counts" not in overview(second_round).next_step.text


def test_a_first_round_has_spare_questions_before_and_after_preparing(project: Project) -> None:
    before = progress_of(project)
    run_to_end(project, jobs.PREPARE, {"device": "cpu"}, silent)
    after = progress_of(project)
    assert (before.target, before.total) == (after.target, after.total) == (100, 150)


def test_answers_given_during_preparation_count_towards_the_target(project: Project) -> None:
    answer(project, 7)
    run_to_end(project, jobs.PREPARE, {"device": "cpu"}, silent)
    progress = progress_of(project)
    assert (progress.target, progress.left, progress.total) == (100, 93, 150)
