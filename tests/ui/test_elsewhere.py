"""Addresses at which there is nothing."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ui.elsewhere import elsewhere_routes
from ui.sitemap import PAGES


def get(path: str) -> httpx.Response:
    """The reply of an app whose other routes come after, as Streamlit's do."""

    async def rest(_: Request) -> PlainTextResponse:
        return PlainTextResponse("Streamlit's")

    async def ask() -> httpx.Response:
        app = Starlette(routes=[*elsewhere_routes(), Route("/{path:path}", rest)])
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as browser:
            return await browser.get(path)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("asked", "target"),
    [
        ("/overview", "./"),
        ("/Overview?member=3", "./?member=3"),
        ("/index.html", "./"),
        ("/annotate/", "../annotate"),
        ("/My-Answers", "./my_answers"),
        ("/my%20answers", "./my_answers"),
    ],
)
def test_a_near_miss_leads_to_the_page_that_was_meant(asked: str, target: str) -> None:
    reply = get(asked)
    assert reply.is_redirect
    assert reply.headers["location"] == target


def test_an_unknown_address_says_so_and_names_every_page() -> None:
    reply = get("/labels/12?member=3")
    assert reply.status_code == 404
    assert "There is no page “/labels/12” here" in reply.text
    for name, (title, _) in PAGES.items():
        address = "" if name == "overview" else name
        assert f'<a href="../{address}?member=3">{title}</a>' in reply.text


def test_an_address_is_text_never_markup() -> None:
    assert "<img" not in get("/%3Cimg src=x%3E?member=%22%3E%3Cimg%3E").text


@pytest.mark.parametrize(
    "path",
    ["/_stcore/health", "/static/js/index.js", "/favicon.png", "/auth/login"],
)
def test_what_streamlit_serves_stays_its_own(path: str) -> None:
    assert get(path).text == "Streamlit's"
