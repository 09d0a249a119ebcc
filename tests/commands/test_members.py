"""members and token, as people type them."""

from pathlib import Path

import pytest

from tests.commands.conftest import Run
from workflow import members
from workflow.project import open_project
from workflow.questions import next_questions


def test_members_come_change_and_leave(run: Run, project: Path) -> None:
    assert run("members", "add", "ann").out == "ann is annotator.\n"
    assert run("members", "add", "bob", "--role", "lead", "--json").json["role"] == "lead"
    assert run("members", "role", "ann", "lead", "--json").json["id"] == 2
    found = run("members", "--json").json["members"]
    assert [(each["name"], each["role"]) for each in found] == [
        ("owner", "owner"),
        ("ann", "lead"),
        ("bob", "lead"),
    ]
    assert run("members", "list", "--json").json["members"] == found
    assert "former member 2" in run("members", "remove", "ann").out
    assert [each["name"] for each in run("--json", "members").json["members"]] == ["owner", "bob"]
    (former,) = run("members", "list", "--former", "--json").json["members"]
    assert former["name"] == "former member 2"
    assert former["left_at"]


def test_pairs_on_screens_are_released(run: Run, project: Path) -> None:
    run("members", "add", "ann")
    opened = open_project(project)
    for name, count in (("ann", 3), ("owner", 2)):
        next_questions(opened, members.member_named(opened, name), count=count)
    opened.close()
    assert run("members", "release", "ann", "--json").json == {"released": 3}
    assert run("members", "release").out == "2 pairs are free for others.\n"
    assert run("members", "release").out == "Nothing was held.\n"


def test_who_signs_in_as_a_member_is_said_and_taken_back(run: Run, project: Path) -> None:
    run("members", "add", "ann")
    said = run("members", "sign-in", "ann", "--email", "Ann@Example.org")
    assert said.out == "ann@example.org signs in as ann.\n"
    run("members", "sign-in", "owner", "--issuer", "https://p.example", "--subject", "o-1")
    found = run("members", "--json").json["members"]
    known = [each["signs_in_as"] for each in found]
    assert known == ["o-1 of https://p.example", "ann@example.org"]
    assert "Nobody" in run("members", "sign-in", "ann", "--none").out
    assert run("members", "--json").json["members"][1]["signs_in_as"] is None


@pytest.mark.parametrize(
    "words",
    [
        ("members", "sign-in", "owner"),
        ("members", "sign-in", "owner", "--email", "nobody"),
        ("members", "sign-in", "owner", "--email", "a@b.org", "--none"),
        ("members", "sign-in", "owner", "--email", "a@b.org", "--subject", "x"),
        ("members", "sign-in", "owner", "--subject", "x"),
        ("members", "sign-in", "nobody", "--none"),
        ("members", "add", "owner"),
        ("members", "add", ""),
        ("members", "add", "ann", "--role", "boss"),
        ("members", "role", "nobody", "lead"),
        ("members", "role", "owner", "lead"),
        ("members", "remove", "owner"),
        ("members", "remove", "nobody"),
        ("members", "promote", "owner"),
        ("members", "release", "nobody"),
        ("token", "create"),
        ("token", "create", "x", "--days", "0"),
        ("token", "create", "x", "--member", "nobody"),
        ("token", "revoke", "7"),
        ("token", "revoke", "seven"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_explained_and_changes_nothing(
    run: Run, project: Path, words: tuple[str, ...]
) -> None:
    outcome = run(*words)
    assert outcome.status == 2
    assert outcome.err.strip()
    assert "Traceback" not in outcome.err
    assert len(run("members", "--json").json["members"]) == 1
    assert run("token", "--json").json["tokens"] == []


def test_a_token_is_shown_once(run: Run, project: Path) -> None:
    run("members", "add", "ann")
    made = run("token", "create", "nightly", "--member", "ann", "--days", "7", "--json").json
    assert made["token"].startswith("anneal_")
    assert (made["member"], made["role"], made["state"]) == ("ann", "annotator", "valid")
    for words in (("token",), ("token", "list"), ("token", "--json")):
        listed = run(*words).out
        assert "nightly" in listed
        assert made["token"] not in listed
    assert run("token", "revoke", made["id"], "--json").json["state"] == "revoked"
    assert run("token", "--json").json["tokens"][0]["state"] == "revoked"
