"""Pairs that a lead chooses on the map: which can be asked, in which order, and what keeps them."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from domain.answers import Kind
from domain.clock import utc_now
from domain.errors import AccessError, InputError
from domain.images import Part
from domain.members import Member, Role
from domain.pairs import Pair
from domain.rounds import RoundState
from labeling_store import by_hand as hand_picked
from labeling_store import images, queue, rounds
from tests.pictures import write_archive
from tests.ui import stage
from workflow import by_hand, members
from workflow.creation import create_project
from workflow.project import Project, local_owner
from workflow.questions import next_questions
from workflow.run_files import read_embeddings


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    archive = write_archive(tmp_path / "images", each=6)
    made = create_project(tmp_path / "project", images=archive).project
    stage.add_model(made, 0, metrics={"threshold": 0.2})
    stage.next_round(made, 2, stage.training_pairs(made, 12), model="r000")
    yield made
    made.close()


@pytest.fixture
def chosen(project: Project) -> list[int]:
    """Five training images of which the round asks no pair."""
    asked = set(stage.training_pairs(project, 12))
    ids = [each.image_id for each in stage.training_images(project)]
    return next(
        list(five) for five in combinations(ids, 5) if not asked.intersection(pairs_of(five))
    )


def pairs_of(ids: tuple[int, ...] | list[int]) -> list[Pair]:
    return [Pair(a, b) for a, b in combinations(sorted(ids), 2)]


def next_pairs(project: Project, count: int, *, member: Member | None = None) -> list[Pair]:
    asked = next_questions(project, member or local_owner(project), count=count)
    return [Pair(each.image_a, each.image_b) for each in asked]


def test_what_is_known_implied_or_asked_anyway_is_not_asked(
    project: Project, chosen: list[int]
) -> None:
    a, b, c, d, _ = chosen
    stage.answer_pair(project, a, b, Kind.SIMILAR)
    stage.answer_pair(project, b, c, Kind.SIMILAR)  # implies a and c
    round_id = current(project)
    with project.store.transaction() as db:
        queue.add_proposals(db, round_id, [stage.question(Pair(*sorted((a, d))))])
    found = by_hand.among(project, chosen)
    assert (found.images, found.known, found.in_queue) == (5, 3, 1)
    assert set(found.open) == set(pairs_of(chosen)) - set(pairs_of([a, b, c])) - {
        Pair(*sorted((a, d)))
    }


def test_only_images_to_learn_from_count_and_the_first_of_them(
    project: Project, chosen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [i.image_id for i in images.list_images(project.store.reader(), part=Part.TEST)]
    assert kept
    assert by_hand.among(project, [*kept, *chosen]).images == 5
    monkeypatch.setattr(by_hand, "MOST_IMAGES", 3)
    assert set(by_hand.among(project, [*kept, *chosen]).open) == set(pairs_of(chosen[:3]))


def test_the_least_sure_are_asked_before_all_others(project: Project, chosen: list[int]) -> None:
    embeddings = read_embeddings(project.runs / "r000")

    def doubt(each: Pair) -> float:
        a, b = (np.flatnonzero(embeddings.image_ids == image)[0] for image in each)
        return abs(float(embeddings.vectors[a] @ embeddings.vectors[b]) - 0.2)

    assert by_hand.ask(project, local_owner(project), chosen, count=4) == 4
    assert next_pairs(project, 6)[:4] == sorted(pairs_of(chosen), key=doubt)[:4]
    asked = next_questions(project, local_owner(project), count=1)
    assert asked[0].reason.startswith(by_hand.REASON)
    assert len(by_hand.among(project, chosen).open) == 6  # nobody asks twice


def test_what_comes_to_be_implied_is_passed_over(project: Project, chosen: list[int]) -> None:
    a, b, c = sorted(chosen[:3])
    by_hand.ask(project, local_owner(project), [a, b, c], count=3)
    stage.answer_pair(project, a, b, Kind.SIMILAR)
    stage.answer_pair(project, b, c, Kind.SIMILAR)
    assert not set(next_pairs(project, 9)) & set(pairs_of([a, b, c]))


def test_a_wish_outlives_other_questions_and_the_round(project: Project, chosen: list[int]) -> None:
    by_hand.ask(project, local_owner(project), chosen, count=3)
    other = members.join(project, "other")
    (held,) = next_pairs(project, 1, member=other)
    with project.store.transaction() as db:
        queue.withdraw_open(db, current(project))
    mine = next_pairs(project, 9)
    assert len(mine) == 2
    assert set(mine) < set(pairs_of(chosen))
    with project.store.transaction() as db:
        queue.release(db, member_id=local_owner(project).member_id)
        earlier = current(project)
        rounds.set_round_state(db, earlier, RoundState.DONE)
        new = rounds.create_round(db, number=3, strategy="mgue", model="r000")
        assert hand_picked.take_over(db, earlier, new.round_id, now=utc_now()) == 2
        queue.add_proposals(db, new.round_id, [stage.question(each) for each in [held, *mine]])
    assert next_pairs(project, 9)[:2] == mine


def test_only_leads_ask_and_within_bounds(project: Project, chosen: list[int]) -> None:
    owner = local_owner(project)
    ann = members.add_member(project, owner, "Ann", Role.ANNOTATOR)
    with pytest.raises(AccessError):
        by_hand.ask(project, ann, chosen, count=1)
    for count in (0, by_hand.MOST_PAIRS + 1):
        with pytest.raises(InputError, match=str(count)):
            by_hand.ask(project, owner, chosen, count=count)
    with pytest.raises(InputError, match="known or asked"):
        by_hand.ask(project, owner, chosen[:1], count=1)


def current(project: Project) -> int:
    found = rounds.current_round(project.store.reader())
    assert found is not None
    return found.round_id
