"""The Instructions page, and flags on Labels: what leads write, and what annotators tell them."""

import pytest
from streamlit.testing.v1 import AppTest

from domain.answers import Kind
from domain.flags import NewFlag
from domain.guide import Example
from domain.pairs import Pair
from tests.ui import stage
from tests.ui.app import show, table
from workflow import flags, guides
from workflow.project import Project, local_owner

UNCHANGED = "Nothing has changed since they were saved last."
MARKUP = "<img onerror=x> **bold** :red[x]"

pytestmark = pytest.mark.usefixtures("quick_app_tests")


def test_a_lead_writes_instructions_with_examples_and_changes_them(
    served_project: Project,
) -> None:
    stage.answer_pair(served_project, 1, 2, Kind.SIMILAR)
    stage.answer_pair(served_project, 1, 3, Kind.UNSURE)
    app = show("instructions")
    (name,) = app.multiselect[0].options
    app.multiselect[0].select(name).run()
    app.text_input[0].input(MARKUP)
    app.text_area[0].input("Look at roofs.").run()
    assert guides.current_guide(served_project) is None  # nothing before the button
    app.button(key="instructions.save").click().run()
    assert not app.exception
    guide = guides.current_guide(served_project)
    assert guide is not None
    assert guide.text == "Look at roofs."
    assert guide.examples == (Example(Pair(1, 2), True, MARKUP),)
    again = show("instructions")
    assert again.text_input[0].value == MARKUP
    again.multiselect[0].set_value([]).run()
    again.button(key="instructions.save").click().run()
    changed = guides.current_guide(served_project)
    assert changed is not None
    assert (changed.text, changed.examples) == ("Look at roofs.", ())
    again.button(key="instructions.save").click().run()
    assert [each.value for each in again.toast] == [UNCHANGED]


def test_what_was_half_written_is_not_lost_when_somebody_else_saves(
    served_project: Project,
) -> None:
    owner = local_owner(served_project)
    guides.write_guide(served_project, owner, "Look at roofs.", [])
    app = show("instructions")
    app.text_area[0].input("Look at roads.").run()
    guides.write_guide(served_project, owner, "Look at rivers.", [])
    app.run()
    assert not app.exception
    assert app.text_area[0].value == "Look at rivers."
    assert [each.value for each in app.code] == ["Look at roads."]
    app.button(key="instructions.put_away").click().run()
    assert not app.code
    guides.write_guide(served_project, owner, "Look at fields.", [])
    app.run()
    assert not app.code  # nothing was half written


def test_leads_see_flags_on_labels_until_they_are_done(small_project: Project) -> None:
    owner = local_owner(small_project)
    new = [NewFlag("pair-flag", 1, 2, note=MARKUP), NewFlag("image-flag", 3, None)]
    flags.submit_flags(small_project, owner, new)
    stage.answer_pair(small_project, 5, 6, Kind.SIMILAR)
    app = show("labels")
    app.radio(key="labels.filter").set_value("Flagged").run()
    assert not app.exception
    assert [(row["note"], len(row["images"])) for row in table(app)] == [("", 1), (MARKUP, 2)]
    actions = [[action["name"] for action in row["actions"]] for row in table(app)]
    assert actions == [["done"], ["history", "done"]]
    looked_at = show("labels", pair="1-2")
    assert [row["note"] for row in table(looked_at)] == [MARKUP]
    for each in flags.open_flags(small_project, limit=9):
        flags.deal_with(small_project, owner, each.flag_id)
    assert "No flags" in "\n".join(each.value for each in app.run().markdown)
    (dealt_with,) = table(looked_at.run())
    assert (dealt_with["gone"], dealt_with["actions"]) == (True, [])
    assert dealt_with["note"] == f"{MARKUP} Off the list by owner."


def test_overview_leads_to_what_was_flagged(small_project: Project) -> None:
    overview = show("overview")
    assert "Look at 1 flag of annotators" not in links(overview)
    new = [NewFlag("waits", 1, 2, note="waits"), NewFlag("taken", 3, None)]
    undo = NewFlag("undo", 3, None, takes_back_key="taken")
    flags.submit_flags(small_project, local_owner(small_project), [*new, undo])
    assert "Look at 1 flag of annotators" in links(overview.run())
    app = show("labels", show="flags")
    assert app.radio(key="labels.filter").value == "Flagged"
    assert [row["note"] for row in table(app)] == ["waits"]


def links(app: AppTest) -> list[str]:
    return [each.proto.label for each in app.get("page_link")]
