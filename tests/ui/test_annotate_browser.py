"""The annotate page in a real browser, counted in the database: nothing lost, none doubled."""

import json
import re
from collections import Counter
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Route, expect

from benchmarks.serving import free_port, served
from domain.answers import Event, Kind
from labeling_store import answers
from workflow.project import Project

pytestmark = pytest.mark.browser

SHOWN = "section.annotate .stage img"
ALL_SAVED = "All answers saved"


class Annotator:
    """A person at the page, and what the database got since they sat down."""

    def __init__(self, page: Page, project: Project) -> None:
        self.page = page
        self.project = project
        log = list(answers.events(project.store.reader()))
        self.start = log[-1].event_id if log else 0

    def open(self, address: str) -> None:
        self.page.goto(f"{address}/annotate")
        self.wait_for_pair()

    def wait_for_pair(self) -> None:
        expect(self.page.locator(SHOWN)).to_have_count(2, timeout=30_000)
        self.wait_for_paint()

    def wait_for_paint(self) -> None:
        frames = "requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))"
        self.page.evaluate(f"() => new Promise((done) => {frames})")

    def shown(self) -> list[str]:
        """Addresses of the two pictures on the screen."""
        found = self.page.locator(SHOWN).evaluate_all("(all) => all.map((each) => each.src)")
        return [str(source) for source in found]

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.wait_for_paint()

    def wait_until_saved(self) -> None:
        expect(self.state()).to_have_text(ALL_SAVED, timeout=30_000)
        expect(self.page.locator("[data-el=unsent]")).to_have_text("", timeout=30_000)

    def state(self) -> Locator:
        return self.page.locator("[data-el=stateText]")

    def log(self) -> list[Event]:
        return list(answers.events(self.project.store.reader(), after=self.start))

    def kinds(self) -> Counter[Kind]:
        return Counter(event.kind for event in self.log())


@pytest.fixture
def person(page: Page, project: Project, address: str) -> Annotator:
    annotator = Annotator(page, project)
    annotator.open(address)
    return annotator


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


def test_a_reload_keeps_unsent_answers_and_undo(person: Annotator, address: str) -> None:
    person.page.route("**/api/answers", lambda route: route.abort())
    person.press("j", "j", "f")
    expect(person.page.get_by_text("3 answers not sent yet")).to_be_visible(timeout=10_000)
    assert person.log() == []
    person.page.unroute("**/api/answers")
    person.open(address)
    person.wait_until_saved()
    person.press("z", "z", "z")
    person.wait_until_saved()
    assert person.kinds() == {Kind.SIMILAR: 2, Kind.DISSIMILAR: 1, Kind.VOID: 3}


def test_answers_given_offline_arrive_once_in_order(
    person: Annotator, context: BrowserContext
) -> None:
    person.press("j")
    person.wait_until_saved()
    context.set_offline(True)
    person.press("f", "f", "u", "z", "f")
    expect(person.state()).to_have_text("Offline, trying again", timeout=10_000)
    expect(person.page.get_by_text("5 answers not sent yet")).to_be_visible()
    context.set_offline(False)
    person.wait_until_saved()
    kinds = [event.kind.value for event in person.log()]
    assert kinds == ["similar", "dissimilar", "dissimilar", "unsure", "void", "dissimilar"]


def test_an_answer_whose_receipt_is_lost_is_not_stored_twice(person: Annotator) -> None:
    lost = []

    def swallow_the_first_reply(route: Route) -> None:
        route.fetch()
        if not lost:
            lost.append(route.request.post_data_json)
            route.abort()
        else:
            route.continue_()

    person.page.route("**/api/answers", swallow_the_first_reply)
    person.press("j")
    person.wait_until_saved()
    assert len(lost) == 1
    assert person.kinds() == {Kind.SIMILAR: 1}


def test_a_store_that_cannot_write_is_said_and_answers_are_kept(person: Annotator) -> None:
    refusal = json.dumps({"message": "The disk is full.", "hint": "Free some space."})
    person.page.route(
        "**/api/answers",
        lambda route: route.fulfill(status=503, body=refusal, content_type="application/json"),
    )
    person.press("j", "f")
    notice = person.page.get_by_role("alert")
    expect(notice).to_contain_text("The disk is full. Free some space.", timeout=10_000)
    expect(person.state()).to_have_text("Not saved, trying again")
    person.page.unroute("**/api/answers")
    person.wait_until_saved()
    expect(notice).to_be_hidden()
    assert person.kinds() == {Kind.SIMILAR: 1, Kind.DISSIMILAR: 1}


def test_a_lost_session_is_renewed_without_losing_the_page(
    person: Annotator, context: BrowserContext
) -> None:
    person.page.locator("section.annotate").evaluate("(section) => { section.mark = 7; }")
    context.clear_cookies()
    person.press("j")
    person.wait_until_saved()
    assert person.kinds() == {Kind.SIMILAR: 1}
    mark = person.page.locator("section.annotate").evaluate("(section) => section.mark")
    assert mark == 7


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


def test_answers_given_while_the_app_restarts_arrive(
    page: Page, make_project: Callable[..., Project]
) -> None:
    project = make_project(each=3)
    port = free_port()
    person = Annotator(page, project)
    with served(project.folder, port=port) as address:
        person.open(address)
        person.press("j")
        person.wait_until_saved()
    person.press("f", "f")
    expect(person.state()).to_have_text("Offline, trying again", timeout=10_000)
    with served(project.folder, port=port):
        person.wait_until_saved()
        person.press("u")
        person.wait_until_saved()
    kinds = [event.kind.value for event in person.log()]
    assert kinds == ["similar", "dissimilar", "dissimilar", "unsure"]
