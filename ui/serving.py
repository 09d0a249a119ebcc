"""From a request to a reply: checks in the right order, errors as JSON, JSON from models.

The order is host, machine, origin, credentials, role, rate, then the content: who may not come in
learns nothing about it.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPMethod, HTTPStatus
from typing import ParamSpec, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route

from domain.errors import AccessError, AnnealError, ArchiveError, DiskFullError, InputError
from domain.members import Member, require
from labeling_store.failures import in_words
from ui import access
from ui.access import Guesses, RateLimit, Refusal
from ui.endpoint import Call, Endpoint, Reply

BODY_LIMIT_BYTES = 256 * 1024
THREADS = 4  # each keeps a connection to the store; more would only wait for one another
_PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


def refused(error: Exception) -> Response:
    """An expected error as a reply; a bug is raised again."""
    refusal = _refusal(error)
    body = json.dumps({"message": refusal.message, "hint": refusal.hint})
    return _json(refusal.status, body, refusal.headers)


class Threads:
    """Where work is done that may block: never on the event loop."""

    def __init__(self, count: int = THREADS, name: str = "api") -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix=name)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the work gives, or the error that it raises."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(work, *args, **kwargs))


class Gate:
    """Lets requests in."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._script_rate = RateLimit(*access.SCRIPT_RATE)
        self._page_rate = RateLimit(*access.PAGE_RATE)
        self._guesses = Guesses()

    def routes(self, endpoints: Sequence[Endpoint]) -> list[BaseRoute]:
        """The endpoints as Starlette serves them, and a reply in JSON for every other address."""
        routes: list[BaseRoute] = [self._route(each) for each in endpoints]

        async def unknown(request: Request) -> Response:
            try:
                access.check_host(request)
                raise _unknown(request, routes)
            except Refusal as refusal:
                return refused(refusal)

        return [*routes, Route("/api/{rest:path}", unknown, methods=list(HTTPMethod))]

    def _route(self, endpoint: Endpoint) -> Route:
        path = endpoint.path.replace("}", ":int}")

        async def serve(request: Request) -> Response:
            try:
                return _response(endpoint, await self._reply(endpoint, request))
            except Exception as error:
                return refused(error)

        return Route(path, serve, methods=[endpoint.method], name=endpoint.name)

    async def _reply(self, endpoint: Endpoint, request: Request) -> Reply:
        access.check_host(request)
        access.check_near(request)
        proof = access.credentials(request)
        by_cookie = proof.bearer is None and endpoint.writes
        access.check_origin(request, needed=endpoint.own_page or by_cookie)
        sender = await self._sender(endpoint, proof, request.client.host if request.client else "")
        query = _query(request, endpoint.query) if endpoint.query else None
        body = await _body(request, endpoint.body) if endpoint.body else None
        return await endpoint.work(Call(request, sender, query, body))

    async def _sender(
        self, endpoint: Endpoint, proof: access.Credentials, machine: str
    ) -> Member | None:
        if endpoint.role is None:
            return None
        member = await self._proven(proof, machine)
        require(member, endpoint.role, to=_lower_first(endpoint.summary))
        rate = self._page_rate if proof.bearer is None else self._script_rate
        rate.count(member.member_id)
        return member

    async def _proven(self, proof: access.Credentials, machine: str) -> Member:
        if proof.bearer is None:
            return await self._threads.run(access.member_of, proof)
        self._guesses.check(machine, proof.bearer)
        try:
            member = await self._threads.run(access.member_of, proof)
        except Refusal:
            self._guesses.was_wrong(machine)
            raise
        self._guesses.was_right(proof.bearer)
        return member


def _unknown(request: Request, routes: Sequence[BaseRoute]) -> Refusal:
    allowed: set[str] = set()
    for route in routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE and isinstance(route, Route):
            allowed |= route.methods or set()
    path = request.url.path
    if allowed:
        methods = ", ".join(sorted(allowed))
        return Refusal(
            HTTPStatus.METHOD_NOT_ALLOWED,
            f"{path} is not for {request.method}.",
            f"Use {methods}.",
            {"Allow": methods},
        )
    return Refusal(
        HTTPStatus.NOT_FOUND, f"There is no {path}.", "/api/openapi.json lists what there is."
    )


def _query(request: Request, model: type[M]) -> M:
    """The address's parameters, checked; one that is given twice has no meaning."""
    given = request.query_params.multi_items()
    names = [name for name, _ in given]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, f"{twice[0]} is given more than once.")
    return _checked(model.model_validate, dict(given))


async def _body(request: Request, model: type[M]) -> M:
    """The request's JSON, checked."""
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body must be application/json.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The body is larger than {BODY_LIMIT_BYTES} bytes.",
                "Send fewer answers at once.",
            )
    return _checked(model.model_validate_json, bytes(body))


def _checked(check: Callable[[T], M], given: T) -> M:
    try:
        return check(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"]) or "body"
        raise Refusal(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"{place}: {first['msg']}.",
            "/api/openapi.json describes what is allowed.",
        ) from error


def _response(endpoint: Endpoint, reply: Reply) -> Response:
    if isinstance(reply, Response):
        return reply
    return _json(endpoint.status, reply.model_dump_json(), {})


def _refusal(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    # A database that cannot be read is no bug.
    said = error if isinstance(error, AnnealError) else in_words(error)
    if said is None:
        raise error
    return Refusal(_status(said), said.message, said.hint)


def _json(status: HTTPStatus, body: str, headers: Mapping[str, str]) -> Response:
    together = {**_PRIVATE, **headers}
    return Response(body, status, media_type="application/json", headers=together)


def _status(error: AnnealError) -> HTTPStatus:
    for kind, status in _STATUSES.items():
        if isinstance(error, kind):
            return status
    return HTTPStatus.SERVICE_UNAVAILABLE


_STATUSES: Mapping[type[AnnealError], HTTPStatus] = {
    InputError: HTTPStatus.UNPROCESSABLE_ENTITY,
    AccessError: HTTPStatus.FORBIDDEN,
    ArchiveError: HTTPStatus.GONE,
    DiskFullError: HTTPStatus.INSUFFICIENT_STORAGE,
}


def _lower_first(summary: str) -> str:
    return summary[:1].lower() + summary[1:].rstrip(".")
