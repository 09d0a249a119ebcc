"""How far people agree: kappas against worked examples, and reports of what is in the log."""

import uuid
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from domain.answers import Kind, NewAnswer
from domain.jobs import silent
from domain.members import Member, Role
from domain.pairs import Pair, pair
from domain.people import Activity, Agreement
from labeling_store import answers, members
from labeling_store.agreement import Word, newest_report
from tests.projects import answer
from worker.agreement import (
    agreements,
    cohen_kappa,
    fleiss_kappa,
    label_counts,
    report_on_people,
)
from worker.foreground import run_to_end
from workflow import jobs
from workflow.project import Project, local_owner

# Fourteen raters put ten subjects into five categories: the example of Wikipedia's article on
# Fleiss' kappa, which works out 0.210.
WORKED = [
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]
NO, YES = Kind.DISSIMILAR, Kind.SIMILAR
ratings = st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=9)


def words(*said: tuple[int, int, bool]) -> list[Word]:
    """Words of pairs, members and labels; the pair is given by the image it shares with 0."""
    return [Word(Pair(0, place), member_id, similar) for place, member_id, similar in said]


def test_fleiss_kappa_of_a_worked_example() -> None:
    assert fleiss_kappa(np.array(WORKED)) == pytest.approx(0.210, abs=5e-4)


@pytest.mark.parametrize("counts", [np.zeros((0, 2), dtype=np.int64), np.array([[0, 2], [0, 3]])])
def test_fleiss_kappa_is_undefined_without_pairs_or_with_one_label_only(counts) -> None:
    assert fleiss_kappa(counts) is None


def test_fleiss_kappa_is_one_where_all_agree_and_below_zero_where_nobody_does() -> None:
    assert fleiss_kappa(np.array([[3, 0], [0, 2]])) == pytest.approx(1.0)
    assert fleiss_kappa(np.array([[1, 1], [1, 1]])) == pytest.approx(-1.0)


@given(rows=ratings, times=st.integers(2, 3))
def test_fleiss_kappa_depends_on_no_order_and_not_on_the_number_of_subjects(rows, times) -> None:
    counts = np.array([row for row in rows if sum(row) > 1], dtype=np.int64).reshape(-1, 3)
    expected = fleiss_kappa(counts)
    for same in (counts[::-1], counts[:, ::-1], np.tile(counts, (times, 1))):
        found = fleiss_kappa(same)
        assert found == (expected if expected is None else pytest.approx(expected))


@given(said=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_cohen_kappa_is_that_of_scikit_learn(said) -> None:
    assume(len({each for both in said for each in both}) == 2)  # else it is 0 / 0
    assert cohen_kappa(said) == pytest.approx(cohen_kappa_score(*zip(*said, strict=True)))


def test_two_members_are_compared_on_their_common_pairs_only() -> None:
    said = words((1, 1, True), (1, 2, True), (2, 1, False), (2, 2, True), (3, 1, False))
    said += words((3, 3, False), (4, 1, False), (4, 2, False), (5, 1, True), (5, 2, True))
    first, second = agreements(said)
    expected = cohen_kappa_score([1, 0, 0, 1], [1, 1, 0, 1])
    assert first == Agreement(1, 2, 4, 3, pytest.approx(expected))
    assert second == Agreement(1, 3, 1, 1, None)
    assert label_counts(said).tolist() == [[0, 2], [1, 1], [2, 0], [2, 0], [0, 2]]


@pytest.mark.parametrize("similar", [True, False])
def test_kappa_is_undefined_where_both_always_say_the_same_one_thing(similar: bool) -> None:
    said = [each for place in (1, 2) for each in words((place, 1, similar), (place, 2, similar))]
    assert agreements(said) == (Agreement(1, 2, 2, 2, None),)


# --- reports ---


def give(
    project: Project, member: Member, said: Sequence[tuple[int, int, Kind]], *, ms: int = 900
) -> list[str]:
    """Answer pairs; the keys of the answers."""
    new = [
        NewAnswer(str(uuid.uuid4()), kind, pair(a, b), answer_ms=ms + 100 * place)
        for place, (a, b, kind) in enumerate(said)
    ]
    answers.record_answers(project.store, member, new)
    return [each.key for each in new]


@pytest.fixture
def ann(project: Project) -> Member:
    with project.store.transaction() as db:
        return members.ensure_member(db, "ann", Role.ANNOTATOR)


def test_a_project_without_answers_has_an_empty_report(project: Project) -> None:
    report = report_on_people(project)
    assert (report.pairs, report.agreed, report.kappa) == (0, 0, None)
    assert report.activities == report.agreements == ()
    assert newest_report(project.store.reader()) == report


def test_one_member_alone_agrees_with_nobody(project: Project) -> None:
    give(project, local_owner(project), [(1, 2, YES), (1, 3, NO)])
    report = report_on_people(project)
    assert (report.pairs, report.kappa, report.agreements) == (0, None, ())
    assert len(report.activities) == 1


def test_what_members_say_last_is_compared(project: Project, ann: Member) -> None:
    owner = local_owner(project)
    give(project, owner, [(1, 2, YES), (1, 3, NO), (1, 4, YES), (1, 5, YES)])
    keys = give(project, ann, [(1, 2, NO), (1, 3, YES), (1, 4, YES), (1, 5, YES), (1, 2, YES)])
    void = NewAnswer("take back", Kind.VOID, pair(1, 5), refers_to_key=keys[3])
    answers.record_answers(project.store, ann, [void])
    give(project, ann, [(1, 4, Kind.UNSURE)])
    report = report_on_people(project)
    (both,) = report.agreements
    assert (both.pairs, both.agreed) == (2, 1)
    assert (report.pairs, report.agreed) == (2, 1)


def test_activity_counts_what_a_member_did(project: Project, ann: Member) -> None:
    said = [(1, 2, YES), (1, 3, Kind.UNSURE), (1, 4, Kind.SKIP), (1, 5, NO)]
    keys = give(project, ann, said)
    void = NewAnswer("take back", Kind.VOID, pair(1, 5), refers_to_key=keys[3])
    answers.record_answers(project.store, ann, [void])
    (found,) = report_on_people(project).activities
    assert found == Activity(
        member_id=ann.member_id,
        answers=4,
        days=1,
        unsure=1,
        skipped=1,
        taken_back=1,
        median_ms=1000,
        last_answered_at=found.last_answered_at,
        repeated=0,
        changed=0,
    )


def test_a_newer_report_takes_the_place_of_the_one_before(project: Project, ann: Member) -> None:
    give(project, local_owner(project), [(1, 2, YES)])
    give(project, ann, [(1, 2, NO)])
    report_on_people(project)
    give(project, ann, [(1, 2, YES)])
    newer = report_on_people(project)
    assert newest_report(project.store.reader()) == newer
    assert newer.agreements[0].agreed == 1


def test_a_round_brings_a_report_and_a_job_brings_one_when_asked(prepared: Project) -> None:
    answer(prepared, 20)
    run_to_end(prepared, jobs.ROUND, {"device": "cpu", "strategy": "mgue", "pairs": 10}, silent)
    report = newest_report(prepared.store.reader())
    assert report is not None
    assert report.activities[0].answers == 20
    answer(prepared, 3)
    run_to_end(prepared, jobs.PEOPLE, {}, silent)
    report = newest_report(prepared.store.reader())
    assert report is not None
    assert report.activities[0].answers == 23
