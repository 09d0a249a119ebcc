"""The own routes: who may ask, what is refused, what is stored."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from itsdangerous import URLSafeTimedSerializer

from domain.answers import Kind, Receipt
from domain.errors import StoreError
from domain.members import Member
from domain.pairs import pair
from labeling_store import answers
from tests.ui import stage
from tests.ui.client import Client, an_answer
from ui import session, writer
from ui.serving import BODY_LIMIT_BYTES
from ui.tokens import COOKIE_LIFE_S, TOKEN_LIFE_S, Signer
from workflow import flags, labels, members
from workflow.project import Project
from workflow.questions import next_questions


def stored(project: Project, key: str) -> list[Any]:
    return [event for event in answers.events(project.store.reader()) if event.key == key]


def _some_answer() -> dict[str, Any]:
    return {"key": "some-answer-1", "kind": "similar", "a": 1, "b": 2}


# --- sessions ---


def test_a_token_buys_a_cookie_that_scripts_and_other_sites_cannot_use(
    stranger: Client,
) -> None:
    reply = stranger.post("/api/session", json={"token": session.token()})
    cookie = reply.headers["set-cookie"].lower()
    for attribute in ("httponly", "samesite=strict", "path=/api", f"max-age={COOKIE_LIFE_S}"):
        assert attribute in cookie


@pytest.mark.parametrize("path", ["/api/pairs", "/api/answers"])
def test_writes_without_a_session_are_refused(stranger: Client, path: str) -> None:
    body = {"count": 1} if path.endswith("pairs") else {"answers": [_some_answer()]}
    reply = stranger.post(path, json=body)
    assert reply.status_code == 401
    assert reply.json()["hint"]


def test_images_without_a_session_are_refused(stranger: Client) -> None:
    assert stranger.get("/api/images/1").status_code == 401


def test_a_forged_token_is_refused(stranger: Client) -> None:
    forged = Signer(b"another secret").token(1)
    assert stranger.post("/api/session", json={"token": forged}).status_code == 401


def test_a_cookie_is_no_token_and_a_token_no_cookie(stranger: Client) -> None:
    signer = session.signer()
    reply = stranger.post("/api/session", json={"token": signer.cookie(1)})
    assert reply.status_code == 401
    stranger.http.cookies.set(signer.cookie_name(), session.token(), path="/api")
    assert stranger.get("/api/images/1").status_code == 401


@pytest.mark.parametrize(
    ("purpose", "life_s"), [("token", TOKEN_LIFE_S), ("cookie", COOKIE_LIFE_S)]
)
def test_signatures_run_out(purpose: str, life_s: int, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = Signer(b"secret")
    text = getattr(signer, purpose)(7)
    read = getattr(signer, f"read_{purpose}")
    assert read(text) == 7
    later_s = time.time() + life_s + 5
    monkeypatch.setattr(time, "time", lambda: later_s)
    assert read(text) is None


def test_signed_text_of_another_kind_is_refused() -> None:
    text = URLSafeTimedSerializer(b"secret", salt="anneal.token").dumps({"member": 1})
    assert Signer(b"secret").read_token(text) is None


def test_a_member_who_left_is_refused_at_the_next_request(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.post("/api/pairs", json={"count": 1}).status_code == 200
    monkeypatch.setattr(session, "find_member", lambda member_id: None)
    assert client.post("/api/pairs", json={"count": 1}).status_code == 403
    assert client.get("/api/images/1").status_code == 403


# --- checks ---


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://127.0.0.1:9999", "null", "", "file://127.0.0.1:8501"]
)
@pytest.mark.parametrize("path", ["/api/session", "/api/pairs", "/api/answers"])
def test_writes_from_another_origin_are_refused(client: Client, path: str, origin: str) -> None:
    reply = client.post(path, json={"count": 1}, headers={"Origin": origin})
    assert reply.status_code == 403


def test_a_write_without_an_origin_is_refused(client: Client) -> None:
    del client.http.headers["Origin"]
    assert client.post("/api/pairs", json={"count": 1}).status_code == 403


@pytest.mark.parametrize("path", ["/api/health", "/api/images/1"])
def test_a_name_that_is_not_ours_is_refused(client: Client, path: str) -> None:
    """An address that another site points at this machine must not reach the routes."""
    assert client.get(path, headers={"Host": "evil.example"}).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost:8501", "localhost", "[::1]:8501"])
def test_every_port_of_this_machine_is_served(client: Client, host: str) -> None:
    own = {"Host": host, "Origin": f"http://{host}"}
    assert client.get("/api/health", headers=own).status_code == 200


def test_a_form_is_refused(client: Client) -> None:
    reply = client.post("/api/pairs", data={"count": "1"})
    assert reply.status_code == 415
    plain = {"Content-Type": "text/plain"}
    assert client.post("/api/pairs", content='{"count": 1}', headers=plain).status_code == 415


def test_a_body_that_is_too_large_is_refused(client: Client) -> None:
    body = b'{"count": 1, "held": [' + b" " * BODY_LIMIT_BYTES + b"]}"
    reply = client.post("/api/pairs", content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 413


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "resolution"},
        {"kind": "SIMILAR"},
        {"key": "short"},
        {"key": "x" * 65},
        {"key": "<script>alert(1)</script>"},
        {"a": -1},
        {"a": 2**63},
        {"a": "1; DROP TABLE event"},
        {"answer_ms": -5},
        {"shown_at": "yesterday"},
        {"answered_at": "2026-01-31T12:00:00"},
        {"answered_at": "0001-01-01T00:00:00+14:00"},
        {"extra": 1},
    ],
    ids=str,
)
def test_an_answer_that_is_not_of_the_form_is_refused(
    client: Client, asked: dict[str, Any], change: dict[str, Any]
) -> None:
    body = {"answers": [{**an_answer(asked, "malformed-1"), **change}]}
    reply = client.post("/api/answers", json=body)
    assert reply.status_code == 422
    assert reply.json()["message"]


def test_a_pair_of_one_image_with_itself_is_refused(client: Client, asked: dict[str, Any]) -> None:
    body = {"answers": [{**an_answer(asked, "same-same-1"), "b": asked["a"]}]}
    assert client.post("/api/answers", json=body).status_code == 422


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '{"count": -1}', '{"count": 51}'])
def test_a_body_that_is_not_of_the_form_is_refused(client: Client, body: str) -> None:
    reply = client.post("/api/pairs", content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 422


def test_an_unknown_route_is_not_found_in_json(client: Client) -> None:
    reply = client.get("/api/images/../secret")
    assert reply.status_code == 404
    assert "message" in client.get("/api/nonsense").json()


# --- images ---


def test_an_image_is_a_jpeg_that_browsers_may_keep(client: Client, asked: dict[str, Any]) -> None:
    version = session.signer().fingerprint()
    reply = client.get(f"/api/images/{asked['a']}?size=512&v={version}")
    assert reply.content.startswith(b"\xff\xd8")
    assert reply.headers["content-type"] == "image/jpeg"
    assert reply.headers["cache-control"] == "private, max-age=31536000, immutable"
    etag = reply.headers["etag"]
    again = client.get(f"/api/images/{asked['a']}?size=512", headers={"If-None-Match": etag})
    assert again.status_code == 304
    assert again.content == b""


def test_an_image_address_without_the_projects_version_is_asked_for_again(
    client: Client, asked: dict[str, Any]
) -> None:
    """Another project at the same address has other images under the same ids."""
    reply = client.get(f"/api/images/{asked['a']}?size=256&v=other")
    assert reply.headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize("image_id", ["999999", "0", "9" * 30, "-1", "1.5", "abc", "%2e%2e", "1e3"])
def test_an_image_that_is_not_there_is_not_found(client: Client, image_id: str) -> None:
    assert client.get(f"/api/images/{image_id}").status_code == 404


@pytest.mark.parametrize("size", ["0", "513", "100000", "-256", "256.0", "big", "٢٥٦"])
def test_sizes_that_are_not_offered_are_refused(
    client: Client, asked: dict[str, Any], size: str
) -> None:
    assert client.get(f"/api/images/{asked['a']}", params={"size": size}).status_code == 422


# --- pairs and answers ---


def test_held_pairs_are_not_given_again(client: Client) -> None:
    first = client.post("/api/pairs", json={"count": 5}).json()
    held = [given["proposal_id"] for given in first["pairs"]]
    second = client.post("/api/pairs", json={"count": 5, "held": held}).json()
    assert not set(held) & {given["proposal_id"] for given in second["pairs"]}
    assert second["progress"]["total"] == first["progress"]["total"]


def test_an_answer_is_stored_as_the_browser_saw_it(
    client: Client, asked: dict[str, Any], served_project: Project
) -> None:
    reply = client.post("/api/answers", json={"answers": [an_answer(asked, "first-answer")]})
    (receipt,) = reply.json()["receipts"]
    assert (receipt["key"], receipt["status"]) == ("first-answer", "stored")
    (event,) = stored(served_project, "first-answer")
    assert event.kind is Kind.SIMILAR
    assert event.pair == pair(asked["a"], asked["b"])
    assert event.shown_at == "2026-01-31T12:00:00.000+00:00"
    assert event.answered_at == "2026-01-31T12:00:01.250+00:00"
    assert event.answer_ms == 1250


def test_the_same_answer_sent_again_changes_nothing(
    client: Client, asked: dict[str, Any], served_project: Project
) -> None:
    body = {"answers": [an_answer(asked, "twice-sent-1")]}
    first = client.post("/api/answers", json=body).json()
    second = client.post("/api/answers", json=body).json()
    assert [reply["receipts"][0]["status"] for reply in (first, second)] == ["stored", "repeated"]
    assert second["progress"] == first["progress"]
    assert len(stored(served_project, "twice-sent-1")) == 1


def test_an_answer_and_its_undo_in_one_request_leave_the_question_open(
    client: Client, asked: dict[str, Any]
) -> None:
    before = client.post("/api/pairs", json={"count": 1}).json()["progress"]["answered"]
    undo = {**an_answer(asked, "undo-of-it-1", "void"), "refers_to_key": "to-be-undone"}
    body = {"answers": [an_answer(asked, "to-be-undone"), undo]}
    reply = client.post("/api/answers", json=body).json()
    assert [receipt["status"] for receipt in reply["receipts"]] == ["stored", "stored"]
    assert reply["progress"]["answered"] == before


def test_an_answer_that_cannot_be_stored_leaves_the_others_alone(
    client: Client, asked: dict[str, Any]
) -> None:
    unknown = {**an_answer(asked, "unknown-image"), "a": 10**9, "proposal_id": None}
    body = {"answers": [unknown, an_answer(asked, "known-images")]}
    receipts = client.post("/api/answers", json=body).json()["receipts"]
    assert [receipt["status"] for receipt in receipts] == ["rejected", "stored"]
    assert receipts[0]["message"]


def test_a_store_that_cannot_write_is_said_with_a_hint(
    client: Client, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(project: Project, parcels: list[Any]) -> list[list[Receipt]]:
        raise StoreError("The disk is full.", "Free some space.")

    monkeypatch.setattr(writer, "submit_parcels", fail)
    reply = client.post("/api/answers", json={"answers": [an_answer(asked, "disk-is-full")]})
    assert reply.status_code == 503
    assert reply.json() == {"message": "The disk is full.", "hint": "Free some space."}


def test_health_says_why_there_is_nothing_to_serve(
    stranger: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    assert stranger.get("/api/health").json() == {"status": "ok"}
    monkeypatch.setenv("ANNEAL_PROJECT", str(tmp_path / "nothing"))
    reply = stranger.get("/api/health")
    assert reply.status_code == 503
    assert "init" in reply.json()["hint"]


# --- chains ---


@pytest.fixture
def fresh_project(make_project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of its own, whose pairs nobody has answered."""
    made = make_project(each=2)
    monkeypatch.setenv("ANNEAL_PROJECT", str(made.folder))
    return made


def test_the_next_of_a_chain_comes_with_the_request_after_the_answer(
    client: Client, fresh_project: Project
) -> None:
    assert client.post("/api/session", json={"token": session.token()}).status_code == 204
    one, other = ([pair(x, y) for y in (3, 4, 5)] for x in (1, 2))
    stage.ask_chains(fresh_project, 2, [one, other])

    def ask(count: int, held: list[int]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        reply = client.post("/api/pairs", json={"count": count, "held": held}).json()
        return reply["pairs"], reply["progress"]

    def say(asked: dict[str, Any], kind: str, key: str) -> dict[str, Any]:
        reply = client.post("/api/answers", json={"answers": [an_answer(asked, key, kind)]})
        found: dict[str, Any] = reply.json()["progress"]
        return found

    first, progress = ask(9, [])
    assert [(each["a"], each["b"]) for each in first] == [one[0], other[0]]
    assert (progress["open"], progress["leased"], progress["target"]) == (0, 2, 6)
    assert say(first[0], "dissimilar", "chain-no")["total"] == 3
    (follow_up,), _ = ask(9, [first[1]["proposal_id"]])
    assert (follow_up["a"], follow_up["b"]) == one[1]
    progress = say(follow_up, "similar", "chain-yes")
    assert (progress["answered"], progress["total"], progress["target"]) == (2, 3, 5)
    assert ask(9, [first[1]["proposal_id"]])[0] == []


def test_pairs_that_others_have_answered_meanwhile_are_taken_back(
    client: Client, fresh_project: Project
) -> None:
    assert client.post("/api/session", json={"token": session.token()}).status_code == 204
    stage.ask_chains(fresh_project, 2, [[pair(1, y) for y in (3, 4)], [pair(2, 3)]])
    first = client.post("/api/pairs", json={"count": 5}).json()
    held = [each["proposal_id"] for each in first["pairs"]]
    assert first["settled"] == []
    stage.answer_pair(fresh_project, 3, 5, Kind.SIMILAR)
    stage.answer_pair(fresh_project, 1, 5, Kind.DISSIMILAR)
    second = client.post("/api/pairs", json={"count": 5, "held": held}).json()
    assert second["settled"] == held[:1]
    assert [(each["a"], each["b"]) for each in second["pairs"]] == [(1, 4)]


# --- several people in one browser ---


def as_member(client: Client, name: str) -> Member:
    """Give the browser's session to an annotator of that name."""
    joined = members.join(session.project(), name)
    token = session.signer().token(joined.member_id)
    assert client.post("/api/session", json={"token": token}).status_code == 204
    return joined


def test_a_tab_of_somebody_else_is_told_to_sign_in_anew_and_stores_nothing(
    client: Client, asked: dict[str, Any]
) -> None:
    before = answers.last_event_id(session.project().store.reader())
    owner = session.member()
    as_member(client, "ann")
    message = {"member": owner.member_id, "answers": [an_answer(asked, "of-the-owner-1")]}
    for path, body in (("answers", message), ("pairs", {"member": owner.member_id, "count": 1})):
        assert client.post(f"/api/{path}", json=body).status_code == 401
    assert answers.last_event_id(session.project().store.reader()) == before
    client.post("/api/session", json={"token": session.token()})
    assert client.post("/api/answers", json=message).status_code == 200


@pytest.mark.parametrize("leads", [True, False])
def test_annotators_do_not_learn_that_others_disagree(client: Client, leads: bool) -> None:
    project = session.project()
    a, b, c = (each.image_id for each in stage.training_images(project)[-3:])
    if not leads:
        as_member(client, "bob")
    said = [(a, b, "similar"), (b, c, "similar"), (a, c, "dissimilar")]
    new = [
        {"key": f"{leads}-{first}-{second}", "kind": kind, "a": first, "b": second}
        for first, second, kind in said
    ]
    reply = client.post("/api/answers", json={"answers": new}).json()
    for each in new:
        labels.take_back(project, session.member(), str(each["key"]))
    assert [each["status"] for each in reply["receipts"]] == ["stored"] * 3
    assert reply["receipts"][-1]["conflict"] is leads


# --- flags and grids ---


def test_flags_are_stored_and_taken_back_in_their_order(client: Client) -> None:
    flag = {"key": "flag-of-a-pair", "kind": "flag", "a": 2, "b": 1, "note": "clouds"}
    undo = {"key": "undo-of-a-flag", "kind": "unflag", "a": 2, "refers_to_key": "flag-of-a-pair"}
    image = {"key": "flag-of-an-image", "kind": "flag", "a": 3}
    reply = client.post("/api/flags", json={"flags": [flag, undo, image, flag]})
    statuses = [each["status"] for each in reply.json()["receipts"]]
    assert statuses == ["stored", "stored", "stored", "repeated"]
    (left,) = flags.open_flags(session.project(), limit=9)
    assert left.image_ids == (3,)
    flags.deal_with(session.project(), session.member(), left.flag_id)


@pytest.mark.parametrize(
    "bad",
    [
        {"kind": "unflag", "a": 1},
        {"kind": "flag", "a": 1, "refers_to_key": "some-other-flag"},
        {"kind": "flag", "a": 1, "b": 1},
        {"kind": "flag", "a": 1, "note": "x" * 501},
    ],
    ids=["takes nothing back", "a flag that takes back", "one image twice", "long note"],
)
def test_flags_that_make_no_sense_are_refused(client: Client, bad: dict[str, Any]) -> None:
    reply = client.post("/api/flags", json={"flags": [{"key": "a-bad-flag", **bad}]})
    assert reply.status_code == 422
    assert flags.count_open(session.project()) == 0


def test_a_count_of_none_renews_leases_and_says_what_others_have(
    client: Client, fresh_project: Project
) -> None:
    assert client.post("/api/session", json={"token": session.token()}).status_code == 204
    first = client.post("/api/pairs", json={"count": 3}).json()["pairs"]
    held = [each["proposal_id"] for each in first]
    with fresh_project.store.transaction() as db:
        db.execute("UPDATE lease SET expires_at = '2020-01-01T00:00:00.000+00:00'")
    bob = members.join(fresh_project, "bob")
    (taken,) = next_questions(fresh_project, bob, count=1)
    reply = client.post("/api/pairs", json={"count": 0, "held": held}).json()
    assert (reply["pairs"], reply["settled"]) == ([], [taken.proposal_id])
    assert reply["progress"]["leased"] == 3


def test_grids_hold_the_questions_of_one_image(client: Client, fresh_project: Project) -> None:
    assert client.post("/api/session", json={"token": session.token()}).status_code == 204
    stage.ask_chains(fresh_project, 2, [[pair(9, y) for y in (1, 2, 3)], [pair(8, 1)]])
    grids = client.post("/api/grids", json={"count": 5}).json()["grids"]
    assert [(each["image"], each["chain"]) for each in grids] == [(9, True), (1, True)]
    answered = [
        an_answer(each, f"in-a-grid-{at}", "dissimilar")
        for at, each in enumerate(grids[0]["questions"])
    ]
    reply = client.post("/api/answers", json={"answers": answered}).json()
    assert [each["status"] for each in reply["receipts"]] == ["stored"] * 3
    assert reply["progress"]["answered"] == 3
