"""Several pairs at once: marks, one answer each in the database, undo, the way back to pairs."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from domain.answers import Event, Kind
from domain.images import Part
from domain.pairs import Pair
from labeling_store import images, rounds
from tests.ui import stage
from tests.ui.annotator import Annotator
from tests.ui.barriers import serious
from workflow.project import Project

pytestmark = pytest.mark.browser
TILES = "section.annotate .tile:visible"
SIMILAR, DISSIMILAR, UNSURE, VOID = Kind.SIMILAR, Kind.DISSIMILAR, Kind.UNSURE, Kind.VOID


@pytest.fixture(scope="module")
def unseen(project: Project) -> Iterator[int]:
    """Training images that no test has asked about yet, but for the last three."""
    reader = project.store.reader()
    return iter([each.image_id for each in images.list_images(reader, part=Part.TRAIN)][:-3])


@pytest.fixture
def chains(project: Project, unseen: Iterator[int]) -> list[list[Pair]]:
    """A new round that asks two chains, each of three questions about an image."""
    current = rounds.current_round(project.store.reader())
    assert current is not None
    last = [each.image_id for each in stage.training_images(project)][-3:]
    asked = [[Pair(image, other) for other in last] for image in (next(unseen), next(unseen))]
    stage.ask_chains(project, current.number + 1, asked)
    return asked


@pytest.fixture
def person(page: Page, project: Project, address: str, chains: list[list[Pair]]) -> Annotator:
    """Somebody who answers in the grid."""
    sitting = Annotator(page, project)
    sitting.open(address)
    page.keyboard.press("g")
    wait_for_grid(sitting, 3)
    return sitting


def wait_for_grid(person: Annotator, tiles: int) -> None:
    expect(person.page.locator(f"{TILES} img")).to_have_count(tiles, timeout=30_000)
    person.wait_for_paint()


def said(events: list[Event]) -> list[tuple[Kind, Pair]]:
    return [(event.kind, event.pair) for event in events]


def test_marks_and_the_rest_are_stored_pair_by_pair(
    person: Annotator, chains: list[list[Pair]]
) -> None:
    first, second = chains
    person.press("1", "1", "2", "f")  # unsure, similar; the chain ends there
    wait_for_grid(person, 3)
    person.press("f")
    expect(person.page.get_by_text(re.compile("Round .+ is done"))).to_be_visible()
    person.wait_until_saved()
    assert said(person.log()) == [
        (UNSURE, first[0]),
        (SIMILAR, first[1]),
        *((DISSIMILAR, each) for each in second),
    ]
    assert len({event.key for event in person.log()}) == 5


def test_a_click_marks_and_undo_takes_all_of_it_back(
    person: Annotator, chains: list[list[Pair]]
) -> None:
    first, _ = chains
    tile = person.page.locator(TILES).nth(2)
    tile.click()
    expect(tile).to_have_attribute("aria-label", "Image 3: similar. Key: 3")
    shown = person.page.locator(f"{TILES} img").first.get_attribute("src")
    person.press("f")
    wait_for_grid(person, 3)
    person.press("z")
    wait_for_grid(person, 3)
    assert person.page.locator(f"{TILES} img").first.get_attribute("src") == shown
    expect(tile).to_have_attribute("aria-label", "Image 3: similar. Key: 3")  # to be corrected
    person.press("3", "3", "u")
    person.wait_until_saved()
    kinds = [DISSIMILAR, DISSIMILAR, SIMILAR, VOID, VOID, VOID, UNSURE, UNSURE, UNSURE]
    backwards = [*first[::-1]]
    assert said(person.log()) == list(zip(kinds, [*first, *backwards, *first], strict=True))


def test_all_images_zoom_together_and_a_drag_marks_nothing(person: Annotator) -> None:
    parts = person.page.locator("section.annotate").locator(".tile:visible .cell, [data-el=query]")
    tile = person.page.locator(TILES).first

    def transforms() -> set[str]:
        found = parts.evaluate_all("(all) => all.map((each) => each.style.transform)")
        assert len(found) == 4
        return set(found)

    person.press("+", "+")
    (zoomed,) = transforms()
    assert "scale" in zoomed
    box = tile.bounding_box()
    assert box is not None
    person.page.mouse.move(box["x"] + 40, box["y"] + 40)
    person.page.mouse.down()
    person.page.mouse.move(box["x"] + 55, box["y"] + 48, steps=3)
    person.page.mouse.up()
    person.wait_for_paint()
    (dragged,) = transforms()
    assert dragged != zoomed
    expect(tile).to_have_attribute("aria-label", "Image 1: not marked. Key: 1")
    tile.click()
    expect(tile).to_have_attribute("aria-label", "Image 1: similar. Key: 1")
    person.press("f")
    wait_for_grid(person, 3)
    assert transforms() == {""}
    person.wait_until_saved()


def test_the_layout_is_kept_and_pairs_are_one_key_away(person: Annotator) -> None:
    person.page.reload()
    wait_for_grid(person, 3)
    person.press("g")
    person.wait_for_pair()
    expect(person.page.locator(TILES)).to_have_count(0)
    person.press("j")
    person.wait_until_saved()
    assert person.kinds() == {SIMILAR: 1}


def test_axe_finds_nothing_serious_in_the_grid_and_the_sheets(person: Annotator) -> None:
    person.press("1", "2", "2")
    assert serious(person.page) == []
    for key in ("?", "n"):
        person.press(key)
        expect(person.page.get_by_role("dialog")).to_be_visible()
        assert serious(person.page) == []
        person.page.keyboard.press("Escape")
