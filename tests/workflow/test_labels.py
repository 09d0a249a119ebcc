"""Answers are taken back by those who may, and nothing else changes."""

import pytest

from domain.answers import Kind, ReceiptStatus
from domain.errors import InputError
from domain.members import Role
from labeling_store import answers, members
from tests.ui import stage
from workflow import labels
from workflow.project import Project, local_owner


@pytest.fixture
def project(project: Project) -> Project:
    stage.answer_questions(project, 5)
    return project


def log(project: Project) -> list[tuple[Kind, int | None]]:
    return [(each.kind, each.refers_to) for each in answers.events(project.store.reader())]


def test_an_answer_is_taken_back_by_its_key(project: Project) -> None:
    before = labels.pair_labels(project)
    second = list(answers.events(project.store.reader()))[1]
    receipt = labels.take_back(project, local_owner(project), second.key)
    assert receipt.status is ReceiptStatus.STORED
    assert log(project)[-1] == (Kind.VOID, second.event_id)
    left = {label.pair for label in labels.pair_labels(project)}
    assert left == {label.pair for label in before} - {second.pair}


def test_an_answer_that_is_not_there_cannot_be_taken_back(project: Project) -> None:
    before = log(project)
    with pytest.raises(InputError, match='no answer "never-given"'):
        labels.take_back(project, local_owner(project), "never-given")
    assert log(project) == before


def test_an_annotator_cannot_take_back_what_another_answered(project: Project) -> None:
    with project.store.transaction() as db:
        ann = members.ensure_member(db, "ann", Role.ANNOTATOR)
    before = log(project)
    key = next(answers.events(project.store.reader())).key
    with pytest.raises(InputError, match="Only a lead"):
        labels.take_back(project, ann, key)
    assert log(project) == before
