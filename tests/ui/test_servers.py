"""Real web processes: the example of the document against one, and two on one project."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.serving import served
from domain.members import Role
from labeling_store import answers
from tests.ui.client import an_answer
from ui.tokens import Signer
from workflow import members, tokens
from workflow.project import Project, local_owner
from workflow.questions import round_progress

DOCUMENT = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def other_address(project: Project) -> Iterator[str]:
    """A second web process on the same project."""
    with served(project.folder) as url:
        yield url


def token_of(project: Project, name: str, role: Role = Role.ANNOTATOR) -> str:
    owner = local_owner(project)
    member = members.add_member(project, owner, name, role)
    return tokens.create_token(project, owner, "test", member=member).text


def script_of(address: str, token: str) -> httpx.Client:
    return httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=30)


def work(client: httpx.Client, name: str, most: int) -> list[int]:
    """Answer so many questions one by one; their ids."""
    done: list[int] = []
    while len(done) < most:
        pairs = client.post("/api/pairs", json={"count": 2}).json()["pairs"]
        if not pairs:
            break
        new = [an_answer(each, f"{name}-{each['proposal_id']:06d}", "skip") for each in pairs]
        reply = client.post("/api/answers", json={"answers": new}).json()
        assert {each["status"] for each in reply["receipts"]} == {"stored"}
        done += [each["proposal_id"] for each in pairs]
    return done


def test_a_session_of_one_web_process_is_valid_in_the_other(
    project: Project, address: str, other_address: str
) -> None:
    token = Signer(project.secret()).token(local_owner(project).member_id)
    with httpx.Client() as browser:
        opened = browser.post(
            f"{address}/api/session", json={"token": token}, headers={"Origin": address}
        )
        assert opened.status_code == 204
        for url in (address, other_address):
            reply = browser.get(f"{url}/api/session")
            assert (reply.status_code, reply.json()["name"]) == (200, "owner")
            pairs = browser.post(f"{url}/api/pairs", json={"count": 1}, headers={"Origin": url})
            assert pairs.status_code == 200


def test_two_web_processes_give_no_pair_twice_and_lose_no_answer(
    project: Project, address: str, other_address: str
) -> None:
    names = ["ada", "ben", "cyd", "dan"]
    clients = [
        script_of(url, token_of(project, name))
        for name, url in zip(names, [address, other_address] * 2, strict=True)
    ]
    with ThreadPoolExecutor(len(names)) as people:
        done = list(people.map(work, clients, names, [12] * len(names)))
    asked = [number for each in done for number in each]
    assert len(asked) == len(set(asked)) == 48
    keys = {event.key for event in answers.events(project.store.reader())}
    expected = {f"{name}-{n:06d}" for name, each in zip(names, done, strict=True) for n in each}
    assert keys == expected
    for client in clients:
        client.close()


def test_a_role_taken_away_and_a_revoked_token_count_in_both_processes(
    project: Project, address: str, other_address: str
) -> None:
    token = token_of(project, "eve", Role.LEAD)
    clients = [script_of(url, token) for url in (address, other_address)]
    me = clients[0].get("/api/session").json()["member_id"]
    assert [client.get("/api/labels").status_code for client in clients] == [200, 200]
    members.set_role(project, local_owner(project), me, Role.ANNOTATOR)
    assert [client.get("/api/labels").status_code for client in clients] == [403, 403]
    (mine,) = [
        each
        for each in tokens.list_tokens(project, local_owner(project))
        if each.member.member_id == me
    ]
    tokens.revoke_token(project, local_owner(project), mine.token_id)
    assert [client.get("/api/session").status_code for client in clients] == [401, 401]
    for client in clients:
        client.close()


def test_the_example_of_the_document_answers_every_pair(
    make_project: Callable[..., Project], tmp_path: Path
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.S)
    (tmp_path / "example.py").write_text(example, encoding="utf-8")
    small = make_project(each=2)
    token = token_of(small, "counter")
    with served(small.folder) as address:
        environment: dict[str, Any] = {"ANNEAL_ADDRESS": address, "ANNEAL_TOKEN": token}
        ran = subprocess.run(
            [sys.executable, "-W", "error", str(tmp_path / "example.py")],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    progress = round_progress(small)
    assert progress is not None
    assert progress.open == progress.leased == 0
    assert progress.answered > 0
    given = list(answers.events(small.store.reader()))
    assert {event.member for event in given} == {"counter"}
    assert len({event.kind for event in given}) == 2
