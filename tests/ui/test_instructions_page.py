"""The Instructions page, and flags on Labels: what leads write, and what annotators tell them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from domain.answers import Kind
from domain.flags import NewFlag
from domain.guide import Example
from domain.pairs import Pair
from tests.ui import stage
from workflow import flags, guides
from workflow.project import Project, local_owner

MAIN = str(Path(__file__).parents[2] / "ui" / "main.py")
MARKUP = "<img onerror=x> **bold** :red[x]"


@pytest.fixture(autouse=True)
def _quick_app_tests(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    found = "streamlit.components.v2.manifest_scanner.scan_component_manifests"
    monkeypatch.setattr(found, list)
    yield
    st.cache_resource.clear()


def show(page: str) -> AppTest:
    app = AppTest.from_file(MAIN, default_timeout=30).switch_page(f"views/{page}.py").run()
    assert not app.exception
    return app


def table(app: AppTest) -> list[dict[str, Any]]:
    (drawn,) = (
        each for each in app.get("bidi_component") if "label_table" in each.proto.component_name
    )
    rows: list[dict[str, Any]] = json.loads(drawn.proto.json)["rows"]
    return rows


def test_a_lead_writes_instructions_with_examples_and_changes_them(
    served_project: Project,
) -> None:
    stage.answer_pair(served_project, 1, 2, Kind.SIMILAR)
    stage.answer_pair(served_project, 1, 3, Kind.UNSURE)
    app = show("instructions")
    (name,) = app.multiselect(key="instructions.examples").options
    app.multiselect(key="instructions.examples").select(name).run()
    app.text_input(key="instructions.remark.1-2").input(MARKUP)
    app.text_area(key="instructions.text").input("Look at roofs.").run()
    assert guides.current_guide(served_project) is None  # nothing before the button
    app.button(key="instructions.save").click().run()
    assert not app.exception
    guide = guides.current_guide(served_project)
    assert guide is not None
    assert guide.text == "Look at roofs."
    assert guide.examples == (Example(Pair(1, 2), True, MARKUP),)
    again = show("instructions")
    assert again.text_input(key="instructions.remark.1-2").value == MARKUP
    again.multiselect(key="instructions.examples").set_value([]).run()
    again.button(key="instructions.save").click().run()
    changed = guides.current_guide(served_project)
    assert changed is not None
    assert (changed.text, changed.examples) == ("Look at roofs.", ())


def test_leads_see_flags_on_labels_until_they_are_done(served_project: Project) -> None:
    owner = local_owner(served_project)
    new = [NewFlag("pair-flag", 1, 2, note=MARKUP), NewFlag("image-flag", 3, None)]
    flags.submit_flags(served_project, owner, new)
    app = show("labels")
    app.radio(key="labels.filter").set_value("Flagged").run()
    assert not app.exception
    assert [(row["note"], len(row["images"])) for row in table(app)] == [("", 1), (MARKUP, 2)]
    actions = [[action["name"] for action in row["actions"]] for row in table(app)]
    assert actions == [["done"], ["history", "done"]]
    for each in flags.open_flags(served_project, limit=9):
        flags.deal_with(served_project, owner, each.flag_id)
    assert "No flags" in "\n".join(each.value for each in app.run().markdown)
