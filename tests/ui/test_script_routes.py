"""What scripts do with a token: the annotator's loop, lists page by page, exports."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from domain.answers import Kind
from domain.errors import InputError
from domain.flags import NewFlag
from domain.images import Part
from domain.members import Role
from domain.pairs import pair
from labeling_store import answers, images, relations
from tests.ui import stage
from tests.ui.client import Client, an_answer
from ui import lists
from workflow import conflicts, exchange, flags, members
from workflow.project import Project, local_owner

Script = Callable[..., Client]


@pytest.fixture(scope="module")
def labelled(make_project: Callable[..., Project]) -> Project:
    """A project of 44 images with 40 labels, a skip, a pair taken back, a flag and a model."""
    made = make_project()
    stage.answer_questions(made, 40, unsure=2)
    one, other, third = stage.one_kind(made, 3)
    stage.answer_pair(made, one, other, Kind.SIMILAR)
    stage.answer_pair(made, other, third, Kind.SIMILAR)
    stage.add_model(made, 1, metrics={"map": 0.5}, bits=40)
    flags.submit_flags(made, local_owner(made), [NewFlag("flag-1", one, None, "clouds")])
    return made


@pytest.fixture
def served_labelled(labelled: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("ANNEAL_PROJECT", str(labelled.folder))
    return labelled


@pytest.fixture
def project(labelled: Project) -> Project:
    """The scripts of this module look at the labelled project."""
    return labelled


@pytest.fixture
def lead(script: Script) -> Client:
    return script(Role.LEAD)


def everything(client: Client, path: str, name: str, **query: Any) -> list[dict[str, Any]]:
    """All pages of a list."""
    found: list[dict[str, Any]] = []
    while True:
        reply = client.get(path, params=query)
        assert reply.status_code == 200, reply.text
        found += reply.json()[name]
        if reply.json()["next"] is None:
            return found
        query["cursor"] = reply.json()["next"]


# --- the annotator's loop ---


def test_a_script_answers_as_its_member_without_an_origin(
    script: Script, served_project: Project
) -> None:
    client = script()
    me = client.get("/api/session").json()
    assert me["role"] == "annotator"
    (asked,) = client.post("/api/pairs", json={"count": 1}).json()["pairs"]
    assert client.get(f"/api/images/{asked['a']}?size=256").content.startswith(b"\xff\xd8")
    reply = client.post("/api/answers", json={"answers": [an_answer(asked, "by-script-1")]})
    assert reply.json()["receipts"][0]["status"] == "stored"
    event = answers.find_event(served_project.store.reader(), "by-script-1")
    assert event is not None
    assert event.member == me["name"]


def test_scripts_of_two_members_get_different_pairs(script: Script) -> None:
    first, second = script(), script()
    given = [
        {
            each["proposal_id"]
            for each in client.post("/api/pairs", json={"count": 5}).json()["pairs"]
        }
        for client in (first, second, first)
    ]
    assert len(given[0]) == 5
    assert not given[0] & given[1]
    assert given[0] == given[2]


def test_the_key_of_another_answer_is_rejected_and_the_rest_stored(script: Script) -> None:
    client = script()
    first, second = client.post("/api/pairs", json={"count": 2}).json()["pairs"]
    body = {"answers": [an_answer(first, "poor-key-1"), an_answer(second, "poor-key-1")]}
    reply = client.post("/api/answers", json=body)
    assert [each["status"] for each in reply.json()["receipts"]] == ["stored", "rejected"]


def test_progress_is_told_to_annotators_too(script: Script) -> None:
    found = script().get("/api/status").json()
    assert found["progress"]["answered"] >= 40
    assert (found["model"], found["worker_alive"]) == ("r001", False)


def test_only_who_is_not_blind_hears_how_many_conflicts_there_are(
    script: Script, lead: Client, project: Project
) -> None:
    assert script().get("/api/status").json()["conflicts"] is None
    expected = conflicts.count_open(project)
    assert lead.get("/api/status").json()["conflicts"] == expected


# --- lists ---


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_images_come_page_by_page_each_once(lead: Client, project: Project, limit: int) -> None:
    found = everything(lead, "/api/images", "images", limit=limit)
    records = images.list_images(project.store.reader())
    assert [(each["image_id"], each["path"], each["part"]) for each in found] == [
        (each.image_id, each.path, each.part.value) for each in records
    ]
    assert {(each["width_px"], each["height_px"]) for each in found} == {
        (each.width_px, each.height_px) for each in records
    }


def test_images_of_one_part(lead: Client, project: Project) -> None:
    found = everything(lead, "/api/images", "images", part="test", limit=3)
    assert found
    assert {each["part"] for each in found} == {"test"}


@pytest.mark.parametrize("limit", [1, 9, 1000])
def test_labels_come_page_by_page_as_the_store_has_them(
    lead: Client, project: Project, limit: int
) -> None:
    found = everything(lead, "/api/labels", "labels", limit=limit)
    labels = answers.pair_labels(project.store.reader())
    assert len(labels) >= 40
    assert [(each["a"], each["b"], each["similar"]) for each in found] == [
        (*each.pair, each.similar) for each in labels
    ]
    assert [each["members"] for each in found] == [list(each.members) for each in labels]
    assert [each["answered_at"] for each in found] == [each.answered_at for each in labels]


@pytest.mark.parametrize(("wanted", "similar"), [("1", True), ("0", False), ("none", None)])
def test_labels_of_one_kind(lead: Client, wanted: str, similar: bool | None) -> None:
    whole = everything(lead, "/api/labels", "labels")
    found = everything(lead, "/api/labels", "labels", similar=wanted, limit=5)
    assert found == [each for each in whole if each["similar"] is similar]
    assert found


def test_labels_of_one_image(lead: Client, project: Project) -> None:
    image = stage.one_kind(project, 2)[1]
    whole = everything(lead, "/api/labels", "labels")
    found = everything(lead, "/api/labels", "labels", image=image, limit=1)
    assert found == [each for each in whole if image in (each["a"], each["b"])]
    assert len(found) >= 2


def test_what_was_taken_back_is_no_label(lead: Client, project: Project) -> None:
    taken = pair(*stage.one_kind(project, 5)[3:5])
    before = everything(lead, "/api/labels", "labels", image=taken.a)
    receipt = stage.answer_pair(project, *taken, Kind.SIMILAR)
    assert len(everything(lead, "/api/labels", "labels", image=taken.a)) >= len(before)
    stage.take_back(project, receipt.key)
    assert everything(lead, "/api/labels", "labels", image=taken.a) == before


@pytest.mark.parametrize("limit", [3, 10_000])
def test_known_pairs_are_those_of_the_closure(lead: Client, project: Project, limit: int) -> None:
    found = everything(lead, "/api/known", "known", limit=limit)
    known = relations.known_relations(project.store, project.config.propagation)
    assert {(each["a"], each["b"]): each["similar"] for each in found} == {
        each.pair: each.similar for each in known
    }
    assert any(each["implied"] for each in found)
    assert lead.get(f"/api/known?limit={len(found)}").json()["next"] is None
    assert [(each["a"], each["b"]) for each in found] == sorted(each.pair for each in known)


def test_known_pairs_follow_the_next_answer(lead: Client, project: Project) -> None:
    before = everything(lead, "/api/known", "known", limit=10_000)
    new = pair(*stage.one_kind(project, 7)[5:7])
    receipt = stage.answer_pair(project, *new, Kind.SIMILAR)
    after = everything(lead, "/api/known", "known", limit=10_000)
    assert [*new] in [[each["a"], each["b"]] for each in after]
    stage.take_back(project, receipt.key)
    assert everything(lead, "/api/known", "known", limit=10_000) == before


def test_a_relation_comes_with_the_answers_that_prove_it(lead: Client, project: Project) -> None:
    one, other, third = stage.one_kind(project, 3)
    implied = lead.get(f"/api/known/{third}/{one}").json()
    assert (implied["similar"], implied["implied"]) == (True, True)
    assert (implied["a"], implied["b"]) == pair(one, third)
    assert sorted(map(tuple, implied["proof"])) == sorted([pair(one, other), pair(other, third)])
    answered = lead.get(f"/api/known/{one}/{other}").json()
    assert (answered["implied"], answered["proof"]) == (False, [[*pair(one, other)]])
    assert (implied["trusted"], answered["trusted"]) == (True, True)


def test_a_relation_is_not_trusted_where_answers_are_wrong_too_often_for_its_proof(
    lead: Client, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _, third = stage.one_kind(project, 3)
    monkeypatch.setattr(relations, "trusted_proof", lambda repeats: 1)
    implied = lead.get(f"/api/known/{one}/{third}").json()
    assert (implied["similar"], implied["trusted"]) == (True, False)
    assert len(implied["proof"]) == 2


def test_a_relation_that_nobody_knows_is_null(lead: Client, project: Project) -> None:
    records = images.list_images(project.store.reader())
    unseen = [each.image_id for each in records if each.part is not Part.TRAIN][:2]
    found = lead.get(f"/api/known/{unseen[0]}/{unseen[1]}").json()
    assert (found["similar"], found["proof"]) == (None, [])


def test_a_relation_needs_two_images_of_the_catalogue(lead: Client) -> None:
    assert lead.get("/api/known/1/1").status_code == 422
    assert lead.get("/api/known/1/999999").status_code == 404
    assert lead.get(f"/api/known/{10**30}/1").status_code == 404


def test_rounds_come_with_their_models(lead: Client) -> None:
    (found,) = everything(lead, "/api/rounds", "rounds", limit=1)
    assert (found["number"], found["model"], found["metrics"]) == (1, "r001", {"map": 0.5})
    assert found["answered"] >= 40


# --- exports ---


def rows_of(content: bytes, fmt: str) -> list[dict[str, Any]]:
    if fmt == "csv":
        return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    if fmt == "jsonl":
        return [json.loads(line) for line in content.decode().splitlines()]
    found: list[dict[str, Any]] = pq.read_table(io.BytesIO(content)).to_pylist()
    return found


@pytest.mark.parametrize("fmt", exchange.FORMATS)
@pytest.mark.parametrize("what", exchange.WHATS)
def test_an_export_is_the_file_that_the_command_writes(
    lead: Client, project: Project, tmp_path: Path, what: exchange.What, fmt: exchange.Format
) -> None:
    reply = lead.get(f"/api/export?what={what}&format={fmt}")
    assert reply.status_code == 200
    exchange.export_file(project, tmp_path / f"x.{fmt}", what=what, fmt=fmt)
    expected = rows_of((tmp_path / f"x.{fmt}").read_bytes(), fmt)
    assert rows_of(reply.content, fmt) == expected
    assert len(expected) >= (1 if what == "flags" else 40)
    assert f'filename="{what}.{fmt}"' in reply.headers["content-disposition"]


def test_an_export_leaves_no_file_behind(
    lead: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert lead.get("/api/export").status_code == 200
    assert list(tmp_path.iterdir()) == []

    def fail(error: Exception) -> None:
        raise error

    full = InputError("answers.csv cannot be written: No space left on device.")
    monkeypatch.setattr(lists, "export_file", lambda *_, **__: fail(full))
    assert lead.get("/api/export").status_code == 503
    monkeypatch.setattr(lists, "export_file", lambda *_, **__: fail(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        lead.get("/api/export")
    assert list(tmp_path.iterdir()) == []


def test_one_export_is_made_at_a_time(lead: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncio.Lock.locked", lambda lock: True)
    reply = lead.get("/api/export")
    assert reply.status_code == 429
    assert reply.headers["retry-after"]


# --- roles ---


@pytest.mark.parametrize(
    "path", ["/api/images", "/api/labels", "/api/known", "/api/export", "/api/rounds"]
)
def test_what_others_said_and_file_names_are_for_leads(
    script: Script, stranger: Client, path: str
) -> None:
    refused = script(Role.ANNOTATOR).get(path)
    assert refused.status_code == 403
    assert "Only a lead" in refused.json()["message"]
    assert script(Role.OWNER).get(path).status_code == 200
    assert stranger.get(path).status_code == 401


def test_a_role_counts_from_the_next_request_on(script: Script, project: Project) -> None:
    client = script(Role.LEAD)
    me = client.get("/api/session").json()["member_id"]
    assert client.get("/api/labels").status_code == 200
    members.set_role(project, local_owner(project), me, Role.ANNOTATOR)
    assert client.get("/api/labels").status_code == 403
    members.remove_member(project, local_owner(project), me)
    assert client.get("/api/session").status_code == 401


@pytest.mark.parametrize(
    "address",
    [
        "/api/images?limit=0",
        "/api/images?limit=1001",
        "/api/images?limit=1_0",
        "/api/images?limit=10.0",
        "/api/images?limit=%2B5",
        "/api/images?cursor=-1",
        "/api/images?cursor=99999999999999999999",
        "/api/images?part=all",
        "/api/images?unknown=1",
        "/api/images?limit=1&limit=2",
        "/api/labels?cursor=1",
        "/api/labels?cursor=1-2-3",
        "/api/labels?cursor=1-2%0A",
        "/api/labels?similar=true",
        "/api/labels?image=x",
        "/api/known?limit=10001",
        "/api/export?what=everything",
        "/api/export?format=../../etc/passwd",
        "/api/rounds?cursor=x",
    ],
)
def test_an_address_that_does_not_fit_the_description_is_refused(
    lead: Client, address: str
) -> None:
    reply = lead.get(address)
    assert reply.status_code == 422
    assert reply.json()["message"]


def test_a_cursor_beyond_the_end_gives_an_empty_last_page(lead: Client) -> None:
    for path, name, cursor in [
        ("/api/images", "images", 2**63 - 1),
        ("/api/labels", "labels", f"{10**18 - 1}-0"),
        ("/api/known", "known", f"{10**18 - 1}-0"),
        ("/api/rounds", "rounds", 99),
    ]:
        assert lead.get(path, params={"cursor": cursor}).json() == {name: [], "next": None}
