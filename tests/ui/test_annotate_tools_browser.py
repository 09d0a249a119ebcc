"""The annotate page beside answering: keys of one's own, flags, instructions, sleep, closing."""

import re
from collections.abc import Callable, Iterator
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import Dialog, Locator, Page, Route, expect

from benchmarks.serving import served
from domain.answers import Kind
from domain.flags import Flag
from domain.guide import Example
from domain.pairs import Pair
from tests.ui.annotator import SHOWN, Annotator
from workflow import flags, guides, members
from workflow.project import Project, local_owner
from workflow.questions import next_questions

pytestmark = pytest.mark.browser
MARKUP = "<img src=x onerror=document.title='hacked'>"
LONG_AGO = "2020-01-01T00:00:00.000+00:00"
A_SLEEP_MS = 20 * 60 * 1000


def sheet(person: Annotator, title: str) -> Locator:
    return person.page.get_by_role("dialog", name=title)


def open_flags(project: Project, note: str) -> list[Flag]:
    return [each for each in flags.open_flags(project, limit=50) if each.note == note]


# --- keys ---


def test_keys_are_chosen_shown_kept_and_reset(person: Annotator, address: str) -> None:
    person.press("?")
    keys = sheet(person, "Keys")
    keys.get_by_role("button", name="F for “Different”").click()
    person.page.keyboard.press("d")
    expect(keys.get_by_role("status")).to_have_text("Kept in this browser.")
    keys.get_by_role("button", name="Close").click()
    different = person.page.get_by_role("button", name="Different. Keys: D, left arrow or 0")
    expect(different.locator("kbd").first).to_have_text("D")
    person.press("f", "d")
    person.open(address)
    person.press("d", "?")
    keys.get_by_role("button", name="Reset all keys").click()
    keys.get_by_role("button", name="Close").click()
    person.press("d", "f")
    person.wait_until_saved()
    assert person.kinds() == {Kind.DISSIMILAR: 3}


def test_a_key_that_means_something_else_is_refused(person: Annotator) -> None:
    person.press("?")
    keys = sheet(person, "Keys")
    for pressed, words in (
        ("j", "J already means “Similar”."),
        ("Space", "Space cannot be chosen"),
        ("+", "+ cannot be chosen"),
    ):
        keys.get_by_role("button", name="F for “Different”").click()
        person.page.keyboard.press(pressed)
        expect(keys.get_by_role("status")).to_contain_text(words)
    person.page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    person.press("f", "j")
    person.wait_until_saved()
    assert person.kinds() == {Kind.SIMILAR: 1, Kind.DISSIMILAR: 1}


def test_swapping_changes_sides_and_nothing_else(person: Annotator) -> None:
    first, second = person.shown()
    person.press("x")
    assert person.shown() == [second, first]
    person.press("j")
    person.wait_until_saved()
    assert person.kinds() == {Kind.SIMILAR: 1}


def test_a_question_says_for_how_many_pairs_its_answer_counts(person: Annotator) -> None:
    def more(route: Route) -> None:
        reply = route.fetch()
        body = reply.json()
        for each in body["pairs"]:
            each["stands_for"] = 12
        route.fulfill(response=reply, json=body)

    person.page.route("**/api/pairs", more)
    person.page.reload()
    person.wait_for_pair()
    expect(person.page.locator("[data-el=reason]")).to_contain_text("counts for about 12 pairs")


# --- flags ---


def test_a_flag_reaches_the_lead_as_text_and_can_be_undone(
    person: Annotator, project: Project
) -> None:
    before = person.shown()
    person.press("n")
    person.page.keyboard.type(MARKUP)  # letters that are keys of the page, too
    person.page.keyboard.press("Enter")
    person.wait_until_saved()
    (flag,) = open_flags(project, MARKUP)
    assert len(flag.image_ids) == 2
    assert person.shown() == before
    person.page.goto(person.page.url.replace("/annotate", "/labels"))
    person.page.get_by_text(re.compile(r"Flagged \(\d")).click()
    expect(person.page.locator("table.labels .note").first).to_have_text(MARKUP)
    person.page.go_back()
    person.wait_for_pair()
    person.press("z")
    person.wait_until_saved()
    assert open_flags(project, MARKUP) == []
    assert person.log() == []
    assert person.page.title() != "hacked"


def test_a_flag_waits_with_the_answers_until_it_can_be_sent(
    person: Annotator, project: Project, address: str
) -> None:
    person.page.route("**/api/flags", lambda route: route.abort())
    person.press("j", "n")
    sheet(person, "Flag").get_by_label("About").select_option("The first image")
    sheet(person, "Flag").get_by_role("button", name="Flag").click()
    person.press("f")
    expect(person.page.get_by_text("2 answers not sent yet")).to_be_visible(timeout=10_000)
    person.page.unroute("**/api/flags")
    person.open(address)
    person.wait_until_saved()
    assert person.kinds() == {Kind.SIMILAR: 1, Kind.DISSIMILAR: 1}
    (flag,) = open_flags(project, "")
    assert len(flag.image_ids) == 1


# --- instructions ---


@pytest.fixture
def instructed(make_project: Callable[..., Project]) -> Iterator[tuple[Project, str]]:
    """A project with instructions, and where it is served."""
    project = make_project(each=3)
    examples = [Example(Pair(1, 2), True, MARKUP), Example(Pair(1, 3), False)]
    guides.write_guide(project, local_owner(project), f"Look at roofs.\n{MARKUP}", examples)
    with served(project.folder) as address:
        yield project, address


def test_instructions_are_shown_once_and_by_key_and_stay_text(
    page: Page, instructed: tuple[Project, str]
) -> None:
    project, address = instructed
    person = Annotator(page, project)
    person.open(address)
    guide = sheet(person, "Instructions")
    expect(guide.get_by_text(f"Look at roofs. {MARKUP}")).to_be_visible()
    expect(guide.locator("img")).to_have_count(4)
    expect(guide.locator("figcaption")).to_have_text([f"≈ Similar{MARKUP}", "≠ Different"])
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(guide).to_be_hidden()
    person.press("f")
    person.wait_until_saved()
    assert person.kinds() == {Kind.DISSIMILAR: 1}
    person.open(address)
    expect(guide).to_be_hidden()
    person.press("i")
    expect(guide).to_be_visible()
    assert page.title() != "hacked"


# --- sleep, and closing ---


def test_after_a_sleep_nobody_is_asked_what_others_got_meanwhile(
    page: Page, make_project: Callable[..., Project]
) -> None:
    project = make_project(each=3)
    person = Annotator(page, project)
    page.clock.install()
    with served(project.folder) as address:
        person.open(address)
        before = person.shown()
        with project.store.transaction() as db:
            db.execute("UPDATE lease SET expires_at = :then", {"then": LONG_AGO})
        bob = members.join(project, "bob")
        taken = {(each.image_a, each.image_b) for each in next_questions(project, bob, count=4)}
        page.clock.fast_forward(A_SLEEP_MS)
        page.mouse.move(300, 300)
        expect(page.get_by_text("Somebody else has that pair by now")).to_be_visible()
        person.wait_for_pair()
        assert person.shown() != before
        person.press("j", "f", "u")
        person.wait_until_saved()
    assert len(person.log()) == 3
    assert not taken & {tuple(event.pair) for event in person.log()}


def test_leases_are_renewed_while_somebody_looks_at_one_pair_for_long(
    page: Page, project: Project, address: str
) -> None:
    person = Annotator(page, project)
    page.clock.install()
    person.open(address)
    before = person.shown()
    with page.expect_response("**/api/pairs") as renewed:
        page.clock.fast_forward(5 * 60 * 1000)
    assert renewed.value.request.post_data_json["count"] == 0
    assert len(renewed.value.request.post_data_json["held"]) >= 10
    assert renewed.value.json()["settled"] == []
    assert person.shown() == before


def test_closing_with_unsent_answers_asks_first_and_else_does_not(person: Annotator) -> None:
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    person.page.on("dialog", stay)
    person.page.route("**/api/answers", lambda route: route.abort())
    person.press("j")
    with person.page.expect_event("dialog"):
        person.page.close(run_before_unload=True)
    person.page.unroute("**/api/answers")
    person.wait_until_saved()
    with person.page.expect_event("close"):
        person.page.close(run_before_unload=True)
    assert asked == ["beforeunload"]
    assert person.kinds() == {Kind.SIMILAR: 1}


def test_reloading_again_and_again_loses_and_doubles_nothing(
    person: Annotator, address: str
) -> None:
    for _ in range(4):
        person.press("j")
        person.reload_at_once()
        person.reload_at_once()
        person.open(address)
    person.wait_until_saved()
    assert person.kinds() == {Kind.SIMILAR: 4}
    assert len({event.pair for event in person.log()}) == 4


def test_half_a_minute_offline_on_the_pages_clock_loses_and_doubles_nothing(
    page: Page, project: Project, address: str
) -> None:
    """The page's timers run half a minute ahead, which takes them a moment."""
    person = Annotator(page, project)
    page.clock.install()
    person.open(address)
    page.context.set_offline(True)
    for _ in range(3):
        person.press("j")
        page.clock.fast_forward(10_000)
    page.context.set_offline(False)
    person.wait_until_saved()
    assert person.kinds() == {Kind.SIMILAR: 3}


# --- what is on the screen ---


def test_zoomed_in_pictures_come_in_full_resolution(person: Annotator) -> None:
    drawn = BytesIO()
    Image.new("RGB", (512, 512), "teal").save(drawn, "JPEG")  # as large as a thumbnail can be
    picture = drawn.getvalue()
    person.page.route(
        "**/api/images/**", lambda route: route.fulfill(body=picture, content_type="image/jpeg")
    )
    person.page.reload()
    person.wait_for_pair()
    before = person.shown()
    assert all("size=512" in each for each in before)
    for _ in range(8):
        person.press("+")
    expect(person.page.locator(f"{SHOWN}[src*='size=2048']")).to_have_count(2)
    assert person.shown() == [each.replace("512", "2048") for each in before]


def test_after_a_few_answers_the_pace_and_the_time_left_are_said(person: Annotator) -> None:
    pace = person.page.locator("[data-el=pace]")
    expect(pace).to_have_text("")
    for _ in range(5):
        expect(person.page.get_by_role("button", name=re.compile("^Similar"))).to_be_enabled()
        person.wait_for_paint()
        person.press("j")
    expect(pace).to_have_text(
        re.compile(r"^\d+\.\d s a pair, (under a minute|about \d+ min) left$")
    )
    person.wait_until_saved()
    bar = person.page.locator(".bar")
    wide = bar.bounding_box()
    person.page.set_viewport_size({"width": 360, "height": 800})
    expect(pace).to_be_hidden()
    shorter = person.page.get_by_text(re.compile(r"^\d+\.\d s · (< 1|\d+) min left$"))
    expect(shorter).to_be_visible()
    narrow = bar.bounding_box()
    assert wide is not None
    assert narrow is not None
    assert narrow["height"] == wide["height"]  # one line, so that no picture moved
