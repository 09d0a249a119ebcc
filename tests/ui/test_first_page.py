"""What a browser gets first: Streamlit's page, which is told where its server is."""

import asyncio
import json
import re
from pathlib import Path
from typing import Literal

import httpx
import pytest
import streamlit as st
from playwright.sync_api import Page, Route, expect
from starlette.applications import Starlette

from domain.answers import Kind
from domain.members import Role
from tests.ui.annotator import PAGE, Annotator
from ui import session, sign_in
from ui.first_page import STYLE, page_routes
from ui.sitemap import HOME, PAGES
from workflow import members
from workflow.project import Project, local_owner

HERE = "127.0.0.1"
STATIC = Path(st.__file__).with_name("static")
MOVED = """
    window.moved = [];
    new PerformanceObserver((list) => {
      for (const shift of list.getEntries()) {
        moved.push(...shift.sources.map(({ node }) => node?.dataset?.testid ?? ""));
      }
    }).observe({ type: "layout-shift", buffered: true });
"""
SCRIPTS = "**/static/js/index.*.js"
TABS = "() => Object.keys(localStorage).filter((each) => each.includes('.tab.')).length"
OF_SOMEBODY_ELSE = """
    let kept;
    Object.defineProperty(window, "annealEarly", {
      configurable: true,
      get: () => kept,
      set: (early) => { kept = early; early.scope += "0"; },
    });
"""
FORBIDDEN = """
    Object.defineProperty(window, "localStorage", {
      get() { throw new DOMException("Refused.", "SecurityError"); },
    });
"""
LOOK = """
    (section) => {
      const parts = [section, ...section.querySelectorAll("h1, .frame, .answer, .tools button")];
      const style = (each) => getComputedStyle(each);
      return parts.map((each) => [
        ...["x", "y", "width", "height"].map((key) => each.getBoundingClientRect()[key].toFixed(1)),
        ...["color", "backgroundColor", "borderColor", "colorScheme", "fontSize", "fontWeight"]
          .map((key) => style(each)[key]),
        style(each).fontFamily.split(",")[0],
      ]);
    }
"""
TOLD = re.compile(r"<script>window\.__streamlit = \{ (.+) \}</script>")


def first_page(path: str, *, host: str = HERE, machine: str = HERE) -> httpx.Response:
    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=page_routes()), client=(machine, 4711))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as browser:
            return await browser.get(path)

    return asyncio.run(get())


def reader_of(page: httpx.Response) -> int | None:
    """The member whom the page's HTML knows; None if it is nobody's."""
    given = re.search(r"^startEarly\((.+), document", page.text, re.MULTILINE)
    return None if given is None else session.signer().read_token(json.loads(given[1])["token"])


@pytest.mark.parametrize("path", ["/", *(f"/{name}" for name in PAGES if name != HOME)])
def test_each_page_is_streamlits_own_and_knows_its_server(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANNEAL_PROJECT", str(tmp_path / "none"))
    reply = first_page(path)
    assert reply.headers["cache-control"] == "no-cache"
    told = TOLD.search(reply.text)
    assert told is not None
    assert "BACKEND_BASE_URL" in told[1]
    assert "HOST_CONFIG" in told[1]
    assert reply.text.index(told[0]) < reply.text.index("</head>")
    without = reply.text.replace(told[0], "").replace(STYLE, "")
    own = re.sub(r'<link rel="modulepreload"[^>]*>|<script data-warm>.*</script>', "", without)
    plain = re.sub(r'<link rel="modulepreload"[^>]*>', "", (STATIC / "index.html").read_text())
    name = path.removeprefix("/") or HOME
    assert own == plain.replace("<title>Streamlit<", f"<title>{PAGES[name][0]} · Anneal<")


def test_what_draws_components_is_loaded_at_once() -> None:
    preloaded = re.findall(r'modulepreload" crossorigin href="./([^"]+)"', first_page("/you").text)
    assert len(set(preloaded)) == len(preloaded)
    assert all((STATIC / each).is_file() for each in preloaded)
    assert any("BidiComponent" in each for each in preloaded)


def test_who_signed_in_is_asked_for_before_the_page_connects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sign_in, "is_set_up", lambda: True)
    told = TOLD.search(first_page("/annotate").text)
    assert told is not None
    assert "BACKEND_BASE_URL" in told[1]
    assert "HOST_CONFIG" not in told[1]


def test_the_annotate_page_is_drawn_by_the_html_for_its_reader(served_project: Project) -> None:
    owner = local_owner(served_project)
    ann = members.add_member(served_project, owner, "Ann", Role.ANNOTATOR)
    for query, asked_by in (("", owner), (f"?member={ann.member_id}", ann)):
        page = first_page(f"/annotate{query}")
        assert reader_of(page) == asked_by.member_id
        assert page.headers["cache-control"] == "no-store"  # a proof of who they are is in it
        assert page.text.count("</script>") == page.text.count("<script")
    assert reader_of(first_page(f"/my_answers?member={ann.member_id}")) is None


@pytest.mark.parametrize(
    ("path", "elsewhere"),
    [
        ("/annotate?member=4711", {}),
        ("/annotate", {"machine": "10.0.0.7"}),
        ("/annotate", {"host": "attacker.example"}),
    ],
    ids=["who is no member", "another machine", "another name"],
)
def test_it_proves_nothing_to_others(
    served_project: Project, path: str, elsewhere: dict[str, str]
) -> None:
    page = first_page(path, **elsewhere)
    assert page.status_code == 200
    assert reader_of(page) is None
    assert page.headers["cache-control"] == "no-cache"


def test_it_proves_nothing_before_who_must_sign_in_did(
    served_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in, "is_set_up", lambda: True)
    assert reader_of(first_page("/annotate")) is None


class Frame:
    """Streamlit's scripts, held back until they are let go."""

    def __init__(self, page: Page) -> None:
        self.held: list[Route] | None = []
        page.route(SCRIPTS, self.hold)

    def hold(self, route: Route) -> None:
        if self.held is None:
            route.continue_()
        else:
            self.held.append(route)

    def let_go(self) -> None:
        held, self.held = self.held or [], None
        for each in held:
            each.continue_()


@pytest.fixture
def early(page: Page, project: Project, address: str) -> Annotator:
    """A person at the page that the HTML draws."""
    person = Annotator(page, project)
    page.goto(f"{address}/annotate")
    person.wait_for_pair()
    return person


@pytest.fixture
def frame(page: Page) -> Frame:
    return Frame(page)


@pytest.mark.browser
def test_pairs_are_answered_while_streamlit_loads(frame: Frame, early: Annotator) -> None:
    first = early.shown()
    early.press("j")
    early.wait_for_pair()
    early.press("f")
    early.wait_until_saved()
    assert early.page.get_by_test_id("stApp").count() == 0
    assert early.kinds() == {Kind.SIMILAR: 1, Kind.DISSIMILAR: 1}
    frame.let_go()
    early.wait_until_framed()
    early.press("z", "z")
    assert early.shown() == first  # what was done before is remembered
    early.wait_until_saved()
    assert early.kinds()[Kind.VOID] == 2
    assert early.page.evaluate(TABS) == 1


@pytest.mark.browser
def test_the_component_takes_over_what_came(page: Page, project: Project, address: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(address)))
    person = Annotator(page, project)
    person.open(address)
    person.wait_until_connected()
    assert asked.count("/api/session") == asked.count("/api/pairs") == 1
    assert page.locator("#anneal-early").count() == 0
    assert page.evaluate(TABS) == 1
    page.evaluate("() => dispatchEvent(new PageTransitionEvent('pagehide'))")
    assert page.evaluate(TABS) == 0  # what is loaded next is no other tab of theirs


@pytest.mark.browser
@pytest.mark.parametrize(
    ("width_px", "theme"), [(1400, "light"), (1400, "dark"), (860, "light"), (420, "dark")]
)
def test_nothing_of_it_moves_or_changes_when_streamlit_frames_it(
    width_px: int, theme: Literal["light", "dark"], page: Page, project: Project, address: str
) -> None:
    page.set_viewport_size({"width": width_px, "height": 900})
    page.emulate_media(color_scheme=theme)
    frame = Frame(page)
    person = Annotator(page, project)
    page.goto(f"{address}/annotate")
    person.wait_for_pair()
    page.evaluate("() => document.fonts.ready")
    before = page.locator(PAGE).evaluate(LOOK)
    frame.let_go()
    person.wait_until_connected()
    person.wait_until_framed()
    assert page.locator(PAGE).evaluate(LOOK) == before


@pytest.mark.browser
def test_an_open_sheet_stays_open_and_keeps_the_focus(frame: Frame, early: Annotator) -> None:
    early.press("n")
    early.page.keyboard.type("odd")
    frame.let_go()
    early.wait_until_framed()
    early.page.keyboard.type("ly")
    sheet = early.page.get_by_role("dialog", name="Flag")
    assert sheet.evaluate("(each) => each.matches(':modal')")
    assert sheet.get_by_label("Note").input_value() == "oddly"
    early.press("Escape")
    expect(sheet).to_be_hidden()
    early.press("j")
    early.wait_until_saved()
    assert early.kinds() == {Kind.SIMILAR: 1}


@pytest.mark.browser
def test_where_nothing_may_be_kept_streamlits_page_comes_all_the_same(
    page: Page, address: str
) -> None:
    page.add_init_script(FORBIDDEN)
    page.goto(f"{address}/annotate")
    expect(page.get_by_test_id("stMain").locator(f"{PAGE} .stage img")).to_have_count(
        2, timeout=30_000
    )


@pytest.mark.browser
def test_a_mistake_in_it_leaves_streamlits_page(page: Page, address: str) -> None:
    page.add_init_script("Object.defineProperty(window, 'annealEarly', { get: () => null });")
    page.goto(f"{address}/annotate")
    expect(page.get_by_test_id("stMain").locator(PAGE)).to_be_visible(timeout=30_000)
    expect(page.locator("#anneal-early")).to_have_count(0)


@pytest.mark.browser
def test_closing_it_with_unsent_answers_asks_first(frame: Frame, early: Annotator) -> None:
    early.page.route("**/api/answers", lambda route: route.abort())
    early.press("j")
    expect(early.page.get_by_text("not sent yet")).to_be_visible(timeout=10_000)
    early.page.on("dialog", lambda dialog: dialog.accept())
    with early.page.expect_event("dialog") as asked:
        early.page.close(run_before_unload=True)
    assert asked.value.type == "beforeunload"


@pytest.mark.browser
def test_the_menu_can_be_used_before_the_page_is_framed(page: Page, address: str) -> None:
    page.route("**/static/js/BidiComponent.*.js", lambda route: route.abort())
    page.goto(f"{address}/annotate")
    page.get_by_role("link", name="You: owner").click(timeout=30_000)
    expect(page.get_by_role("heading", name="You", level=1)).to_be_visible()
    expect(page.locator("#anneal-early")).to_have_count(0)


@pytest.mark.browser
def test_it_gives_way_to_what_must_be_said_first(
    frame: Frame, page: Page, project: Project, address: str
) -> None:
    kim = members.add_member(project, local_owner(project), "Kim", Role.ANNOTATOR)
    person = Annotator(page, project)
    page.goto(f"{address}/annotate?member={kim.member_id}")
    person.wait_for_pair()
    members.remove_member(project, local_owner(project), kim.member_id)
    frame.let_go()
    expect(page.get_by_text("is no member of this project any more")).to_be_visible(timeout=30_000)
    expect(page.locator("#anneal-early")).to_have_count(0)
    assert page.evaluate(TABS) == 0


@pytest.mark.browser
def test_what_was_drawn_for_somebody_else_is_not_taken_over(
    page: Page, project: Project, address: str
) -> None:
    page.add_init_script(OF_SOMEBODY_ELSE)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(address)))
    person = Annotator(page, project)
    person.open(address)
    assert asked.count("/api/pairs") == 2
    assert page.evaluate(TABS) == 1
    person.press("j")
    person.wait_until_saved()
    assert person.kinds() == {Kind.SIMILAR: 1}


@pytest.mark.browser
def test_a_page_asks_for_its_server_nowhere_but_at_the_root(page: Page, address: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/my_answers")
    expect(page.get_by_role("heading", name="My answers")).to_be_visible(timeout=30_000)
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-connection-state", "CONNECTED")
    assert f"{address}/_stcore/host-config" in asked  # its answer may still change what is allowed
    assert not [each for each in asked if "/my_answers/_stcore" in each]
    page.get_by_role("link", name="Search").click()
    expect(page.get_by_role("heading", name="Search", level=1)).to_be_visible()
    assert page.url == f"{address}/search"


@pytest.mark.browser
def test_no_page_of_another_site_can_have_one_of_these_inside(page: Page, address: str) -> None:
    for path in ("", "annotate", "static", "app/x", "favicon.png/x", "no/page"):
        reply = page.request.get(f"{address}/{path}")
        assert reply.headers["content-type"].startswith("text/html"), path
        assert reply.headers["content-security-policy"] == "frame-ancestors 'self'", path


@pytest.mark.browser
def test_a_page_is_wide_from_the_first_moment(page: Page, address: str) -> None:
    page.add_init_script(MOVED)
    page.goto(f"{address}/you")
    expect(page.get_by_role("heading", name="You", level=1)).to_be_visible(timeout=30_000)
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=30_000)
    assert "stMainBlockContainer" not in page.evaluate("moved")
