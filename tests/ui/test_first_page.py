"""What a browser gets first: Streamlit's page, which is told where its server is."""

import asyncio
import json
import re
from pathlib import Path

import httpx
import pytest
import streamlit as st
from playwright.sync_api import Page, expect
from starlette.applications import Starlette

from domain.answers import Kind
from domain.members import Role
from tests.ui.annotator import Annotator
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
ARRIVED = """
    (url) => performance.getEntriesByType("resource")
      .some(({ name, responseStatus }) => name.startsWith(url) && responseStatus === 200)
"""
TABS = "() => Object.keys(localStorage).filter((each) => each.includes('.tab.')).length"
OF_SOMEBODY_ELSE = """
    let kept;
    Object.defineProperty(window, "annealFirst", {
      configurable: true,
      get: () => kept,
      set: (first) => { kept = first; first.scope += "0"; },
    });
"""
TOLD = re.compile(r"<script>window\.__streamlit = \{ (.+) \}</script>")


def first_page(path: str, *, host: str = HERE, machine: str = HERE) -> httpx.Response:
    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=page_routes()), client=(machine, 4711))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as browser:
            return await browser.get(path)

    return asyncio.run(get())


def asks_as(page: httpx.Response) -> int | None:
    """The member whose first questions the page asks for; None if it asks for nobody's."""
    given = re.search(r"new FirstQuestions\((.+)\);", page.text)
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
    own = re.sub(
        r'<link rel="modulepreload"[^>]*>|<script>.window.requestIdle.*</script>', "", without
    )
    plain = re.sub(r'<link rel="modulepreload"[^>]*>', "", (STATIC / "index.html").read_text())
    assert own == plain


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


def test_the_annotate_page_asks_for_its_readers_first_questions(served_project: Project) -> None:
    owner = local_owner(served_project)
    ann = members.add_member(served_project, owner, "Ann", Role.ANNOTATOR)
    for query, asked_by in (("", owner), (f"?member={ann.member_id}", ann)):
        page = first_page(f"/annotate{query}")
        assert asks_as(page) == asked_by.member_id
        assert page.headers["cache-control"] == "no-store"  # a proof of who they are is in it
        assert page.text.count("</script>") == page.text.count("<script")
    assert asks_as(first_page(f"/my_answers?member={ann.member_id}")) is None


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
    assert asks_as(page) is None
    assert page.headers["cache-control"] == "no-cache"


def test_who_must_sign_in_is_proven_by_the_script_only(
    served_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in, "is_set_up", lambda: True)
    assert asks_as(first_page("/annotate")) is None


@pytest.mark.browser
def test_first_pictures_come_while_what_draws_them_is_loading(page: Page, address: str) -> None:
    page.route("**/static/js/index.*.js", lambda route: route.abort())
    pictures: list[str] = []
    page.on("requestfinished", lambda request: pictures.append(request.url))
    with page.expect_response("**/api/pairs") as replied:
        page.goto(f"{address}/annotate")
    first = replied.value.json()["pairs"][0]
    for image_id in (first["a"], first["b"]):
        wanted = f"{address}/api/images/{image_id}?"
        page.wait_for_function(ARRIVED, arg=wanted)
    assert page.locator("section.annotate").count() == 0


@pytest.mark.browser
def test_a_reader_who_never_comes_to_the_questions_keeps_them_from_no_other_tab(
    page: Page, address: str
) -> None:
    page.clock.install()
    page.route("**/static/js/index.*.js", lambda route: route.abort())
    with page.expect_response("**/api/pairs"):
        page.goto(f"{address}/annotate")
    page.wait_for_function(f"({TABS})() === 1")
    page.clock.fast_forward(61_000)
    page.wait_for_function(f"({TABS})() === 0")


@pytest.mark.browser
def test_the_component_takes_over_what_came(page: Page, project: Project, address: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(address)))
    person = Annotator(page, project)
    person.open(address)
    person.wait_until_connected()
    assert asked.count("/api/session") == asked.count("/api/pairs") == 1
    assert page.evaluate(TABS) == 1
    page.evaluate("() => dispatchEvent(new PageTransitionEvent('pagehide'))")
    assert page.evaluate(TABS) == 0  # what is loaded next is no other tab of theirs


@pytest.mark.browser
def test_what_was_asked_for_somebody_else_is_not_taken_over(
    page: Page, project: Project, address: str
) -> None:
    page.add_init_script(OF_SOMEBODY_ELSE)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(address)))
    person = Annotator(page, project)
    person.open(address)
    assert asked.count("/api/pairs") == 2
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
def test_a_page_is_wide_from_the_first_moment(page: Page, address: str) -> None:
    page.add_init_script(MOVED)
    page.goto(f"{address}/you")
    expect(page.get_by_role("heading", name="You", level=1)).to_be_visible(timeout=30_000)
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=30_000)
    assert "stMainBlockContainer" not in page.evaluate("moved")
