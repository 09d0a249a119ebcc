"""Pages of leads and of annotators in a real browser, used by keyboard alone."""

import pytest
from playwright.sync_api import Page, expect

from domain.answers import Kind
from tests.ui import stage
from tests.ui.keyboard import tab_to, wait_until
from tests.ui.screens import settle
from ui.sitemap import PAGES
from workflow import guides, jobs
from workflow.project import Project

pytestmark = pytest.mark.browser


def open_page(page: Page, address: str, name: str) -> None:
    page.goto(f"{address}/{name}")
    expect(page.get_by_role("heading", name=PAGES[name][0], level=1)).to_be_visible(timeout=30_000)
    settle(page)


@pytest.mark.parametrize("name", ["labels", "my_answers"])
def test_answers_of_one_kind_are_chosen(
    page: Page, project: Project, address: str, name: str
) -> None:
    stage.answer_pair(project, 1, 2, Kind.SIMILAR)
    open_page(page, address, name)
    tab_to(page, "All")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Similar", exact=True)).to_be_checked()


def test_instructions_are_written_and_saved(page: Page, project: Project, address: str) -> None:
    open_page(page, address, "instructions")
    before = guides.current_guide(project)
    tab_to(page, "In your words")
    page.keyboard.type("By keyboard. ")
    tab_to(page, "Save")
    page.keyboard.press("Enter")
    wait_until(page, lambda: guides.current_guide(project) != before)


def test_a_backup_is_asked_for(page: Page, project: Project, address: str) -> None:
    open_page(page, address, "project")
    tab_to(page, "Back up now")
    page.keyboard.press("Enter")
    wait_until(page, lambda: jobs.newest(project, "backup") is not None)
