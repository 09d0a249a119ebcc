"""A client of the own routes, without a browser and without a server."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
from starlette.applications import Starlette

from ui.routes import api_routes

HOST = "http://127.0.0.1:8501"


class Client:
    """Sends requests and keeps cookies; as the app's own page, unless other headers are given."""

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        self.runner = asyncio.Runner()
        transport = httpx.ASGITransport(Starlette(routes=api_routes()))
        sent = {"Origin": HOST} if headers is None else headers
        self.http = httpx.AsyncClient(transport=transport, base_url=HOST, headers=sent)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.runner.run(self.http.get(path, **more))

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.runner.run(self.http.post(path, **more))

    def close(self) -> None:
        self.runner.run(self.http.aclose())
        self.runner.close()


def an_answer(asked: dict[str, Any], key: str, kind: str = "similar") -> dict[str, Any]:
    """An answer to a pair that the routes gave."""
    ids = {name: asked[name] for name in ("a", "b", "proposal_id", "round_id", "model", "reason")}
    times = {"shown_at": "2026-01-31T12:00:00.000Z", "answered_at": "2026-01-31T12:00:01.250Z"}
    return {"key": key, "kind": kind, "answer_ms": 1250, **ids, **times}
