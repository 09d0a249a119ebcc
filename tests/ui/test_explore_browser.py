"""The map with the mouse: a rectangle selects images, and a lead has pairs of them asked."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from playwright.sync_api import Page, TimeoutError, expect

from domain.images import Part
from labeling_store import images
from tests.ui import stage
from workflow import by_hand
from workflow.project import Project, local_owner
from workflow.questions import next_questions

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def project(make_project: Callable[..., Project]) -> Project:
    made = make_project()
    stage.finish_jobs(made)
    stage.add_model(made, 0, metrics={"threshold": 0.3})
    return made


def test_pairs_of_selected_images_are_asked_first(
    page: Page, address: str, project: Project
) -> None:
    page.goto(f"{address}/explore")
    expect(page.get_by_text("Nothing is selected")).to_be_visible(timeout=30_000)
    draw_rectangle(page)
    page.get_by_role("button", name="Ask these").click()
    expect(page.get_by_text("will be asked next")).to_be_visible(timeout=30_000)
    asked = next_questions(project, local_owner(project), count=3)
    assert [each.reason for each in asked] == [by_hand.REASON] * 3
    inside = {i.image_id for i in images.list_images(project.store.reader(), part=Part.TRAIN)}
    assert {each.image_a for each in asked} <= inside


def draw_rectangle(page: Page) -> None:
    """Over the middle of the map; once more where the chart was still being drawn."""
    chart = page.locator("[data-testid=stVegaLiteChart] svg.marks").first
    selected = page.get_by_role("button", name="Ask these")
    for _ in range(5):
        expect(chart).to_be_visible(timeout=30_000)
        box = chart.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 0.15 * box["width"], box["y"] + 0.1 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.75 * box["height"], steps=5)
        page.mouse.up()
        with suppress(TimeoutError):
            selected.wait_for(timeout=10_000)
            return
    pytest.fail("No rectangle was drawn")
