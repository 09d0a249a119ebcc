"""Sign-in without a browser: what counts as set up, who is let in, what other machines get."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
import streamlit as st
from starlette.applications import Starlette
from streamlit.testing.v1 import AppTest

from domain.errors import AccessError, AnnealError, DiskFullError, JobError
from domain.members import Member, Role
from tests.ui.app import MAIN, opened, words
from tests.ui.client import HOST, Client
from ui import sign_in
from ui.routes import api_routes
from workflow import members, sign_ins
from workflow.project import Project, local_owner

SETTINGS = {"redirect_uri": f"{HOST}/oauth2callback", "cookie_secret": "x" * 40}
PROVIDER = {"client_id": "a", "client_secret": "b", "server_metadata_url": "https://p.example"}
ANN = {"is_logged_in": True, "iss": "https://p.example", "sub": "a-1"}


@pytest.fixture
def project(small_project: Project) -> Project:
    """Each test of this module has its own."""
    return small_project


@pytest.fixture
def ann(project: Project) -> Member:
    """A lead who signs in with an address."""
    made = members.add_member(project, local_owner(project), "ann", Role.LEAD)
    sign_ins.let_sign_in(project, local_owner(project), made.member_id, "ann@example.org")
    return made


def show(page: str, claims: dict[str, Any], *, settings: dict[str, Any] | None = None) -> AppTest:
    app = opened(page, member="1")  # the owner
    app.secrets["auth"] = {**SETTINGS, **PROVIDER} if settings is None else settings
    app.user = claims
    app.run()
    assert not app.exception
    return app


@pytest.mark.parametrize(
    "claims",
    [
        {"is_logged_in": False},
        {},
        {"is_logged_in": False, "iss": "https://p.example", "sub": "a-1"},
        {"is_logged_in": True},
        {"is_logged_in": True, "email": "ann@example.org", "email_verified": True},
        {"is_logged_in": True, "iss": "https://p.example", "sub": None},
    ],
    ids=str,
)
def test_without_a_signed_in_person_there_is_only_the_way_in(
    project: Project, ann: Member, claims: dict[str, Any]
) -> None:
    app = show("people", claims)
    assert [each.label for each in app.button] == ["Sign in"]
    assert "People" not in words(app)


@pytest.mark.parametrize("verified", [True, "true"])
def test_a_member_is_who_the_provider_says_whatever_the_address_says(
    project: Project, ann: Member, verified: Any
) -> None:
    app = show("you", {**ANN, "email": "ann@example.org", "email_verified": verified})
    assert "You are **ann**, lead" in words(app)
    assert "Signed in as ann@example.org" in words(app)
    assert "member" not in app.query_params
    assert not app.button


@pytest.mark.parametrize("error", [DiskFullError, JobError])
def test_who_cannot_be_written_down_as_a_member_is_not_let_in(
    project: Project, ann: Member, monkeypatch: pytest.MonkeyPatch, error: type[AnnealError]
) -> None:
    """The first sign-in is stored; whatever fails then, nobody is taken for the owner instead."""

    def fail(*_: object, **__: object) -> None:
        raise error("Not saved: the disk is full.", "Free some space.")

    monkeypatch.setattr(sign_ins.sign_ins, "take", fail)
    app = show("overview", {**ANN, "email": "ann@example.org", "email_verified": True})
    assert "the disk is full" in words(app)
    assert not app.metric
    assert not app.get("page_link")


@pytest.mark.parametrize("verified", [False, "false", None, 1.5, "yes"])
def test_who_does_not_prove_an_address_is_a_stranger(
    project: Project, ann: Member, verified: Any
) -> None:
    app = show("overview", {**ANN, "email": "ann@example.org", "email_verified": verified})
    assert "no member of this project" in words(app)
    assert app.code[0].value == "https://p.example\na-1"
    assert [each.label for each in app.button] == ["Try again", "Sign out"]


def test_a_provider_with_a_name_has_a_button_of_its_own(project: Project) -> None:
    app = show("you", {}, settings={**SETTINGS, **PROVIDER, "google": PROVIDER})
    assert [each.label for each in app.button] == ["Sign in", "Sign in with Google"]


@pytest.mark.parametrize("settings", [{}, SETTINGS, {**SETTINGS, "google": {}}])
def test_settings_without_a_provider_let_nobody_in(
    project: Project, settings: dict[str, Any]
) -> None:
    app = show("people", {}, settings=settings)
    assert "names no provider" in words(app)
    assert not app.button


def test_settings_with_a_hole_are_named_when_somebody_signs_in(project: Project) -> None:
    app = show("people", {})
    app.button[0].click().run()
    assert not app.exception
    assert "Sign-in is not set up completely" in words(app)


def test_a_settings_file_that_cannot_be_read_lets_nobody_in(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secrets.toml").write_text("[auth\nredirect_uri = 1", encoding="utf-8")
    monkeypatch.setattr(st, "secrets", type(st.secrets)())
    monkeypatch.setattr(st, "get_option", lambda _: [str(tmp_path / "secrets.toml")])
    monkeypatch.setattr(st.secrets, "load_if_toml_exists", lambda: False)
    assert sign_in.is_set_up()
    assert sign_in.providers() == []


# --- other machines ---


@pytest.mark.parametrize("address", ["192.168.1.7", "10.0.0.1", "::ffff:8.8.8.8", "", "unknown"])
def test_other_machines_are_refused_where_nobody_signs_in(address: str) -> None:
    with pytest.raises(AccessError, match="only the machine"):
        sign_in.check_near(address)


@pytest.mark.parametrize("address", [None, "127.0.0.1", "127.1.2.3", "::1"])
def test_this_machine_is_served(address: str | None) -> None:
    sign_in.check_near(address)


def test_a_page_for_another_machine_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(st.context), "ip_address", "192.168.1.7")
    app = AppTest.from_file(MAIN, default_timeout=60).run()
    assert not app.exception
    assert "only the machine" in words(app)
    assert not app.button


def test_routes_refuse_another_machine(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> httpx.Response:
        app = Starlette(routes=api_routes())
        transport = httpx.ASGITransport(app, client=("192.168.1.7", 1234))
        async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
            return await client.get("/api/health")

    refused = asyncio.run(ask())
    assert refused.status_code == 403
    assert "only the machine" in refused.json()["message"]
    monkeypatch.setattr(sign_in, "is_set_up", lambda: True)
    assert asyncio.run(ask()).status_code == 200


def test_signing_out_takes_the_cookie_back_from_the_own_page_only(client: Client) -> None:
    assert client.get("/api/session").status_code == 200
    foreign = {"Origin": "http://evil.example"}
    assert client.post("/api/session/end", headers=foreign).status_code == 403
    assert client.get("/api/session").status_code == 200
    assert client.post("/api/session/end").status_code == 204
    assert client.get("/api/session").status_code == 401
