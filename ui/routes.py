"""The own routes under /api: what the annotate page asks for between two key presses.

Streamlit's sign-in does not protect own routes, so each request proves itself: a signed cookie
names a member, who is looked up in the store again; writes also need JSON and the own origin.
Work that may block runs in threads, never on the event loop.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

import streamlit as st
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from domain.errors import AnnealError, ArchiveError, InputError
from domain.members import Member
from ui import session
from ui.tokens import COOKIE_LIFE_S
from ui.wire import (
    LARGEST_ID,
    AnswersMessage,
    PairsMessage,
    TokenMessage,
    progress_json,
    question_json,
    receipt_json,
)
from ui.writer import AnswerWriter
from workflow.pictures import picture
from workflow.questions import drop_settled, next_questions, round_progress

BODY_LIMIT_BYTES = 256 * 1024
THREADS = 4  # each keeps a connection to the store; more would only wait for one another
FOREVER = "private, max-age=31536000, immutable"
ASK_AGAIN = "private, no-cache"

P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
Handler = Callable[[Request], Awaitable[Response]]


class _Refusal(Exception):
    """A request that is answered with an error status."""

    def __init__(self, status: HTTPStatus, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint


def api_routes() -> list[BaseRoute]:
    """The routes of the annotate page, for `st.App(routes=…)`."""
    api = _Api()
    return [
        Route("/api/session", _answering_errors(api.open_session), methods=["POST"]),
        Route("/api/pairs", _answering_errors(api.pairs), methods=["POST"]),
        Route("/api/answers", _answering_errors(api.answers), methods=["POST"]),
        Route("/api/images/{image_id:int}", _answering_errors(api.image), methods=["GET"]),
        Route("/api/health", _answering_errors(api.health), methods=["GET"]),
        Route("/api/{rest:path}", _answering_errors(api.unknown)),
    ]


class _Api:
    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="api")
        self._writer = AnswerWriter()

    async def open_session(self, request: Request) -> Response:
        """Exchange the script's token for a cookie."""
        _check_own_origin(request)
        message = await _read(request, TokenMessage)
        opened = await self._in_thread(_open_session, message.token)
        response = Response(status_code=HTTPStatus.NO_CONTENT)
        response.set_cookie(
            opened.cookie_name,
            opened.cookie,
            max_age=COOKIE_LIFE_S,
            path="/api",
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    async def pairs(self, request: Request) -> Response:
        """Further pairs for the member, those held in vain, and how far the round is."""
        _check_own_origin(request)
        message = await _read(request, PairsMessage)
        return JSONResponse(await self._in_thread(_pairs, dict(request.cookies), message))

    async def answers(self, request: Request) -> Response:
        """Store answers; the receipts come after the commit."""
        _check_own_origin(request)
        message = await _read(request, AnswersMessage)
        member = await self._in_thread(_member, dict(request.cookies))
        new = [answer.as_answer() for answer in message.answers]
        project = session.project()
        receipts = await asyncio.wrap_future(self._writer.submit(project, member, new))
        progress = await self._in_thread(round_progress, project)
        return JSONResponse(
            {
                "receipts": [receipt_json(receipt) for receipt in receipts],
                "progress": progress_json(progress),
            }
        )

    async def image(self, request: Request) -> Response:
        """A picture as JPEG."""
        _check_host(request)
        image_id = int(request.path_params["image_id"])
        wanted = _Wanted(
            image_id=image_id,
            size_px=_size(request.query_params.get("size", "512")),
            version=request.query_params.get("v", ""),
            known_etag=request.headers.get("if-none-match", ""),
        )
        return await self._in_thread(_image, dict(request.cookies), wanted)

    async def health(self, request: Request) -> Response:
        """Whether the app can serve its project."""
        _check_host(request)
        await self._in_thread(_check_health)
        return JSONResponse({"status": "ok"})

    async def unknown(self, request: Request) -> Response:
        raise _Refusal(HTTPStatus.NOT_FOUND, f"There is no {request.url.path}.")

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(work, *args, **kwargs))


# --- work that may block -------------------------------------------------------------------


@dataclass(frozen=True)
class _OpenedSession:
    cookie_name: str
    cookie: str


@dataclass(frozen=True)
class _Wanted:
    image_id: int
    size_px: int
    version: str
    known_etag: str


def _open_session(token: str) -> _OpenedSession:
    signer = session.signer()
    member_id = signer.read_token(token)
    if member_id is None:
        raise _Refusal(
            HTTPStatus.UNAUTHORIZED, "The token is not valid or too old.", "Reload the page."
        )
    _known_member(member_id)
    return _OpenedSession(signer.cookie_name(), signer.cookie(member_id))


def _member(cookies: dict[str, str]) -> Member:
    """The member whom the cookie names, as the store knows them now."""
    signer = session.signer()
    member_id = signer.read_cookie(cookies.get(signer.cookie_name(), ""))
    if member_id is None:
        raise _Refusal(
            HTTPStatus.UNAUTHORIZED, "The session is missing or over.", "Reload the page."
        )
    return _known_member(member_id)


def _known_member(member_id: int) -> Member:
    member = session.find_member(member_id)
    if member is None:
        raise _Refusal(
            HTTPStatus.FORBIDDEN,
            "You are no member of this project any more.",
            "Ask its owner to add you again.",
        )
    return member


def _pairs(cookies: dict[str, str], message: PairsMessage) -> dict[str, object]:
    project = session.project()
    member = _member(cookies)
    settled = drop_settled(project, member, message.held)
    held = [each for each in message.held if each not in settled]
    questions = next_questions(project, member, count=message.count, held=held)
    return {
        "pairs": [question_json(question) for question in questions],
        "settled": settled,
        "progress": progress_json(round_progress(project)),
    }


def _image(cookies: dict[str, str], wanted: _Wanted) -> Response:
    _member(cookies)
    path = None
    if wanted.image_id <= LARGEST_ID:
        path = picture(session.project(), wanted.image_id, wanted.size_px)
    if path is None:
        raise _Refusal(HTTPStatus.NOT_FOUND, f"There is no image {wanted.image_id}.")
    status = path.stat()
    headers = {
        "ETag": f'"{status.st_mtime_ns:x}-{status.st_size:x}"',
        "Cache-Control": FOREVER if wanted.version == session.signer().fingerprint() else ASK_AGAIN,
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if wanted.known_etag == headers["ETag"]:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(path.read_bytes(), media_type="image/jpeg", headers=headers)


def _check_health() -> None:
    round_progress(session.project())


# --- checks --------------------------------------------------------------------------------


def _check_host(request: Request) -> None:
    """Refuse names that are not this app's, as Streamlit does for its own connection."""
    name = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    allowed = [str(host).lower() for host in st.get_option("server.allowedHosts")]
    if allowed and not any(_names(pattern, name) for pattern in allowed):
        raise _Refusal(
            HTTPStatus.FORBIDDEN,
            f"Host {name!r} is not served here.",
            "Add it to server.allowedHosts in .streamlit/config.toml.",
        )


def _names(pattern: str, name: str) -> bool:
    """Whether a line of `server.allowedHosts` covers a host name."""
    return pattern in ("*", name) or (pattern.startswith("*.") and name.endswith(pattern[1:]))


def _check_own_origin(request: Request) -> None:
    """Refuse writes that another site's page sends."""
    _check_host(request)
    origin = urlsplit(request.headers.get("origin", ""))
    if origin.scheme not in ("http", "https") or origin.netloc != request.headers.get("host"):
        raise _Refusal(
            HTTPStatus.FORBIDDEN,
            "This request does not come from the app's own page.",
            "Send it with the app's address as Origin.",
        )


def _size(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 5:
        raise InputError(f"size = {text[:20]!r}; must be a number of pixels.")
    return int(text)


async def _read(request: Request, model: type[M]) -> M:
    """The request's JSON, checked."""
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise _Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body must be application/json.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            raise _Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The body is larger than {BODY_LIMIT_BYTES} bytes.",
                "Send fewer answers at once.",
            )
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"]) or "body"
        raise _Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, f"{place}: {first['msg']}.") from error


def _answering_errors(handler: Handler) -> Handler:
    """A handler whose expected errors become JSON with a message and a hint."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except _Refusal as refusal:
            return _error(refusal.status, refusal.message, refusal.hint)
        except AnnealError as error:
            return _error(_status(error), error.message, error.hint)

    return answer


def _status(error: AnnealError) -> HTTPStatus:
    if isinstance(error, InputError):
        return HTTPStatus.UNPROCESSABLE_ENTITY
    if isinstance(error, ArchiveError):
        return HTTPStatus.GONE
    return HTTPStatus.SERVICE_UNAVAILABLE


def _error(status: HTTPStatus, message: str, hint: str) -> Response:
    body = json.dumps({"message": message, "hint": hint})
    return Response(
        body, status, media_type="application/json", headers={"Cache-Control": "no-store"}
    )
