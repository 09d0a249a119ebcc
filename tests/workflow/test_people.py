"""The people of a project as leads see them."""

import pytest

from domain.errors import AccessError
from domain.members import Member
from tests.ui import stage
from worker.agreement import report_on_people
from workflow import jobs, people
from workflow.members import remove_member
from workflow.people import kappa_in_words
from workflow.project import Project, local_owner
from workflow.questions import next_questions


def test_before_the_first_report_only_members_and_leases_are_known(
    project: Project, ann: Member
) -> None:
    owner = local_owner(project)
    next_questions(project, ann, count=3)
    found = people.people(project)
    assert found.report is None
    assert [(each.member, each.leases) for each in found.persons] == [(owner, 0), (ann, 3)]


def test_a_report_counts_what_came_since(project: Project) -> None:
    stage.answer_questions(project, 3)
    report_on_people(project)
    stage.answer_questions(project, 2)
    found = people.people(project)
    assert found.new_events == 2
    activity = found.persons[0].activity
    assert activity is not None
    assert activity.answers == 3


def test_who_left_keeps_the_answers_under_another_name(project: Project, ann: Member) -> None:
    owner = local_owner(project)
    report_on_people(project)
    remove_member(project, owner, ann.member_id)
    found = people.people(project)
    assert [each.member.member_id for each in found.former] == [ann.member_id]
    assert found.name(ann.member_id) == f"former member {ann.member_id}"


def test_a_lead_releases_the_pairs_of_one_or_of_all(project: Project, ann: Member) -> None:
    owner = local_owner(project)
    next_questions(project, ann, count=3)
    next_questions(project, owner, count=2)
    assert people.release_leases(project, owner, member_id=ann.member_id) == 3
    assert [each.leases for each in people.people(project).persons] == [2, 0]
    assert people.release_leases(project, owner) == 2
    assert [each.leases for each in people.people(project).persons] == [0, 0]


def test_an_annotator_releases_nothing_and_starts_nothing(project: Project, ann: Member) -> None:
    next_questions(project, local_owner(project), count=2)
    with pytest.raises(AccessError, match="Only a lead"):
        people.release_leases(project, ann)
    with pytest.raises(AccessError, match="Only a lead"):
        people.compare_answers(project, ann)
    assert people.people(project).persons[0].leases == 2
    assert jobs.newest(project, jobs.PEOPLE) is None


def test_a_lead_asks_for_a_report_once_at_a_time(project: Project) -> None:
    owner = local_owner(project)
    first = people.compare_answers(project, owner)
    assert people.compare_answers(project, owner) == first


@pytest.mark.parametrize(
    ("kappa", "pairs", "words"),
    [
        (None, 0, "no pair"),
        (None, 9, "all labels are the same"),
        (0.9, 3, "too few"),
        (-0.1, 50, "worse than chance"),
        (0.1, 50, "slight"),
        (0.41, 50, "moderate"),
        (1.0, 50, "almost perfect"),
    ],
)
def test_kappa_in_words(kappa: float | None, pairs: int, words: str) -> None:
    assert words in kappa_in_words(kappa, pairs)
