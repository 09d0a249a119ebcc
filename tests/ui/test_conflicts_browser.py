"""Conflicts in a real browser: pictures, settling by keyboard, undo, narrow screens."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from playwright.sync_api import Page, expect

from domain.answers import Kind
from labeling_store import relations
from tests.ui import stage
from workflow import conflicts
from workflow.project import Project

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def project(make_project: Callable[..., Project]) -> Project:
    """Five images in a row are similar, and the first is not similar to the last."""
    made = make_project(each=4)
    stage.finish_jobs(made)
    ids = [each.image_id for each in stage.training_images(made)][:5]
    for a, b in pairwise(ids):
        stage.answer_pair(made, a, b, Kind.SIMILAR)
    stage.answer_pair(made, ids[0], ids[-1], Kind.DISSIMILAR)
    return made


def test_a_conflict_is_settled_by_keyboard_and_undone(
    page: Page, address: str, project: Project
) -> None:
    page.goto(f"{address}/conflicts")
    path = page.get_by_role("region", name="Earlier answers imply: similar")
    expect(path).to_be_visible(timeout=30_000)
    expect(path.locator("img")).to_have_count(5)
    wrong = path.get_by_role("button", name="This one is wrong")
    expect(wrong).to_have_count(4)
    (found,) = conflicts.list_open(project, limit=9)
    page.get_by_role("button", name="This answer is right").focus()
    for _ in range(2):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("0 open, 1 settled")).to_be_visible()
    assert relations.relation(project.store, *found.evidence[1]) is False
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("1 open, 0 settled")).to_be_visible()
    assert conflicts.count_open(project) == 1


@pytest.mark.parametrize("width", [400, 1000, 1400])
def test_every_earlier_answer_is_seen_without_scrolling_sideways(
    page: Page, address: str, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{address}/conflicts")
    expect(page.get_by_role("button", name="Earlier answers are right")).to_be_visible(
        timeout=30_000
    )
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    right = "each => each.getBoundingClientRect().right"
    strip, card = page.locator(".dispute .strip"), page.locator(".dispute")
    assert strip.evaluate(right) <= card.evaluate(right) + 1
    assert strip.evaluate("each => each.scrollWidth - each.clientWidth") <= 0
    for step in strip.locator("li").all():
        assert step.evaluate(right) <= strip.evaluate(right) + 1
