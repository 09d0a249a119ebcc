"""What must not open the routes, and what must not leave them."""

import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from domain.clock import later
from domain.members import Role
from labeling_store import answers, db
from tests.ui.client import HOST, Client, an_answer
from ui import access, session
from ui.access import RateLimit, Refusal
from ui.routes import endpoints
from ui.serving import BODY_LIMIT_BYTES, Threads
from ui.tokens import Signer
from workflow import members, tokens
from workflow.project import Project, local_owner
from workflow.tokens import NewToken

Script = Callable[..., Client]
ADDRESSES = [(each.method, each.path, each.role) for each in endpoints(Threads())]
CLOSED = [(method, path) for method, path, role in ADDRESSES if role is not None]


def call(client: Client, method: str, path: str, **more: Any) -> Any:
    """The weakest request that could work: right in all but its credentials."""
    address = path.format(image_id=1, first=1, second=2)
    bodies = {
        "/api/pairs": {"count": 1},
        "/api/grids": {"count": 1},
        "/api/flags": {"flags": [{"key": "some-flag-1", "kind": "flag", "a": 1}]},
        "/api/answers": {"answers": [{"key": "some-key-1", "kind": "skip", "a": 1, "b": 2}]},
    }
    if method == "GET":
        return client.get(address, **more)
    return client.post(address, json=bodies[path], **more)


def new_token(project: Project, **more: Any) -> NewToken:
    return tokens.create_token(project, local_owner(project), "test", **more)


def bearer(text: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}", **more}


# --- tokens ---


def test_only_health_and_the_description_are_open() -> None:
    """A new route is closed unless somebody changes this list too."""
    opened = {path for _, path, role in ADDRESSES if role is None}
    assert opened == {"/api/health", "/api/openapi.json", "/api/session", "/api/session/end"}


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_every_route_refuses_who_proves_nothing(stranger: Client, method: str, path: str) -> None:
    reply = call(stranger, method, path)
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert set(reply.json()) == {"message", "hint"}


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_every_route_refuses_forged_expired_and_revoked_tokens_and_those_of_who_left(
    served_project: Project,
    stranger: Client,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
) -> None:
    owner = local_owner(served_project)
    good = new_token(served_project)
    forged = good.text[:-1] + ("A" if good.text[-1] != "A" else "B")
    revoked = new_token(served_project)
    tokens.revoke_token(served_project, owner, revoked.token.token_id)
    leaver = members.add_member(served_project, owner, "leaver", Role.OWNER)
    of_leaver = new_token(served_project, member=leaver)
    members.remove_member(served_project, owner, leaver.member_id)
    assert call(stranger, method, path, headers=bearer(good.text)).status_code == 200
    for text in (forged, revoked.text, of_leaver.text, "", good.text + " x", f"{good.text}=="):
        assert call(stranger, method, path, headers=bearer(text)).status_code == 401
    monkeypatch.setattr(tokens, "utc_now", lambda: later(good.token.created_at, 91 * 86400.0))
    assert call(stranger, method, path, headers=bearer(good.text)).status_code == 401


@pytest.mark.parametrize(
    ("method", "path"), [(method, path) for method, path, role in ADDRESSES if role is Role.LEAD]
)
def test_every_route_for_leads_refuses_annotators(
    script: Script, served_project: Project, stranger: Client, method: str, path: str
) -> None:
    assert call(script(Role.ANNOTATOR), method, path).status_code == 403
    limited = new_token(served_project, role=Role.ANNOTATOR)
    assert call(stranger, method, path, headers=bearer(limited.text)).status_code == 403


def test_a_bad_token_is_not_helped_out_by_a_good_cookie(client: Client) -> None:
    assert client.get("/api/session").status_code == 200
    for text in ("anneal_forged", ""):
        assert client.get("/api/session", headers=bearer(text)).status_code == 401


def test_the_credentials_of_a_proxy_are_not_ours_to_judge(client: Client) -> None:
    basic = {"Authorization": "Basic dXNlcjpwYXNz"}
    assert client.get("/api/session", headers=basic).status_code == 200


def test_a_token_of_a_script_buys_no_cookie(stranger: Client, served_project: Project) -> None:
    text = new_token(served_project).text
    assert stranger.post("/api/session", json={"token": text}).status_code == 401


def test_a_cookie_of_another_project_or_with_another_member_is_refused(
    stranger: Client, served_project: Project
) -> None:
    signer = session.signer()
    other = Signer(b"another project's secret")
    good = signer.cookie(1)
    for text in (other.cookie(1), good.replace(good[0], "X", 1), "", "a.b.c", "x" * 8000):
        stranger.http.cookies.set(signer.cookie_name(), text, path="/api")
        assert stranger.get("/api/session").status_code == 401
    stranger.http.cookies.set(signer.cookie_name(), signer.cookie(999), path="/api")
    assert stranger.get("/api/session").status_code == 403


def test_tokens_are_in_no_log_and_no_refusal(
    served_project: Project, stranger: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    good, bad = new_token(served_project).text, "anneal_" + "z" * 43
    replies = [
        stranger.get("/api/session", headers=bearer(good)),
        stranger.get("/api/labels", headers=bearer(bad)),
        stranger.get("/api/nothing", headers=bearer(good)),
    ]
    written = caplog.text + "".join(f"{reply.text}{reply.headers}" for reply in replies)
    assert good not in written
    assert bad not in written


# --- origins ---


@pytest.mark.parametrize(("method", "path"), CLOSED)
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8502"])
def test_another_sites_page_is_refused_whatever_it_knows(
    served_project: Project, stranger: Client, method: str, path: str, origin: str
) -> None:
    text = new_token(served_project).text
    reply = call(stranger, method, path, headers=bearer(text, Origin=origin))
    assert reply.status_code == 403
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_a_script_may_send_our_origin_or_none(script: Script) -> None:
    client = script()
    for headers in ({}, {"Origin": HOST}):
        assert client.post("/api/pairs", json={"count": 1}, headers=headers).status_code == 200


def test_other_sites_may_not_ask_whether_they_may(stranger: Client) -> None:
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    reply = stranger.runner.run(stranger.http.options("/api/answers", headers=asked))
    assert reply.status_code in (403, 405)
    assert not [name for name in reply.headers if name.startswith("access-control")]


# --- content ---


def test_who_may_not_come_in_learns_nothing_about_the_content(stranger: Client) -> None:
    large = b"x" * (BODY_LIMIT_BYTES + 1)
    assert stranger.post("/api/answers", content=large).status_code == 401
    assert stranger.get("/api/images?limit=x").status_code == 401
    assert stranger.get("/api/images/999999").status_code == 401


def test_a_body_without_a_length_is_cut_off_at_the_limit(script: Script) -> None:
    sent = []

    async def chunks() -> Any:
        for _ in range(1000):
            sent.append(1)
            yield b" " * 4096

    headers = {"Content-Type": "application/json"}
    reply = script().post("/api/answers", content=chunks(), headers=headers)
    assert reply.status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "/api/images/../../secret",
        "/api/images/..%2f..%2fsecret",
        "/api/images/%2e%2e/%2e%2e/labels.db",
        "/api/images/1/../../project.toml",
        "/api/images//etc/passwd",
        "/api/images/1%00.jpg",
        "/api/../project.toml",
    ],
)
def test_no_address_leads_to_other_files(script: Script, path: str) -> None:
    reply = script(Role.OWNER).get(path)
    assert reply.status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_a_method_that_is_not_there_is_told_which_are(stranger: Client, method: str) -> None:
    reply = stranger.runner.run(stranger.http.request(method, "/api/session"))
    assert reply.status_code == 405
    assert reply.headers["allow"] == "GET, HEAD, POST"
    assert stranger.get("/api/sessions").status_code == 404


def test_names_cannot_break_out_of_a_header_or_a_reply(
    script: Script, served_project: Project
) -> None:
    name = 'O"Brien <script>alert(1)</script> é 名'
    acting = members.add_member(served_project, local_owner(served_project), name, Role.LEAD)
    text = new_token(served_project, member=acting).text
    client = Client(bearer(text))
    reply = client.get("/api/session")
    assert reply.json()["name"] == name
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    refused = client.get("/api/images/9\r\nSet-Cookie: x=1".replace("\r\n", "%0d%0a"))
    assert "set-cookie" not in refused.headers
    client.close()


def test_nothing_but_pictures_is_kept_by_browsers(script: Script) -> None:
    client = script(Role.OWNER)
    for method, path in CLOSED:
        if path != "/api/images/{image_id}":
            assert call(client, method, path).headers["cache-control"] == "no-store", path


# --- how often ---


def test_a_limit_lets_bursts_through_and_then_so_many_a_second() -> None:
    now_s = [100.0]
    limit = RateLimit(8.0, 5, clock=lambda: now_s[0])
    for _ in range(5):
        limit.count("ann")
    with pytest.raises(Refusal) as refused:
        limit.count("ann")
    assert refused.value.status == 429
    assert refused.value.headers["Retry-After"] == "1"
    limit.count("bob")
    now_s[0] += 0.125
    limit.count("ann")
    with pytest.raises(Refusal):
        limit.count("ann")
    now_s[0] += 1000.0
    for _ in range(5):
        limit.count("ann")


def test_a_script_that_asks_too_often_is_told_to_wait_and_pages_are_not_held_up(
    served_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "SCRIPT_RATE", (0.001, 3))
    text = new_token(served_project).text
    client = Client(bearer(text))
    statuses = [client.get("/api/session").status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    own = {"Origin": HOST, "Authorization": ""}
    assert (
        client.post("/api/session", json={"token": session.token()}, headers=own).status_code == 204
    )
    assert client.get("/api/session", headers=own).status_code == 200
    client.close()


def test_guessing_tokens_is_slowed_down_and_known_tokens_are_not(
    served_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "GUESS_RATE", (0.001, 3))
    known, new = new_token(served_project).text, new_token(served_project).text
    client = Client({})

    def status(text: str) -> int:
        return client.get("/api/session", headers=bearer(text)).status_code

    assert status(known) == 200
    assert [status(f"guess {number}") for number in range(5)] == [401, 401, 401, 429, 429]
    refused = client.get("/api/session", headers=bearer(new))  # it may be a guess
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    assert status(known) == 200
    own = {"Origin": HOST}
    assert (
        client.post("/api/session", json={"token": session.token()}, headers=own).status_code == 204
    )
    client.close()


def test_a_limit_forgets_who_asked_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every address that ever sent a wrong token would be kept."""
    monkeypatch.setattr(access, "_MOST_KNOWN", 10)
    now_s = [0.0]
    limit = RateLimit(1.0, 2, clock=lambda: now_s[0])
    for number in range(100):
        now_s[0] += 0.5
        limit.count(number)
    assert len(limit._spent) <= 10
    limit.count(99)
    with pytest.raises(Refusal):
        limit.count(99)


# --- clocks and disks ---


def test_a_clock_that_is_set_back_costs_a_new_session_and_nothing_else(
    client: Client, monkeypatch: pytest.MonkeyPatch, served_project: Project
) -> None:
    """Cookies seem to come from the future then; tokens of scripts stay valid."""
    text = new_token(served_project).text
    earlier_s = time.time() - 3600
    monkeypatch.setattr(time, "time", lambda: earlier_s)
    assert client.get("/api/session").status_code == 401
    assert client.post("/api/session", json={"token": session.token()}).status_code == 204
    assert client.get("/api/session").status_code == 200
    assert client.get("/api/session", headers=bearer(text)).status_code == 200


class Disk:
    """The connections that a project opens from now on, and a way to make them fail."""

    def __init__(self) -> None:
        self.connections: list[sqlite3.Connection] = []
        self.pragma = ""

    def connect(self, made: sqlite3.Connection) -> None:
        self.connections.append(made)
        made.execute(self.pragma).fetchall()

    def tell(self, pragma: str) -> None:
        self.pragma = f"PRAGMA {pragma}"
        for each in self.connections:
            with suppress(sqlite3.ProgrammingError):  # closed, with the store that made the project
                each.execute(self.pragma).fetchall()

    def fill(self, file: Path) -> None:
        pages = file.stat().st_size // 4096
        self.tell(f"max_page_count = {pages}")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    found = Disk()
    connect = db.Store._connect

    def watched(store: db.Store) -> sqlite3.Connection:
        made = connect(store)
        if store.path.name == "labels.db":
            found.connect(made)
        return made

    monkeypatch.setattr(db.Store, "_connect", watched)
    return found


@pytest.fixture
def fragile(
    disk: Disk, make_project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch
) -> Project:
    made = make_project(each=3)
    monkeypatch.setenv("ANNEAL_PROJECT", str(made.folder))
    return made


def all_answers(project: Project) -> list[str]:
    return [event.key for event in answers.events(project.store.reader())]


def send(client: Client, asked: list[dict[str, Any]], prefix: str) -> Any:
    long = {"reason": "x" * 900}  # so that a page of the database is full soon
    new = [{**an_answer(each, f"{prefix}-{at:04d}"), **long} for at, each in enumerate(asked)]
    return client.post("/api/answers", json={"answers": new})


def test_a_full_disk_is_507_and_the_same_answers_are_stored_later(
    client: Client, fragile: Project, disk: Disk
) -> None:
    client.post("/api/session", json={"token": session.token()})
    asked = client.post("/api/pairs", json={"count": 30}).json()["pairs"]
    assert send(client, asked[:1], "before").status_code == 200
    disk.fill(fragile.folder / "labels.db")
    reply = send(client, asked[1:], "full-disk")
    assert reply.status_code == 507
    assert "disk is full" in reply.json()["message"]
    assert reply.json()["hint"]
    assert all_answers(fragile) == ["before-0000"]
    assert client.get("/api/session").status_code == 200
    disk.tell("max_page_count = 1000000")
    again = send(client, asked[1:], "full-disk").json()["receipts"]
    assert {each["status"] for each in again} == {"stored"}
    assert len(all_answers(fragile)) == len(asked)


def test_a_disk_that_became_read_only_is_503_and_reading_goes_on(
    client: Client, fragile: Project, disk: Disk
) -> None:
    client.post("/api/session", json={"token": session.token()})
    asked = client.post("/api/pairs", json={"count": 3}).json()["pairs"]
    assert send(client, asked[:1], "before").status_code == 200
    disk.tell("query_only = ON")
    for reply in (
        send(client, asked[1:], "read-only"),
        client.post("/api/pairs", json={"count": 1}),
    ):
        assert reply.status_code == 503
        assert "cannot be written" in reply.json()["message"]
    assert client.get("/api/status").json()["answers"] == 1
    assert client.get(f"/api/images/{asked[0]['a']}").status_code == 200
    disk.tell("query_only = OFF")
    assert send(client, asked[1:], "read-only").status_code == 200
    assert len(all_answers(fragile)) == 3
