"""Who gets what Streamlit serves by itself."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import MagicMock

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from streamlit.web.server.starlette.starlette_app import create_streamlit_routes
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

from domain.members import Role
from tests.ui.client import HOST
from ui import sign_in
from ui.inner_routes import OPEN, PARTS, ClosedRoutes, is_streamlits
from workflow import members, sign_ins
from workflow.project import Project, local_owner

SECRET, USER = "x" * 40, "_streamlit_user"
ROUTES = [each for each in create_streamlit_routes(MagicMock()) if isinstance(each, Route)]
GUARDED = sorted({each.path for each in ROUTES} - OPEN)
UNKNOWN = ["/_stcore/of-a-later-version", "/media", "/app/static/a.html", "/_stcore/health/x"]
OF_PAGES = ["/", "/annotate", "/api/health", "/static/js/index.js", "/favicon.png", "/no/page"]


@pytest.fixture
def project(small_project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """One in which people sign in: Lea, a lead, and Ann."""
    monkeypatch.setattr(sign_in, "is_set_up", lambda: True)
    monkeypatch.setattr(sign_in, "get_cookie_secret", lambda: SECRET)
    owner = local_owner(small_project)
    for name, role in (("lea", Role.LEAD), ("ann", Role.ANNOTATOR), ("lou", Role.LEAD)):
        made = members.add_member(small_project, owner, name, role)
        who = sign_ins.Identity("https://p.example", name)
        sign_ins.let_sign_in(small_project, owner, made.member_id, who)
        if name == "lou":
            members.remove_member(small_project, owner, made.member_id)
    return small_project


def said(who: str, **more: object) -> str:
    claims = {"iss": "https://p.example", "sub": who, "origin": HOST, "is_logged_in": True}
    return json.dumps({**claims, **more})


def signed(text: str, secret: str = SECRET, name: str = USER) -> str:
    return create_signed_value(secret, name, text).decode()


def get(
    path: str,
    cookies: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    host: str = HOST,
    machine: str = "127.0.0.1",
) -> httpx.Response:
    """The reply of an app that would give everybody everything."""

    async def ask() -> httpx.Response:
        app = ClosedRoutes(PlainTextResponse("given"))
        transport = httpx.ASGITransport(app, client=(machine, 1234))
        async with httpx.AsyncClient(
            transport=transport, base_url=host, cookies=cookies
        ) as browser:
            return await browser.request(method, path)

    return asyncio.run(ask())


def test_what_is_open_and_what_is_streamlits_is_there_in_the_installed_version() -> None:
    paths = {each.path for each in create_streamlit_routes(MagicMock()) if hasattr(each, "path")}
    assert paths >= OPEN
    assert {path.split("/")[1] for path in paths if path} <= PARTS


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST"])
def test_an_address_of_streamlit_is_closed_unless_it_is_listed_as_open(
    project: Project, method: str
) -> None:
    assert {get(path, method=method).status_code for path in [*GUARDED, *UNKNOWN]} == {403}


def test_the_way_to_the_door_is_open(project: Project) -> None:
    assert {get(path).text for path in [*OPEN, *OF_PAGES]} == {"given"}


def in_chunks(who: str) -> dict[str, str]:
    """As Streamlit keeps what is too long for one cookie."""
    text = said(who)
    parts = {USER: "chunks-2", f"{USER}_1": text[:20], f"{USER}_2": text[20:]}
    return {name: signed(part, name=name) for name, part in parts.items()}


@pytest.mark.parametrize("cookies", [{USER: signed(said("lea"))}, in_chunks("lea")])
def test_a_lead_who_signed_in_may_have_it(project: Project, cookies: dict[str, str]) -> None:
    assert {get(path, cookies).text for path in GUARDED} == {"given"}


@pytest.mark.parametrize(
    "cookies",
    [
        {USER: signed(said("ann"))},
        {USER: signed(said("lou"))},
        {USER: signed(said("nobody"))},
        {USER: signed(said("lea"), secret="y" * 40)},
        {USER: signed(said("lea"), name="another_cookie")},
        {USER: said("lea")},
        {USER: signed(said("lea", is_logged_in=False))},
        {USER: signed(said("lea", origin="http://127.0.0.1:9999"))},
        {**in_chunks("lea"), f"{USER}_2": "forged"},
    ],
    ids=["ann", "left", "nobody", "secret", "name", "bare", "out", "origin", "chunk"],
)
def test_nobody_else_gets_it(project: Project, cookies: dict[str, str]) -> None:
    reply = get("/_stcore/metrics", cookies)
    assert reply.status_code == 403
    assert set(reply.json()) == {"message", "hint"}


def test_without_a_secret_no_cookie_counts(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in, "get_cookie_secret", lambda: "")
    cookies = {USER: signed(said("lea"), secret="")}
    assert get("/_stcore/metrics", cookies).status_code == 403


def test_where_nobody_signs_in_this_machine_alone_gets_it(small_project: Project) -> None:
    for path in GUARDED:
        assert get(path).text == "given"
        assert get(path, machine="192.168.1.7").status_code == 403
        assert get(path, host="http://evil.example").status_code == 403


@pytest.mark.parametrize(
    ("path", "expected"), [("/_stcore/stream", ["given"]), ("/_stcore/other", ["websocket.close"])]
)
def test_only_the_stream_may_be_connected_to(
    project: Project, path: str, expected: list[str]
) -> None:
    told: list[str] = []

    async def app(*_: object) -> None:
        told.append("given")

    async def send(message: Any) -> None:
        told.append(message["type"])

    scope = {"type": "websocket", "path": path, "headers": [(b"host", b"127.0.0.1:8501")]}
    asyncio.run(ClosedRoutes(app)(scope, MagicMock(), send))
    assert told == expected


@pytest.mark.parametrize(("path", "theirs"), [("/media/x", True), ("/mediaeval", False)])
def test_whose_an_address_is(path: str, theirs: bool) -> None:
    assert is_streamlits(path) is theirs


def test_a_bug_is_no_refusal(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Callable[[], None]:
        raise ZeroDivisionError

    monkeypatch.setattr(sign_ins, "member_signed_in", fail)
    with pytest.raises(ZeroDivisionError):
        get("/_stcore/metrics", {USER: signed(said("lea"))})
