"""Who is in front of the screen, what they may see, and the pages about people and answers."""

from itertools import combinations
from pathlib import Path

import pytest
import streamlit as st

from domain.answers import Event, Kind, Source
from domain.history import LoggedEvent
from domain.members import Member, Role
from domain.pairs import Pair
from labeling_store import answers
from tests.labeling_store.building import said
from tests.labeling_store.test_broken_disks import damage
from tests.ui import stage
from tests.ui.app import MAIN, show, table, words
from tests.ui.client import Client
from ui import components, session, tables
from ui.sitemap import HOME, PAGES
from worker.agreement import report_on_people
from workflow import jobs, labels, members, people, tokens
from workflow.project import Project, local_owner
from workflow.questions import next_questions

FOR_LEADS = [name for name, (_, role) in PAGES.items() if role is not Role.ANNOTATOR]
FOR_ALL = [name for name in PAGES if name not in FOR_LEADS]


@pytest.fixture
def project(small_project: Project) -> Project:
    """Each test of this module has its own."""
    return small_project


@pytest.fixture
def ann(project: Project) -> Member:
    return members.add_member(project, local_owner(project), "ann", Role.ANNOTATOR)


def say(project: Project, member: Member, key: str, a: int, b: int, kind: Kind) -> None:
    answers.record_answers(project.store, member, [said(key, a, b, kind, reason="Because.")])


# --- who somebody is ---


def test_without_a_choice_one_is_the_owner_and_sees_everything(project: Project) -> None:
    app = show("you")
    assert "You are **owner**, owner" in words(app)


def test_somebody_new_joins_as_annotator_and_is_them_from_then_on(project: Project) -> None:
    app = show("you")
    app.text_input(key="you.name").input("Zoë *x*")
    app.button[-1].click().run()
    assert not app.exception
    joined = members.member_named(project, "Zoë *x*")
    assert joined.role is Role.ANNOTATOR
    assert f"You are **{joined.name}**, annotator" in words(app)
    assert app.query_params["member"] == str(joined.member_id)


def test_a_member_is_chosen_from_the_list_and_stays_after_a_reload(
    project: Project, ann: Member
) -> None:
    app = show("you")
    app.button(key="you.change").click().run()
    assert "You are **ann**" in words(app)
    again = show("you", by=ann)
    assert "You are **ann**" in words(again)


def test_a_name_that_is_taken_is_that_member(project: Project, ann: Member) -> None:
    assert members.join(project, " ann ") == ann
    assert len(members.list_members(project)) == 2


@pytest.mark.parametrize("wrong", ["-1", "x", "1" * 40, "２"])
def test_an_address_that_names_nobody_is_the_owners(project: Project, wrong: str) -> None:
    assert "You are **owner**" in words(show("you", member=wrong))


def test_who_left_is_asked_who_they_are_and_not_taken_for_the_owner(
    project: Project, ann: Member
) -> None:
    """Their further answers would else be stored as the owner's."""
    bob = members.join(project, "bob *x*")
    members.remove_member(project, local_owner(project), ann.member_id)
    app = show("annotate", by=ann)
    assert "is no member of this project any more" in words(app)
    assert not app.get("bidi_component")
    assert [each.label for each in app.button] == ["I am owner", r"I am bob \*x\*"]
    app.button(key=f"who.{bob.member_id}").click().run()
    assert not app.exception
    assert app.query_params["member"] == str(bob.member_id)


def test_an_address_that_names_nobody_yet_asks_too(project: Project) -> None:
    app = show("people", member="999")
    assert [each.label for each in app.button] == ["I am owner"]
    app.button(key=f"who.{local_owner(project).member_id}").click().run()
    assert "member" not in app.query_params
    assert not app.error


# --- what annotators may see ---


def test_annotators_come_to_annotate_at_the_bare_address(project: Project, ann: Member) -> None:
    app = show(HOME, by=ann)
    assert not app.error
    assert "anneal_annotate" in {each.proto.component_name for each in app.get("bidi_component")}


@pytest.mark.parametrize("page", [page for page in FOR_LEADS if page != HOME])
def test_annotators_are_refused_at_pages_of_leads(project: Project, ann: Member, page: str) -> None:
    app = show(page, by=ann)
    assert "is for leads; you are here as ann" in words(app)
    assert not app.get("bidi_component")
    assert not app.button


@pytest.mark.parametrize("page", FOR_ALL)
def test_annotators_may_open_what_is_theirs(project: Project, ann: Member, page: str) -> None:
    assert not show(page, by=ann).error


@pytest.mark.parametrize("page", FOR_LEADS)
def test_leads_may_open_their_pages(project: Project, ann: Member, page: str) -> None:
    members.set_role(project, local_owner(project), ann.member_id, Role.LEAD)
    assert not show(page, by=ann).error


def test_every_page_says_whose_it_is() -> None:
    views = Path(MAIN).parent / "views"
    assert {path.stem for path in views.glob("*.py")} - {"__init__"} == set(PAGES)


def test_a_button_drawn_before_a_role_was_lost_does_nothing(project: Project, ann: Member) -> None:
    owner = local_owner(project)
    members.set_role(project, owner, ann.member_id, Role.LEAD)
    next_questions(project, owner, count=2)
    app = show("people", by=ann)
    members.set_role(project, owner, ann.member_id, Role.ANNOTATOR)
    app.button(key="people.release").click().run()
    assert people.people(project).persons[0].leases == 2
    assert "Only a lead" in words(app)


def test_writes_take_the_role_of_a_lead_unless_they_say_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said_to: list[str] = []
    done: list[int] = []
    monkeypatch.setattr(session, "member", lambda: Member(2, "ann", Role.ANNOTATOR))
    monkeypatch.setattr(st, "toast", lambda text, **_: said_to.append(text))
    components.attempt(done.append, 1)
    assert done == []
    assert "Only a lead" in said_to[0]
    components.attempt(done.append, 2, needs=Role.ANNOTATOR)
    assert done == [2]


# --- my answers ---


def test_my_answers_are_mine_newest_first(project: Project, ann: Member) -> None:
    say(project, local_owner(project), "o", 1, 2, Kind.SIMILAR)
    say(project, ann, "a", 1, 3, Kind.SIMILAR)
    say(project, ann, "b", 1, 4, Kind.SKIP)
    rows = table(show("my_answers", by=ann))
    assert [(row["label"], row["images"][1]["id"]) for row in rows] == [
        ("Skipped", 4),
        ("Similar", 3),
    ]
    assert [each["name"] for each in rows[1]["actions"]] == ["dissimilar", "unsure", "take_back"]


def test_answers_are_filtered_and_paged(project: Project, ann: Member) -> None:
    for a, b in list(combinations(range(1, 10), 2))[:26]:
        say(project, ann, f"{a} and {b}", a, b, Kind.SIMILAR)
    say(project, ann, "last", 11, 12, Kind.UNSURE)
    app = show("my_answers", by=ann)
    assert len(table(app)) == 20
    app.button(key="my_answers.All.older").click().run()
    assert len(table(app)) == 7
    assert app.button(key="my_answers.All.older").disabled
    app.radio(key="my_answers.filter").set_value("Unsure").run()
    assert [row["label"] for row in table(app)] == ["Unsure"]
    app.radio(key="my_answers.filter").set_value("Skipped").run()
    assert "You gave none listed under “Skipped”." in words(app)


def test_what_was_taken_back_is_struck_out_and_has_no_buttons(
    project: Project, ann: Member
) -> None:
    say(project, ann, "a", 1, 3, Kind.SIMILAR)
    labels.take_back(project, ann, "a")
    (row,) = table(show("my_answers", by=ann))
    assert (row["gone"], row["note"], row["actions"]) == (True, "taken back", [])


def test_a_lead_s_words_on_conflicts_are_listed_but_changed_on_conflicts_only(
    project: Project,
) -> None:
    owner = local_owner(project)
    verdict = said("verdict", 1, 3, Kind.RESOLUTION, similar=False)
    answers.record_answers(project.store, owner, [verdict])
    (row,) = table(show("my_answers"))
    assert (row["label"], row["actions"]) == ("Settled: different", [])


# --- labels and histories ---


def test_labels_are_filtered_by_member_round_and_source(project: Project, ann: Member) -> None:
    stage.answer_questions(project, 3)
    answered = {label.pair for label in labels.pair_labels(project)}
    free = next(p for p in stage.training_pairs(project, 40) if p not in answered)
    say(project, ann, "a", *free, Kind.UNSURE)
    app = show("labels")
    assert len(table(app)) == 4
    app.selectbox(key="labels.member").set_value(ann).run()
    assert [row["members"] for row in table(app)] == ["ann"]
    app.selectbox(key="labels.member").set_value(None).run()
    app.selectbox(key="labels.round").set_value(1).run()
    assert len(table(app)) == 3
    app.radio(key="labels.filter").set_value("Settled").run()
    assert "No such labels" in words(app)


def test_the_history_of_a_pair_tells_who_what_why_and_what_was_taken_back(
    project: Project, ann: Member
) -> None:
    owner = local_owner(project)
    say(project, ann, "a", 1, 3, Kind.SIMILAR)
    say(project, owner, "o", 1, 3, Kind.DISSIMILAR)
    labels.take_back(project, owner, "a")
    verdict = said("verdict", 1, 3, Kind.RESOLUTION, similar=True)
    answers.record_answers(project.store, owner, [verdict])
    rows = table(show("labels", pair="1-3"))
    assert [(row["label"], row["members"], row["gone"]) for row in rows] == [
        ("Settled: similar", "owner", False),
        ("Taken back", "owner", False),
        ("Different", "owner", False),
        ("Similar", "ann", True),
    ]
    assert "Taken back by owner." in rows[-1]["note"]
    assert "Why asked: Because." in rows[-1]["note"]
    assert [len(row["actions"]) for row in rows] == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("threshold", "told"),
    [
        (0.5, "Similarity 0.42 to the model then, 0.08 below its threshold."),
        (0.4, "Similarity 0.42 to the model then, 0.02 above its threshold."),
        (None, "Similarity 0.42 to the model then."),
    ],
)
def test_the_history_of_a_pair_tells_how_far_it_was_from_the_threshold(
    threshold: float | None, told: str
) -> None:
    asked = Pair(1, 3)
    event = Event(
        1, "key", Kind.SIMILAR, Source.CLICK, asked, "ann", "now", None, None, 1, "r001", None, None
    )
    logged = LoggedEvent(event, 1, None, None, False, 0.42, threshold)
    assert told in tables.history_row(logged).note


@pytest.mark.parametrize("pair", ["1-2", "3-1", "1-1", "x", "1-2-3", "-", "9-99999999999999999999"])
def test_addresses_of_pairs_without_a_history_are_no_error(project: Project, pair: str) -> None:
    say(project, local_owner(project), "o", 1, 3, Kind.SIMILAR)
    app = show("labels", pair=pair)
    assert not app.error
    assert ("labels.back" in [each.key for each in app.button]) == (pair in ("1-2", "3-1"))


# --- people ---


def test_people_shows_how_far_they_agree(project: Project, ann: Member) -> None:
    owner = local_owner(project)
    for number, kind in enumerate([Kind.SIMILAR, Kind.DISSIMILAR, Kind.DISSIMILAR], start=2):
        say(project, owner, f"o{number}", 1, number, kind)
        say(project, ann, f"a{number}", 1, number, Kind.DISSIMILAR)
    report_on_people(project)
    app = show("people")
    said_words = words(app)
    assert "3 pairs labelled by two people or more, 2 of them alike." in said_words
    rows = [frame.value.to_dict("records") for frame in app.dataframe]
    assert [row["Answers"] for row in rows[0]] == [3, 3]
    assert rows[1][0]["Who"] == "owner, ann"
    assert rows[1][0]["Common pairs"] == 3


def test_people_of_one_say_how_to_become_two(project: Project) -> None:
    stage.answer_questions(project, 2)
    report_on_people(project)
    assert "let somebody else annotate too" in words(show("people"))


def test_a_report_is_asked_for_and_leases_are_released(project: Project, ann: Member) -> None:
    next_questions(project, ann, count=4)
    app = show("people")
    app.button(key="people.compare").click().run()
    assert jobs.newest(project, jobs.PEOPLE) is not None
    app.button(key=f"people.release.{ann.member_id}").click().run()
    assert [each.leases for each in people.people(project).persons] == [0, 0]


def test_members_are_added_get_roles_and_leave(project: Project) -> None:
    app = show("people")
    app.text_input(key="people.name").input("bob")
    app.selectbox(key="people.role").select(Role.LEAD)
    next(each for each in app.button if each.label == "Add").click().run()
    bob = members.member_named(project, "bob")
    assert bob.role is Role.LEAD
    app.selectbox(key=f"people.role.{bob.member_id}").select(Role.ANNOTATOR).run()
    assert members.member_named(project, "bob").role is Role.ANNOTATOR
    remove = f"people.remove.{bob.member_id}"
    assert app.button(key=remove).disabled
    app.checkbox(key=f"people.sure.{bob.member_id}").check().run()
    app.button(key=remove).click().run()
    assert not app.exception
    assert [each.name for each in members.list_members(project)] == ["owner"]
    assert f"former member {bob.member_id}" in words(app)


def test_a_database_whose_members_cannot_be_read_lets_nobody_in(
    project: Project, ann: Member
) -> None:
    token = tokens.create_token(project, local_owner(project), "test").text
    project.close()
    damage(project.folder / "labels.db", "member")
    app = show("overview", by=ann)
    assert "is damaged" in words(app)
    assert not app.get("page_link")
    client = Client({"Authorization": f"Bearer {token}"})
    reply = client.get("/api/session")
    assert (reply.status_code, "is damaged" in reply.json()["message"]) == (503, True)
    client.close()


def test_a_page_of_a_damaged_database_says_so_with_the_way_out(project: Project) -> None:
    project.close()
    damage(project.folder / "labels.db", "image")
    said = words(show("overview"))
    assert "is damaged" in said
    assert "restore" in said
