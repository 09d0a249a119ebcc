"""What a browser gets first: Streamlit's page, which is told where its server is."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest
import streamlit as st
from playwright.sync_api import Page, expect
from starlette.applications import Starlette

from ui import sign_in
from ui.first_page import WIDE, page_routes
from ui.sitemap import HOME, PAGES

STATIC = Path(st.__file__).with_name("static")
MOVED = """
    window.moved = [];
    new PerformanceObserver((list) => {
      for (const shift of list.getEntries()) {
        moved.push(...shift.sources.map(({ node }) => node?.dataset?.testid ?? ""));
      }
    }).observe({ type: "layout-shift", buffered: true });
"""
TOLD = re.compile(r"<script>window\.__streamlit = \{ (.+) \}</script>")


def first_page(path: str) -> httpx.Response:
    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=page_routes()))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as browser:
            return await browser.get(path)

    return asyncio.run(get())


@pytest.mark.parametrize("path", ["/", *(f"/{name}" for name in PAGES if name != HOME)])
def test_each_page_is_streamlits_own_and_knows_its_server(path: str) -> None:
    reply = first_page(path)
    assert reply.headers["cache-control"] == "no-cache"
    told = TOLD.search(reply.text)
    assert told is not None
    assert "BACKEND_BASE_URL" in told[1]
    assert "HOST_CONFIG" in told[1]
    assert reply.text.index(told[0]) < reply.text.index("</head>")
    without = reply.text.replace(told[0], "").replace(WIDE, "")
    own = re.sub(r'<link rel="modulepreload"[^>]*>', "", without)
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
