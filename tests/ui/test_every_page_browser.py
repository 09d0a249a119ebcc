"""Every page in a real browser, full of names that look like markup: nothing of them runs, whoever
may not come in is refused kindly, and axe finds nothing serious."""

import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from benchmarks.serving import served
from domain.config import config_toml
from domain.jobs import JobState
from domain.members import Role
from labeling_store import answers
from tests.ui.annotator import SHOWN as PAIR
from tests.ui.barriers import serious
from tests.ui.furnished import Furnished, furnish
from tests.ui.keyboard import tab_to, wait_until
from tests.ui.screens import PREPARE, addresses, see_a_pair, settle
from ui.first_page import PARTS
from ui.sitemap import PAGES
from workflow import by_hand, conflicts, jobs, members
from workflow.locks import held
from workflow.people import release_leases
from workflow.project import CONFIG_NAME, Project, local_owner
from workflow.questions import next_questions

pytestmark = pytest.mark.browser

MARKUP = "<img src=x onerror=document.title='hacked'>"
NAMES = (MARKUP, f"{MARKUP} **ben** :red[x]", f"lea ![i](http://x.example/y.png) {MARKUP}")
ALSO = ("guide", "grid", "uploaded", "results", "history", "doubts", "groups", "flags", "settled")
SHOWN = (*PAGES, *ALSO, "refused")
DARK_SETTLED_MS = 400
PART = re.compile(r"(\w+)\.[\w-]+\.js")
SCROLLING = """
(all) => all.flatMap((host) => {
  const kept = host.closest("[data-testid=stElementContainer]");
  const within = [...kept.querySelectorAll("*")].filter((each) => each.contains(host));
  return [kept, ...within].filter((each) => each.scrollHeight > each.clientHeight + 1)
    .map((each) => `${each.className}: ${each.scrollHeight} in ${each.clientHeight}`);
})
"""
MOVES = """
let shift = 0;
const add = (entries) => {
  for (const each of entries) shift += each.hadRecentInput ? 0 : each.value;
};
const watch = new PerformanceObserver((list) => add(list.getEntries()));
watch.observe({ type: "layout-shift", buffered: true });
window.moved = () => { add(watch.takeRecords()); return shift; };
"""
STILL = 0.03  # 0.1 is called good
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 420, "height": 860}
ALSO_NARROW = (
    "annotate",
    "grid",
    "results",
    "explore",
    "labels",
    "groups",
    "flags",
    "people",
)  # drawn another way
FIELDS_FIRST = ("overview", "rounds", "curves", "search", "labels", "instructions", "you")


@pytest.fixture(scope="module")
def project(make_project: Callable[..., Project]) -> Project:
    """A project whose name has markup in it, too."""
    made = make_project()
    config = made.config.model_copy(update={"name": MARKUP})
    (made.folder / CONFIG_NAME).write_text(config_toml(config), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def people(project: Project) -> Furnished:
    return furnish(project, names=NAMES, note=MARKUP)


@pytest.fixture(scope="module")
def address(project: Project, people: Furnished) -> Iterator[str]:
    with held(project.folder / jobs.WORKER_LOCK), served(project.folder) as url:
        yield url


@pytest.fixture(scope="module")
def reader(browser: Any) -> Iterator[Page]:
    """One tab for all pages."""
    context: BrowserContext = browser.new_context(viewport=WIDE)
    context.add_init_script(MOVES)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", SHOWN)
def test_markup_in_names_does_nothing_and_axe_finds_nothing_serious(
    reader: Page, address: str, people: Furnished, name: str
) -> None:
    errors: list[str] = []
    reader.on("pageerror", lambda error: errors.append(str(error)))
    reader.goto(f"{address}/{addresses(people)[name]}")
    settle(reader)
    assert moved(reader) < STILL
    if name in PREPARE:
        PREPARE[name](reader)
    assert errors == []
    assert "hacked" not in reader.title()
    assert reader.locator("img[onerror]").count() == 0
    assert reader.locator("img[src*='x.example']").count() == 0
    if name != "refused":  # it has the address of another page
        assert parts_loaded_late(reader) == set()
    assert galleries_that_scroll(reader) == []
    assert serious(reader) == []
    reader.emulate_media(color_scheme="dark")
    reader.wait_for_timeout(DARK_SETTLED_MS)
    assert serious(reader, only=("color-contrast",)) == []
    if name in ALSO_NARROW:
        reader.set_viewport_size(NARROW)
        reader.wait_for_timeout(DARK_SETTLED_MS)
        assert serious(reader) == []
        reader.set_viewport_size(WIDE)
    reader.emulate_media(color_scheme="light")


@pytest.mark.parametrize("name", FIELDS_FIRST)
def test_nothing_jumps_in_a_narrow_window_while_its_fields_come(
    reader: Page, address: str, people: Furnished, name: str
) -> None:
    reader.set_viewport_size(NARROW)
    reader.goto(f"{address}/{addresses(people)[name]}")
    settle(reader)
    reader.set_viewport_size(WIDE)
    assert moved(reader) < STILL


def test_what_annotators_wrote_has_room_in_a_window_of_middle_width(
    reader: Page, address: str, people: Furnished
) -> None:
    reader.set_viewport_size({"width": 1000, "height": 800})
    reader.goto(f"{address}/labels?show=flags")
    note = reader.locator("td[data-name=Answer]").first
    expect(note.locator(".note")).to_be_visible(timeout=30_000)
    box = note.bounding_box()
    table = reader.locator("table.labels").evaluate("each => each.scrollWidth - each.clientWidth")
    reader.set_viewport_size(WIDE)
    assert box is not None
    assert box["width"] >= 140
    assert table == 0


def test_an_address_below_a_page_says_where_the_pages_are(reader: Page, address: str) -> None:
    """Streamlit's page stays blank there: its scripts are looked for beside the address."""
    reader.goto(f"{address}/labels/<img onerror=document.title='hacked'>")
    expect(reader.get_by_role("heading", name="There is no page")).to_be_visible()
    assert "hacked" not in reader.title()
    assert serious(reader) == []
    reader.emulate_media(color_scheme="dark")
    assert serious(reader, only=("color-contrast",)) == []
    reader.emulate_media(color_scheme="light")
    reader.get_by_role("link", name="People").click()
    expect(reader.get_by_role("heading", name="People")).to_be_visible(timeout=30_000)


def moved(page: Page) -> float:
    """By how much what was there moved while the page came, as browsers count it: layout shift."""
    return float(page.evaluate("moved()"))


def parts_loaded_late(page: Page) -> set[str]:
    """Of what Streamlit draws parts with, what the page had to ask for when it was drawn."""
    loaded = page.evaluate("() => performance.getEntriesByType('resource').map((e) => e.name)")
    named = page.request.get(page.url).text()
    late = [PART.match(each.rpartition("/")[2]) for each in loaded]
    names = {each[1] for each in late if each is not None and each[0] not in named}
    return names & {*chain.from_iterable(PARTS.values())}


def galleries_that_scroll(page: Page) -> list[str]:
    """Pictures that do not fit into the room that is kept for them."""
    found: list[str] = page.locator("[data-testid=stBidiComponentIsolated]").evaluate_all(SCROLLING)
    return found


def test_by_keyboard_alone_a_lead_settles_a_conflict_and_answers_pairs(
    reader: Page, address: str, project: Project, people: Furnished
) -> None:
    release_leases(project, people.lead)  # other tests opened Annotate as others
    reader.goto(f"{address}/you?member={people.lead.member_id}")
    settle(reader)
    tab_to(reader, "Conflicts")
    reader.keyboard.press("Enter")
    expect(reader.get_by_role("heading", name="Conflicts")).to_be_visible(timeout=30_000)
    before = conflicts.count_open(project)
    tab_to(reader, "Earlier answers are right")
    reader.keyboard.press("Enter")
    wait_until(reader, lambda: conflicts.count_open(project) < before)
    tab_to(reader, "Annotate")
    reader.keyboard.press("Enter")
    expect(reader.locator(PAIR)).to_have_count(2, timeout=30_000)
    see_a_pair(reader)
    start = answers.last_event_id(project.store.reader())
    for key in ("j", "f", "u", "z"):
        reader.wait_for_timeout(300)  # a key press follows what a person sees
        reader.keyboard.press(key)
    wait_until(reader, lambda: answers.last_event_id(project.store.reader()) >= start + 4)
    said = list(answers.events(project.store.reader(), after=start))
    assert [each.kind.value for each in said] == ["similar", "dissimilar", "unsure", "void"]
    assert {each.member for each in said} == {people.lead.name}


def test_by_keyboard_alone_a_lead_starts_a_round_and_cancels_it(
    reader: Page, address: str, project: Project, people: Furnished
) -> None:
    reader.goto(f"{address}/rounds?member={people.lead.member_id}")
    settle(reader)
    tab_to(reader, "Start training|Ask new pairs")
    reader.keyboard.press("Enter")
    wait_until(reader, lambda: jobs.running(project) is not None)
    expect(reader.get_by_role("button", name="Cancel")).to_be_visible(timeout=30_000)
    tab_to(reader, "Cancel")
    reader.keyboard.press("Enter")
    wait_until(reader, lambda: jobs.running(project) is None)
    assert next(iter(jobs.recent(project))).state is JobState.CANCELLED


def test_by_keyboard_alone_the_owner_gives_somebody_another_role(
    reader: Page, address: str, project: Project, people: Furnished
) -> None:
    reader.goto(f"{address}/people")
    settle(reader)
    who = people.annotator.member_id
    tab_to(reader, r"Change\s+\w+")  # its icon has a name, too
    reader.keyboard.press("Enter")
    opened = reader.get_by_test_id("stPopoverBody")
    expect(opened.get_by_role("combobox", name="Role")).to_be_visible()
    tab_to(reader, "Role")  # of who would be new
    tab_to(reader, "Role")  # what was opened comes last
    expect(opened.get_by_role("combobox", name="Role")).to_be_focused()
    reader.keyboard.type("lead")
    reader.keyboard.press("Enter")
    wait_until(reader, lambda: role_of(project, who) is not Role.ANNOTATOR)
    members.set_role(project, local_owner(project), who, Role.ANNOTATOR)


def role_of(project: Project, member_id: int) -> Role | None:
    found = members.get_member(project, member_id)
    return None if found is None else found.role


def test_by_keyboard_alone_a_lead_has_pairs_of_images_around_one_asked(
    reader: Page, address: str, project: Project, people: Furnished
) -> None:
    reader.goto(f"{address}/explore?member={people.lead.member_id}")
    settle(reader)
    tab_to(reader, ".*Show")
    reader.keyboard.type("nearest")
    reader.keyboard.press("Enter")
    expect(reader.get_by_label("How many images")).to_be_visible(timeout=30_000)
    tab_to(reader, "Ask these")
    reader.keyboard.press("Enter")
    expect(reader.get_by_text("will be asked next")).to_be_visible(timeout=30_000)
    (asked,) = next_questions(project, people.lead, count=1)
    release_leases(project, people.lead)
    assert asked.reason == by_hand.REASON


def test_by_keyboard_alone_a_lead_reads_curves_and_searches(reader: Page, address: str) -> None:
    reader.goto(f"{address}/curves")
    settle(reader)
    tab_to(reader, "Bits")
    reader.keyboard.press("ArrowRight")
    expect(reader.get_by_role("radio", name="Minutes")).to_be_checked()
    reader.goto(f"{address}/search")
    settle(reader)
    tab_to(reader, "Path contains")
    reader.keyboard.type("nothing has this name")
    reader.keyboard.press("Enter")
    expect(reader.get_by_text("No path contains")).to_be_visible(timeout=30_000)


FOR_LEADS = [name for name, (_, role) in PAGES.items() if role is not Role.ANNOTATOR]


def test_an_annotator_who_opens_pages_of_leads_is_shown_the_own_ones(
    reader: Page, address: str, people: Furnished
) -> None:
    who = f"member={people.annotator.member_id}"
    for name in FOR_LEADS:
        if name == "overview":
            continue  # leads on to Annotate
        reader.goto(f"{address}/{name}?{who}")
        expect(reader.get_by_text(f"{PAGES[name][0]} is for leads")).to_be_visible(timeout=30_000)
        expect(reader.get_by_role("link", name="Annotate").first).to_be_visible()
        assert reader.get_by_role("link", name=PAGES[name][0], exact=True).count() == 0
