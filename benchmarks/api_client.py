"""A person at the annotate page without the browser: the same requests, nothing on a screen."""

import json
from http.client import HTTPConnection
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from domain.answers import Kind
from domain.members import Member
from ui.tokens import Signer
from workflow.project import Project

TIMEOUT_S = 60.0
OK, NO_CONTENT = 200, 204


class Refused(Exception):
    """The server answered with an error."""


class Person:
    """One member's requests, over one connection that is kept open."""

    def __init__(self, address: str, project: Project, member: Member) -> None:
        """Sign in.

        Raises:
            OSError, http.client.HTTPException: the server cannot be reached.
            Refused: it does not let the member in.
        """
        self._host = urlsplit(address).netloc
        self._connection = HTTPConnection(self._host, timeout=TIMEOUT_S)
        self._headers = {"Content-Type": "application/json", "Origin": address}
        signer = Signer(project.secret())
        self._post("/api/session", {"token": signer.token(member.member_id)})
        self._headers["Cookie"] = f"{signer.cookie_name()}={signer.cookie(member.member_id)}"

    def __enter__(self) -> "Person":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def questions(self, count: int, held: list[int]) -> list[dict[str, Any]]:
        """Further questions, and the leases of the held ones renewed."""
        found: list[dict[str, Any]] = self._post("/api/pairs", {"count": count, "held": held})[
            "pairs"
        ]
        return found

    def answer(self, given: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The receipts of answers, once they are durable."""
        receipts: list[dict[str, Any]] = self._post("/api/answers", {"answers": given})["receipts"]
        return receipts

    def _post(self, path: str, message: dict[str, Any]) -> dict[str, Any]:
        self._connection.request("POST", path, json.dumps(message), self._headers)
        reply = self._connection.getresponse()
        body = reply.read()
        if reply.status not in (OK, NO_CONTENT):
            raise Refused(f"{path}: {reply.status} {body.decode(errors='replace')[:500]}")
        return json.loads(body) if body else {}


def answer_to(question: dict[str, Any], key: str, kind: Kind) -> dict[str, Any]:
    """An answer as the page sends it."""
    named = ("a", "b", "proposal_id", "round_id", "model", "reason")
    return {"key": key, "kind": kind.value, "answer_ms": 800, **{n: question[n] for n in named}}
