"""Points of the quality curve: in the order of effort, with what answers say of each model."""

import uuid

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from domain.answers import Kind, NewAnswer
from domain.rounds import Proposal
from labeling_store import answers, queue, responses, rounds
from tests.ui import stage
from workflow import curves
from workflow.project import Project, local_owner
from workflow.run_files import read_embeddings


def test_points_come_in_the_order_of_bits_also_after_answers_were_taken_back(
    project: Project,
) -> None:
    for number, bits in enumerate([0, 50, 40, 60]):
        stage.add_model(project, number, metrics={}, bits=bits)
    points = curves.quality_curve(project)
    assert [point.bits for point in points] == [0, 40, 50, 60]
    assert [point.round_number for point in points] == [0, 2, 1, 3]


def test_a_model_is_judged_by_the_answers_of_the_round_after_it(project: Project) -> None:
    stage.add_model(project, 0, metrics={"threshold": 0.3})
    stage.answer_questions(project, 60)
    (point,) = curves.quality_curve(project)
    db = project.store.reader()
    (first,) = rounds.list_rounds(db)
    embeddings = read_embeddings(project.runs / "r000")
    labels, cosines = [], []
    for each in responses.answered_proposals(db, first.round_id):
        a, b = (embeddings.vectors[embeddings.rows[image]] for image in each.pair)
        labels.append(each.kind.value == "similar")
        cosines.append(float(a @ b))
    similarity = np.round(cosines, 9)
    assert point.metrics["auc"] == pytest.approx(roc_auc_score(labels, similarity))
    expected = average_precision_score(labels, similarity)
    assert point.metrics["average_precision"] == pytest.approx(expected)


def test_hidden_repeats_do_not_judge_a_model(project: Project) -> None:
    """It may have learnt from the answer before."""
    stage.answer_questions(project, 60)
    stage.add_model(project, 1, metrics={"threshold": 0.3}, bits=60)
    (first, *_), owner = rounds.list_rounds(project.store.reader()), local_owner(project)
    fresh = stage.training_pairs(project, 40)
    answered = responses.answered_proposals(project.store.reader(), first.round_id)
    known = [each for each in answered if each.pair not in fresh][:5]
    stage.next_round(project, 2, fresh, model="r001")
    stage.answer_questions(project, 40)
    (before,) = curves.quality_curve(project)
    with project.store.transaction() as db:
        (*_, second) = rounds.list_rounds(db)
        again = [Proposal(each.pair, 0.0, "", asked_of=owner.member_id) for each in known]
        assert queue.add_proposals(db, second.round_id, again) == 5
    for each in known:
        stage.answer_as(project, owner, each.pair, Kind.SIMILAR)
    found = responses.answered_proposals(project.store.reader(), second.round_id)
    assert [each.repeat for each in found].count(True) == 5
    (after,) = curves.quality_curve(project)
    assert after.metrics == before.metrics
    assert "auc" in after.metrics


def test_minutes_are_how_long_people_looked_at_what_a_model_has_learnt_from(
    project: Project,
) -> None:
    asked = stage.training_pairs(project, 4)
    for pair, took_ms in zip(asked, (30_000, None, 600_000, 45_000), strict=True):
        new = NewAnswer(str(uuid.uuid4()), Kind.SIMILAR, pair, answer_ms=took_ms)
        answers.record_answers(project.store, local_owner(project), [new])
    stage.add_model(project, 0, metrics={})
    stage.add_model(project, 1, metrics={}, bits=3)
    stage.add_model(project, 2, metrics={}, bits=4)
    minutes = [point.minutes for point in curves.quality_curve(project)]
    assert minutes == pytest.approx([0, (30 + 60) / 60, (30 + 60 + 45) / 60])


def test_a_point_names_what_its_questions_were_chosen_by(project: Project) -> None:
    stage.add_model(project, 0, metrics={})
    stage.next_round(project, 2, stage.training_pairs(project, 3), model="r000")
    stage.add_model(project, 2, metrics={}, bits=3)
    before, after = curves.quality_curve(project)
    assert (before.strategy, after.strategy) == (None, "mgue")
