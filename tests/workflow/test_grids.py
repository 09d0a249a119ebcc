"""Questions about one image are put together; nobody else gets them meanwhile."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from domain.answers import Kind, Propagation
from domain.members import Member
from domain.pairs import Pair, pair
from domain.rounds import Proposal, RoundState
from labeling_store import queue, rounds
from tests.pictures import write_archive
from tests.ui import stage
from workflow.creation import create_project
from workflow.grids import MOST_QUESTIONS, Grid, next_grids
from workflow.project import Project, local_owner
from workflow.questions import next_questions


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(tmp_path_factory.mktemp("archive") / "images", each=4)


@pytest.fixture
def project(tmp_path: Path, archive: Path) -> Iterator[Project]:
    made = create_project(tmp_path / "project", images=archive).project
    yield made
    made.close()


def ask_singles(project: Project, pairs: list[Pair]) -> None:
    with project.store.transaction() as db:
        current = rounds.current_round(db)
        assert current is not None
        queue.withdraw_open(db, current.round_id)
        rounds.set_round_state(db, current.round_id, RoundState.DONE)
        opened = rounds.create_round(db, number=2, strategy="random", model=None)
        queue.add_proposals(db, opened.round_id, [Proposal(each, 0.0, "") for each in pairs])


def pairs_in(grid: Grid) -> list[Pair]:
    return [Pair(each.image_a, each.image_b) for each in grid.questions]


def test_single_questions_about_one_image_make_a_grid(project: Project) -> None:
    ask_singles(project, [Pair(1, 5), Pair(2, 3), Pair(5, 6), Pair(5, 7)])
    first, second = next_grids(project, local_owner(project), count=2)
    assert (first.image_id, first.chain) == (5, False)
    assert pairs_in(first) == [Pair(1, 5), Pair(5, 6), Pair(5, 7)]
    assert pairs_in(second) == [Pair(2, 3)]


def test_every_question_of_a_grid_is_kept_from_others(project: Project, ann: Member) -> None:
    ask_singles(project, [Pair(1, 5), Pair(5, 6), Pair(5, 7), Pair(2, 3)])
    next_grids(project, local_owner(project), count=1)
    (left,) = next_questions(project, ann, count=9)
    assert (left.image_a, left.image_b) == (2, 3)


def test_a_chain_makes_a_grid_of_which_only_the_first_is_leased(
    project: Project, ann: Member
) -> None:
    chain = [Pair(3, 9), Pair(1, 9), Pair(5, 9)]
    stage.ask_chains(project, 2, [chain])
    (grid,) = next_grids(project, local_owner(project), count=3)
    assert (grid.image_id, grid.chain, pairs_in(grid)) == (9, True, chain)
    assert next_grids(project, ann, count=3) == []
    (lease,) = project.store.reader().execute("SELECT proposal_id FROM lease").fetchall()
    assert lease["proposal_id"] == grid.questions[0].proposal_id


def test_held_grids_are_not_given_again_and_others_come(project: Project) -> None:
    stage.ask_chains(project, 2, [[Pair(1, 9), Pair(2, 9)], [Pair(1, 8), Pair(2, 8)]])
    owner = local_owner(project)
    (first,) = next_grids(project, owner, count=1)
    held = [first.questions[0].proposal_id]
    (second,) = next_grids(project, owner, count=5, held=held)
    assert pairs_in(second) == [Pair(1, 8), Pair(2, 8)]


def test_a_grid_has_no_more_questions_than_there_are_digits(project: Project) -> None:
    ask_singles(project, [Pair(1, other) for other in range(2, 14)])
    first, second = next_grids(project, local_owner(project), count=12)
    assert [len(first.questions), len(second.questions)] == [MOST_QUESTIONS, 3]


def test_there_are_no_grids_where_nothing_is_asked(project: Project) -> None:
    ask_singles(project, [])
    assert next_grids(project, local_owner(project), count=3) == []


@pytest.mark.parametrize(("propagation", "counts"), [("closure", 2), ("one_step", 1)])
def test_questions_say_for_how_many_pairs_they_stand_where_answers_spread_without_end(
    project: Project, propagation: str, counts: int
) -> None:
    first, second, third = stage.one_kind(project, 3)
    stage.answer_pair(project, first, second, Kind.SIMILAR)
    ask_singles(project, [pair(second, third)])
    config = project.config.model_copy(update={"propagation": Propagation(propagation)})
    changed = replace(project, config=config)
    (grid,) = next_grids(changed, local_owner(project), count=1)
    assert [each.stands_for for each in grid.questions] == [counts]
