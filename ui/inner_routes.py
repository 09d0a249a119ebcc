"""Streamlit's own addresses: open is what a page needs to ask who is there, the rest is for leads.

Streamlit gives pictures that pages showed, downloads and figures about its server to whoever knows
their address, and takes files from everybody; only leads' pages use any of that. What it serves
beyond, in this version or another, is closed until it is listed here.
"""

from pathlib import Path

import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.members import Role, require
from ui import access, session, sign_in
from ui.serving import Threads, refused

START = "index.html"  # Streamlit's page by the name of its file; ours is served in its place
FILES = frozenset(each.name for each in Path(st.__file__).with_name("static").iterdir()) - {START}
# The first parts of all addresses that Streamlit serves, beside these files.
PARTS = frozenset({"_stcore", "app", "auth", "component", "media", "oauth2callback", "static"})
# Whether it is alive, from where pages may come, the page itself, and the way in and out.
OPEN = frozenset(
    {
        "/_stcore/health",
        "/_stcore/host-config",
        "/_stcore/stream",
        "/auth/login",
        "/auth/logout",
        "/oauth2callback",
    }
)
OPEN_FOLDER = "static"  # programs of the page, the same for every app


def is_streamlits(path: str) -> bool:
    """Whether an address, decoded, is Streamlit's; all others are never given to it."""
    first = _first(path)
    return first in PARTS or first in FILES


class ClosedRoutes:
    """Refuses who may not have what Streamlit would give; to put around the whole app.

    No page that it gives can stand inside a page of another site.

    Nobody else can ask for an address that only Streamlit answers: the stream to a page, which is
    open, checks who is there by itself (`ui.main.present`), and own routes do (`ui.serving`).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._threads = Threads(1, "inner")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._app
        if scope["type"] != "lifespan" and _is_closed(scope["path"]):
            try:
                await self._threads.run(_check, HTTPConnection(scope))
            except Exception as error:
                answer = refused(error) if scope["type"] == "http" else _hang_up
        await answer(scope, receive, _unframed(send))


def _unframed(send: Send) -> Send:
    """Lets no page of another site have a page of ours inside it, whose answers one could click."""

    async def send_unframed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            if headers.get("content-type", "").startswith("text/html"):
                headers["Content-Security-Policy"] = "frame-ancestors 'self'"
        await send(message)

    return send_unframed


def _is_closed(path: str) -> bool:
    first = _first(path)
    return is_streamlits(path) and not (path in OPEN or first in FILES or first == OPEN_FOLDER)


def _check(asked: HTTPConnection) -> None:
    """Let leads through; where nobody signs in, whoever sits at this machine.

    Raises:
        AnnealError, Refusal: they may not come in.
    """
    access.check_host(asked)
    access.check_near(asked)
    if not sign_in.is_set_up():
        return
    member = session.member_known_as(sign_in.identity_by_cookie(asked))
    require(member, Role.LEAD, to="open this address")


async def _hang_up(_: Scope, __: Receive, send: Send) -> None:
    await send({"type": "websocket.close", "code": 1008})


def _first(path: str) -> str:
    return path.strip("/").partition("/")[0]
