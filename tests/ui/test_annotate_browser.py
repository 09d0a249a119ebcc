"""The annotate page in a real browser, counted in the database: nothing lost, none doubled."""

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from benchmarks.serving import served
from domain.answers import Kind
from tests.ui.annotator import Annotator
from workflow.project import Project

pytestmark = pytest.mark.browser


def test_every_key_stores_one_answer_about_the_pair_on_the_screen(person: Annotator) -> None:
    expected = []
    for key, kind in (
        ("j", Kind.SIMILAR),
        ("ArrowRight", Kind.SIMILAR),
        ("1", Kind.SIMILAR),
        ("f", Kind.DISSIMILAR),
        ("ArrowLeft", Kind.DISSIMILAR),
        ("0", Kind.DISSIMILAR),
        ("u", Kind.UNSURE),
        ("ArrowDown", Kind.UNSURE),
        ("s", Kind.SKIP),
        ("ArrowUp", Kind.SKIP),
    ):
        ids = [int(re.findall(r"images/(\d+)", source)[0]) for source in person.shown()]
        expected.append((kind, tuple(sorted(ids))))
        person.press(key)
    person.wait_until_saved()
    assert [(event.kind, tuple(event.pair)) for event in person.log()] == expected
    assert all(event.answer_ms is not None and event.shown_at for event in person.log())


def test_buttons_answer_like_keys(person: Annotator) -> None:
    for name in ("Similar", "Different", "Unsure", "Skip"):
        person.page.get_by_role("button", name=re.compile(f"^{name}")).click()
        person.wait_for_paint()
    person.wait_until_saved()
    assert person.kinds() == {
        Kind.SIMILAR: 1,
        Kind.DISSIMILAR: 1,
        Kind.UNSURE: 1,
        Kind.SKIP: 1,
    }


def test_undo_brings_the_pair_back_and_takes_the_answer_back(person: Annotator) -> None:
    first = person.shown()
    person.press("j", "f", "z")
    person.press("Backspace")
    assert person.shown() == first
    person.press("f")
    person.wait_until_saved()
    log = person.log()
    assert [event.kind for event in log] == ["similar", "dissimilar", "void", "void", "dissimilar"]
    assert [log[2].refers_to, log[3].refers_to] == [log[1].event_id, log[0].event_id]
    assert log[4].pair == log[0].pair


def test_a_held_key_answers_one_pair(person: Annotator) -> None:
    for _ in range(8):
        person.page.keyboard.down("j")  # all but the first are marked as repeated
        person.wait_for_paint()
    person.page.keyboard.up("j")
    person.wait_until_saved()
    assert person.kinds() == {Kind.SIMILAR: 1}


def test_keys_meant_for_something_else_answer_nothing(person: Annotator) -> None:
    person.press("Control+j", "Alt+f", "Meta+u", "Shift+S")
    person.page.evaluate(
        "() => { document.body.append(document.createElement('input'));"
        " document.querySelector('body > input').focus(); }"
    )
    person.press("j", "f", "1")
    person.page.evaluate("() => document.querySelector('body > input').remove()")
    person.press("u")
    person.wait_until_saved()
    assert person.kinds() == {Kind.UNSURE: 1}


def test_two_tabs_are_asked_different_pairs(
    person: Annotator, context: BrowserContext, project: Project, address: str
) -> None:
    other = Annotator(context.new_page(), project)
    other.open(address)
    for _ in range(6):
        for each in (person, other):
            each.page.bring_to_front()
            each.wait_for_paint()
            each.press("f")
    other.wait_until_saved()
    person.wait_until_saved()
    pairs = [event.pair for event in person.log()]
    assert len(pairs) == len(set(pairs)) == 12


def test_leaving_the_page_stops_it_and_coming_back_starts_it(person: Annotator) -> None:
    menu = person.page.get_by_test_id("stTopNav")
    menu.get_by_role("link", name="Overview").click()
    expect(person.page.locator("section.annotate")).to_have_count(0)
    person.press("j", "f")
    menu.get_by_role("link", name="Annotate").click()
    person.wait_for_pair()
    person.press("u")
    person.wait_until_saved()
    assert person.kinds() == {Kind.UNSURE: 1}


def test_both_images_zoom_together_until_the_next_pair(person: Annotator) -> None:
    stages = person.page.locator("section.annotate .stage")
    person.page.locator("section.annotate .frame").first.hover(position={"x": 40, "y": 60})
    person.page.mouse.wheel(0, -400)
    person.wait_for_paint()
    first, second = stages.evaluate_all("(all) => all.map((each) => each.style.transform)")
    assert first == second != ""
    person.press("j")
    assert stages.evaluate_all("(all) => all.map((each) => each.style.transform)") == ["", ""]


def test_nothing_moves_from_pair_to_pair(person: Annotator) -> None:
    measure = (
        "(all) => all.map((each) => { const box = each.getBoundingClientRect();"
        " return [box.x, box.y, box.width, box.height]; })"
    )
    parts = person.page.locator("section.annotate .frame, section.annotate button:visible")
    before = parts.evaluate_all(measure)
    person.press("j", "f", "u", "s", "z")
    person.wait_until_saved()
    assert parts.evaluate_all(measure) == before


def test_no_questions_yet_is_said_and_the_first_one_appears_by_itself(
    page: Page, project: Project, address: str
) -> None:
    page.route("**/api/pairs", lambda route: route.fulfill(json={"pairs": [], "progress": None}))
    page.goto(f"{address}/annotate")
    expect(page.get_by_text("No questions yet")).to_be_visible(timeout=30_000)
    page.unroute("**/api/pairs")
    Annotator(page, project).wait_for_pair()
    expect(page.get_by_text("No questions yet")).to_be_hidden()


def test_a_picture_that_is_gone_can_only_be_skipped(
    page: Page, project: Project, address: str
) -> None:
    gone = json.dumps({"message": "tile.png is gone from the archive.", "hint": ""})
    page.route(
        "**/api/images/**",
        lambda route: route.fulfill(status=410, body=gone, content_type="application/json"),
    )
    person = Annotator(page, project)
    page.goto(f"{address}/annotate")
    expect(page.get_by_text("tile.png is gone").first).to_be_visible(timeout=30_000)
    expect(page.get_by_role("button", name=re.compile("^Similar"))).to_be_disabled()
    person.wait_for_paint()
    person.press("j", "s")
    person.wait_until_saved()
    assert person.kinds() == {Kind.SKIP: 1}


def test_the_page_asks_no_other_host_and_takes_names_as_text(
    page: Page, project: Project, address: str
) -> None:
    hosts = set()
    problems: list[str] = []
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    page.on("pageerror", lambda error: problems.append(str(error)))
    local = address.replace("127.0.0.1", "localhost")
    person = Annotator(page, project)
    person.open(local)
    person.press("j", "j", "j")
    person.wait_until_saved()
    assert hosts == {local.split("/")[2]}
    assert problems == []
    assert "hacked" not in page.title()


def test_the_end_of_a_round_is_said_and_leads_to_the_rounds_page(
    page: Page, make_project: Callable[..., Project]
) -> None:
    project = make_project(each=1)
    with served(project.folder) as address:
        person = Annotator(page, project)
        person.open(address)
        done = page.get_by_text("Round 1 is done")
        for _ in range(100):
            if done.is_visible():
                break
            person.press("f")
        expect(done).to_be_visible()
        person.wait_until_saved()
        person.press("z")
        expect(done).to_be_hidden()
        person.press("j")
        expect(done).to_be_visible()
        page.get_by_role("button", name="Go to Rounds").click()
        expect(page).to_have_url(re.compile("/rounds$"))
