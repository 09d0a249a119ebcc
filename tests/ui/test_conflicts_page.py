"""Conflicts page: what it lists, and that settling and undoing there reaches the log."""

import pytest
from streamlit.testing.v1 import AppTest

from domain.answers import Kind
from domain.members import Role
from domain.pairs import pair
from labeling_store import members
from tests.ui import stage
from tests.ui.app import show
from ui import disputes
from workflow import conflicts, labels
from workflow.conflicts import Dispute, Ruling
from workflow.project import Project, local_owner


@pytest.fixture
def project(small_project: Project) -> Project:
    """Each test of this module has its own."""
    return small_project


def contradict(project: Project, count: int) -> list[int]:
    """A triangle of answers that cannot all be true, for each of so many triples; the images."""
    ids = [each.image_id for each in stage.training_images(project)]
    for place in range(count):
        a, b, c = (ids[(place + step) % len(ids)] for step in (0, 1, 2))
        stage.answer_pair(project, a, b, Kind.SIMILAR)
        stage.answer_pair(project, b, c, Kind.SIMILAR)
        stage.answer_pair(project, a, c, Kind.DISSIMILAR)
    return ids


def only(project: Project) -> Dispute:
    (found,) = conflicts.list_open(project, limit=9)
    dispute = conflicts.look_into(project, found.conflict_id)
    assert dispute is not None
    return dispute


def said(app: AppTest) -> str:
    parts = [each.value for kind in (app.markdown, app.caption) for each in kind]
    return "\n".join([*parts, *(each.label for each in app.button)]).replace("\\", "")


def test_without_conflicts_the_page_says_so(project: Project) -> None:
    assert "No open conflicts" in said(show("conflicts"))


def test_open_conflicts_are_listed_in_pages(project: Project) -> None:
    contradict(project, 11)
    app = show("conflicts")
    assert f"{conflicts.count_open(project)} open, 0 settled" in said(app)
    listed = [each for each in app.button if "earlier answer" in each.label]
    assert len(listed) == 10


def test_a_settlement_is_listed_and_undone(project: Project) -> None:
    contradict(project, 1)
    conflicts.settle(project, local_owner(project), only(project), Ruling.EARLIER, key="k")
    app = show("conflicts")
    assert "0 open, 1 settled" in said(app)
    assert "The earlier answers are right." in said(app)
    app.button(key="conflicts.undo").click().run()
    assert not app.exception
    assert "1 open, 0 settled" in said(app)


def test_an_old_settlement_is_not_offered_for_undo(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    contradict(project, 1)
    conflicts.settle(project, local_owner(project), only(project), Ruling.EARLIER, key="k")
    monkeypatch.setattr(conflicts, "RECENT_S", -1.0)
    app = show("conflicts")
    assert all(each.key != "conflicts.undo" for each in app.button)
    app.radio(key="conflicts.view").set_value("Settled").run()
    assert not app.exception


@pytest.mark.parametrize("page", ["labels", "overview"])
def test_other_pages_lead_there(project: Project, page: str) -> None:
    assert not any("conflict" in each for each in links(show(page)))
    contradict(project, 1)
    assert any("1 conflict" in each for each in links(show(page)))


def links(app: AppTest) -> list[str]:
    return [each.proto.label for each in app.get("page_link")]


def test_a_conflict_is_told_in_words(project: Project) -> None:
    ids = contradict(project, 1)
    paths = labels.paths(project)
    found = only(project)
    card = disputes.card(found, paths)
    assert [each.id for each in card.images] == [ids[0], ids[2]]
    assert [each.id for each in card.path] == ids[:3]
    assert card.path_title == "Earlier answers imply: similar"
    assert [each.label for each in card.steps] == ["Similar", "Similar"]
    assert [each.weakest for each in card.steps] == [False, True]
    assert card.own_choices[0].hint.endswith(f"{paths[ids[1]]} and {paths[ids[2]]}")
    assert card.own.voices[0].member == "owner"
    assert card.own.voices[0].said == "different"


def test_members_who_disagree_are_shown_as_such(project: Project) -> None:
    a, b = (each.image_id for each in stage.training_images(project)[:2])
    stage.answer_pair(project, a, b, Kind.SIMILAR)
    with project.store.transaction() as db:
        bob = members.ensure_member(db, "bob", Role.ANNOTATOR)
    stage.answer_as(project, bob, pair(a, b), Kind.DISSIMILAR)
    paths = labels.paths(project)
    found = only(project)
    card = disputes.card(found, paths)
    assert card.own.label == "Members disagree"
    assert card.steps == ()
    assert [each.ruling for each in card.own_choices] == ["similar", "dissimilar"]
    assert disputes.line(found.conflict, paths).endswith("members disagree")
