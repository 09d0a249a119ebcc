"""The Labels page: what the model speaks against, and groups as pictures."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from streamlit.testing.v1 import AppTest

from domain.answers import Kind
from domain.pairs import Pair, pair
from tests.ui import stage
from tests.ui.app import show, table, words
from workflow.guides import write_guide
from workflow.project import Project, local_owner
from workflow.run_files import read_embeddings

THRESHOLD = 0.3


def strips(app: AppTest) -> list[dict[str, Any]]:
    drawn = (each.proto for each in app.get("bidi_component"))
    (found,) = (each for each in drawn if each.component_name == "anneal_strips")
    read: list[dict[str, Any]] = json.loads(found.json)["strips"]
    return read


def test_answers_against_the_model_are_listed_the_worst_first(small_project: Project) -> None:
    run = stage.add_model(small_project, 1, metrics={"threshold": THRESHOLD}, bits=6)
    vectors = read_embeddings(small_project.runs / run.name)
    said: dict[Pair, bool] = {}
    for at, asked in enumerate(stage.training_pairs(small_project, 12)):
        kind = Kind.SIMILAR if at % 2 else Kind.DISSIMILAR
        if not stage.answer_pair(small_project, *asked, kind).conflict:
            said[asked] = kind is Kind.SIMILAR
    stage.answer_pair(small_project, *stage.training_pairs(small_project, 13)[-1], Kind.UNSURE)
    wrong = []
    for asked, similar in said.items():
        a, b = (vectors.vectors[vectors.rows[each]] for each in asked)
        cosine = float(np.dot(a, b))
        if (cosine >= THRESHOLD) != similar:
            wrong.append((abs(cosine - THRESHOLD), asked))
    expected = [asked for _, asked in sorted(wrong, reverse=True)]
    assert expected
    assert len(expected) < len(said)
    app = show("labels", show="doubts")
    shown = [pair(*(image["id"] for image in row["images"])) for row in table(app)]
    assert [each for each in shown if each in said] == expected
    assert f"{sorted(wrong)[-1][0]:.2f} " in table(app)[0]["note"]


def test_without_a_threshold_nothing_is_against_the_model(small_project: Project) -> None:
    stage.add_model(small_project, 1, metrics={}, bits=6)
    stage.answer_pair(small_project, *stage.training_pairs(small_project, 1)[0], Kind.SIMILAR)
    assert "Nothing is against the model" in words(show("labels", show="doubts"))


def test_groups_are_strips_the_largest_first(small_project: Project) -> None:
    a, b, c, d, e, *_ = (each.image_id for each in stage.training_images(small_project))
    stage.answer_pair(small_project, d, e, Kind.DISSIMILAR)
    assert "No groups yet" in words(show("labels", show="groups"))
    for first, second in ((a, b), (c, d), (d, a)):
        stage.answer_pair(small_project, first, second, Kind.SIMILAR)
    (strip,) = strips(show("labels", show="groups"))
    assert strip["title"] == "Group 1: 4 images"
    assert [each["id"] for each in strip["pictures"]] == sorted((a, b, c, d))


def test_the_address_of_explore_names_a_group_by_an_image(small_project: Project) -> None:
    stage.add_model(small_project, 1, metrics={}, bits=6)
    a, b, c, d, *_ = (each.image_id for each in stage.training_images(small_project))
    stage.answer_pair(small_project, a, b, Kind.SIMILAR)
    stage.answer_pair(small_project, c, d, Kind.SIMILAR)
    assert show("explore", group=str(d)).selectbox(key="explore.which").value.startswith("group 2")
    assert show("explore", group="x").selectbox(key="explore.which").index == 0


def test_a_large_group_is_seen_page_by_page(
    make_project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch, quick_app_tests: None
) -> None:
    project = make_project(each=20)
    monkeypatch.setenv("ANNEAL_PROJECT", str(project.folder))
    stage.add_model(project, 1, metrics={}, bits=6)
    ids = [each.image_id for each in stage.training_images(project)][:50]
    for first, second in pairwise(ids):
        stage.answer_pair(project, first, second, Kind.SIMILAR)
    app = show("explore", group=str(ids[0]))
    assert "50 images, 1–48 shown." in words(app)
    app.session_state["explore.page.group 1: 50 images.50"] = 2
    assert "50 images, 49–50 shown." in words(app.run())


def test_a_filter_is_still_chosen_after_a_look_at_other_pages(small_project: Project) -> None:
    """Who goes through a list opens a history, or a search, for each line."""
    a, b, c, *_ = (each.image_id for each in stage.training_images(small_project))
    stage.answer_pair(small_project, a, b, Kind.SIMILAR)
    stage.answer_pair(small_project, a, c, Kind.UNSURE)
    app = show("labels")
    app.radio(key="labels.filter").set_value("Unsure").run()
    app.query_params["pair"] = f"{a}-{c}"
    assert "What happened, the newest first" in words(app.run())
    app.button(key="labels.back").click().run()
    assert [row["label"] for row in table(app)] == ["No verdict"]
    app.switch_page("views/search.py").run()
    app.switch_page("views/labels.py").run()
    assert app.radio(key="labels.filter").value == "Unsure"
    app.switch_page("views/overview.py").run()
    app.query_params["show"] = "groups"  # a link leads on
    app.switch_page("views/labels.py").run()
    assert app.radio(key="labels.filter").value == "Groups"
    app.radio(key="labels.filter").set_value("Similar").run()
    assert app.radio(key="labels.filter").value == "Similar"


def test_half_written_instructions_wait_until_they_are_saved(small_project: Project) -> None:
    app = show("instructions")
    app.text_area[0].input("Look at roofs").run()
    app.switch_page("views/labels.py").run()
    app.switch_page("views/instructions.py").run()
    assert app.text_area[0].value == "Look at roofs"
    app.button(key="instructions.save").click().run()
    write_guide(small_project, local_owner(small_project), "Look at roads.", [])
    assert app.run().text_area[0].value == "Look at roads."


def test_search_says_what_its_model_has_learnt_and_how_good_it_is(small_project: Project) -> None:
    stage.add_model(small_project, 0, metrics={"map_at_5_min": 0.834})
    said = words(show("search"))
    assert "has learnt nothing from answers yet" in said
    assert "its mAP@5 is 83.4%" in said
    stage.add_model(small_project, 1, metrics={}, bits=1200)
    said = words(show("search"))
    assert "has learnt from 1,200 answers." in said
    assert "mAP@5" not in said


@pytest.mark.browser
def test_a_picture_of_a_group_leads_to_its_search_and_the_group_to_explore(
    page: Page, address: str, project: Project
) -> None:
    stage.finish_jobs(project)
    stage.add_model(project, 1, metrics={}, bits=6)
    first, *others = stage.one_kind(project, 3)
    for each in others:
        stage.answer_pair(project, first, each, Kind.SIMILAR)
    page.goto(f"{address}/labels?show=groups")
    group = page.get_by_role("list", name="Group 1: 3 images")
    expect(group.locator("img")).to_have_count(3, timeout=30_000)
    group.get_by_role("button").nth(1).click()
    expect(page.get_by_role("heading", name="Most similar")).to_be_visible(timeout=30_000)
    assert f"image={others[0]}" in page.url
    page.goto(f"{address}/labels?show=groups")
    page.get_by_role("button", name="See it on Explore: Group 1: 3 images").click()
    expect(page.get_by_text("3 images. Click one")).to_be_visible(timeout=30_000)
