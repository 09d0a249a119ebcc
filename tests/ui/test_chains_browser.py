"""Chains at the annotate page: the next pair comes at the answer, and nothing untrue is said."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, Response, expect

from benchmarks.serving import served
from domain.answers import Kind
from domain.images import Part
from domain.pairs import Pair
from labeling_store import images
from tests.ui import stage
from tests.ui.annotator import Annotator
from workflow.project import Project

pytestmark = pytest.mark.browser
SitDown = Callable[[int], Annotator]
RECORD_TITLES = """(panel) => {
  const title = panel.querySelector("[data-el=panelTitle]");
  window.titles = [];
  const shown = () => panel.hidden || window.titles.push(title.textContent);
  new MutationObserver(shown).observe(panel, {
    attributes: true, childList: true, characterData: true, subtree: true,
  });
}"""


def training(project: Project) -> list[int]:
    return [each.image_id for each in images.list_images(project.store.reader(), part=Part.TRAIN)]


def chain_of(project: Project, at: int = 0) -> list[Pair]:
    """A training image with the last three."""
    ids = training(project)
    return [Pair(ids[at], other) for other in ids[-3:]]


@pytest.fixture
def sit_down(make_project: Callable[..., Project], page: Page) -> Iterator[SitDown]:
    """Lets somebody sit down at a round of so many chains, each of three questions."""
    project = make_project(each=3)
    with served(project.folder) as address:

        def sit(chains: int) -> Annotator:
            stage.ask_chains(project, 2, [chain_of(project, at) for at in range(chains)])
            person = Annotator(page, project)
            person.open(address)
            page.locator("[data-el=panel]").evaluate(RECORD_TITLES)
            return person

        yield sit


@pytest.fixture
def lone(sit_down: SitDown) -> Annotator:
    """Somebody at the only chain of a round, so that nothing can be fetched ahead."""
    return sit_down(1)


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


def test_a_pair_ahead_that_others_answered_meanwhile_is_not_shown(sit_down: SitDown) -> None:
    person = sit_down(2)
    project, (_, second) = person.project, training(person.project)[:2]
    (settled, next_one, _), other = chain_of(project, 1), training(project)[5]
    stage.answer_pair(project, settled.b, other, Kind.SIMILAR)
    stage.answer_pair(project, second, other, Kind.DISSIMILAR)
    with person.page.expect_response(lambda reply: settled_in(reply) != []):
        pass
    person.press("j")
    person.wait_for_pair()
    assert all(
        f"/{image}?" in source for image, source in zip(next_one, person.shown(), strict=True)
    )


def settled_in(reply: Response) -> list[int]:
    """The questions that a reply says need no answer any more."""
    if not reply.url.endswith("/api/pairs"):
        return []
    found: list[int] = reply.json()["settled"]
    return found
