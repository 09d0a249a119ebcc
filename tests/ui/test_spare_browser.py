"""Beyond the target of a round people can go on: the annotate page says so, once, and counts."""

import pytest
from playwright.sync_api import expect

from tests.ui.annotator import Annotator
from workflow.questions import round_progress

pytestmark = pytest.mark.browser


def sit_down_before_the_target(person: Annotator) -> int:
    """Let the round want three more answers than it has, one of which is given; the target."""
    progress = round_progress(person.project)
    assert progress is not None
    target = progress.answered + 3
    with person.project.store.transaction() as db:
        db.execute("UPDATE round SET target = ?", (target,))
    person.page.reload()
    person.wait_for_pair()
    person.press("j")
    person.wait_until_saved()
    return target


def test_reaching_the_target_is_said_once_and_pairs_go_on(person: Annotator) -> None:
    target = sit_down_before_the_target(person)
    page = person.page
    notice, count = page.locator("[data-el=notice]"), page.locator("[data-el=count]")
    expect(count).to_have_text(f"{target - 2} of {target}")
    expect(page.get_by_role("button", name="Go to Rounds")).to_be_hidden()
    person.press("j", "f")
    expect(notice).to_contain_text(f"You reached the round's {target} questions")
    expect(count).to_have_text(f"{target} of {target}")
    page.get_by_role("button", name="Hide this message").click()
    person.press("j", "f")
    person.wait_until_saved()
    expect(count).to_have_text(f"{target} of {target} + 2 more")
    expect(notice).to_be_hidden()
    assert len(person.log()) == 5
    page.get_by_role("button", name="Go to Rounds").click()
    expect(page.get_by_role("heading", name="Rounds", exact=True)).to_be_visible()


def test_an_undo_below_the_target_counts_to_it_again(person: Annotator) -> None:
    target = sit_down_before_the_target(person)
    person.press("j", "f", "z")
    person.wait_until_saved()
    expect(person.page.locator("[data-el=count]")).to_have_text(f"{target - 1} of {target}")
    expect(person.page.get_by_role("button", name="Go to Rounds")).to_be_hidden()
