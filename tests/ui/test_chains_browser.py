"""Chains at the annotate page: the next pair comes at the answer, and nothing untrue is said."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from benchmarks.serving import served
from domain.answers import Kind
from domain.images import Part
from domain.pairs import Pair
from labeling_store import images
from tests.ui import stage
from tests.ui.annotator import Annotator
from workflow.project import Project

pytestmark = pytest.mark.browser
RECORD_TITLES = """(panel) => {
  const title = panel.querySelector("[data-el=panelTitle]");
  window.titles = [];
  const shown = () => panel.hidden || window.titles.push(title.textContent);
  new MutationObserver(shown).observe(panel, {
    attributes: true, childList: true, characterData: true, subtree: true,
  });
}"""


def chain_of(project: Project) -> list[Pair]:
    """One training image with the three that follow."""
    training = images.list_images(project.store.reader(), part=Part.TRAIN)
    ids = [each.image_id for each in training]
    return [Pair(ids[0], other) for other in ids[1:4]]


@pytest.fixture
def lone(make_project: Callable[..., Project], page: Page) -> Iterator[Annotator]:
    """Somebody at the only chain of a round, so that nothing can be fetched ahead."""
    project = make_project(each=2)
    stage.ask_chains(project, 2, [chain_of(project)])
    with served(project.folder) as address:
        person = Annotator(page, project)
        person.open(address)
        page.locator("[data-el=panel]").evaluate(RECORD_TITLES)
        yield person


def wait_for_another(person: Annotator, before: list[str]) -> None:
    expect(person.page.locator("[data-el=panel]")).to_be_hidden()
    person.wait_for_pair()
    assert person.shown() != before


def test_the_next_of_a_chain_comes_at_once_and_the_round_is_done_only_at_its_end(
    lone: Annotator,
) -> None:
    for _ in range(2):
        before = lone.shown()
        lone.press("f")
        wait_for_another(lone, before)
    lone.press("j")
    expect(lone.page.get_by_text("Round 2 is done")).to_be_visible()
    titles = lone.page.evaluate("() => window.titles")
    assert set(titles) == {"Loading the next pair", "Round 2 is done"}
    assert titles.index("Round 2 is done") > max(
        at for at, title in enumerate(titles) if title == "Loading the next pair"
    )
    assert [event.pair for event in lone.log()] == chain_of(lone.project)


def test_an_undo_at_the_end_of_a_chain_lets_it_go_on(lone: Annotator) -> None:
    lone.press("j")
    expect(lone.page.get_by_text("Round 2 is done")).to_be_visible()
    lone.press("z")
    lone.wait_for_pair()
    before = lone.shown()
    lone.press("f")
    wait_for_another(lone, before)
    lone.press("j")
    expect(lone.page.get_by_text("Round 2 is done")).to_be_visible()
    kinds = [event.kind for event in lone.log()]
    assert kinds == [Kind.SIMILAR, Kind.VOID, Kind.DISSIMILAR, Kind.SIMILAR]
