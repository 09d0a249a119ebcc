"""The routes of the annotator's loop: session, questions, pictures, answers."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus

from starlette.responses import Response

from domain.members import Member
from ui import access, session
from ui.access import Refusal
from ui.endpoint import Call, Reply
from ui.serving import Threads
from ui.tokens import COOKIE_LIFE_S
from ui.wire import (
    LARGEST_ID,
    AnswersMessage,
    AnswersReply,
    GridReply,
    GridsReply,
    PairsMessage,
    PairsReply,
    ProgressReply,
    QuestionReply,
    ReceiptReply,
    SessionReply,
    TokenMessage,
)
from ui.wire_flags import FlagsMessage, FlagsReply
from ui.wire_lists import PictureQuery
from ui.writer import AnswerWriter
from workflow.flags import submit_flags
from workflow.grids import next_grids
from workflow.pictures import picture
from workflow.project import Project
from workflow.questions import drop_settled, is_blind, next_questions, round_progress

FOREVER = "private, max-age=31536000, immutable"
ASK_AGAIN = "private, no-cache"


class Annotating:
    """What the annotate page asks for between two key presses, and scripts that do the same."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._writer = AnswerWriter()

    async def open_session(self, call: Call) -> Reply:
        """Exchange the script's token for a cookie."""
        message: TokenMessage = call.body
        opened = await self._threads.run(_open_session, message.token)
        response = Response(status_code=HTTPStatus.NO_CONTENT)
        response.set_cookie(
            opened.cookie_name,
            opened.cookie,
            max_age=COOKIE_LIFE_S,
            path="/api",
            httponly=True,
            samesite="strict",
            secure=call.request.url.scheme == "https",
        )
        return response

    async def end_session(self, call: Call) -> Reply:
        """Take the cookie back; whose it was does not matter."""
        name = await self._threads.run(_cookie_name)
        response = Response(status_code=HTTPStatus.NO_CONTENT)
        response.delete_cookie(name, path="/api", httponly=True, samesite="strict")
        return response

    async def who(self, call: Call) -> Reply:
        """As whom the request acts."""
        return SessionReply.of(call.member)

    async def pairs(self, call: Call) -> Reply:
        """Further pairs for the member, those held in vain, and how far the round is."""
        return await self._threads.run(_pairs, call.member, call.body)

    async def grids(self, call: Call) -> Reply:
        """The same, several pairs about one image together."""
        return await self._threads.run(_grids, call.member, call.body)

    async def answers(self, call: Call) -> Reply:
        """Store answers; the receipts come after the commit."""
        message: AnswersMessage = call.body
        _check_is(call.member, message.member)
        new = [answer.as_answer() for answer in message.answers]
        project = session.project()
        stored = await asyncio.wrap_future(self._writer.submit(project, call.member, new))
        blind = is_blind(project, call.member)
        return AnswersReply(
            receipts=[ReceiptReply.of(receipt, blind=blind) for receipt in stored.receipts],
            progress=ProgressReply.of(stored.progress),
        )

    async def flags(self, call: Call) -> Reply:
        """Store flags; the receipts come after the commit."""
        message: FlagsMessage = call.body
        _check_is(call.member, message.member)
        new = [each.as_flag() for each in message.flags]
        receipts = await self._threads.run(submit_flags, session.project(), call.member, new)
        return FlagsReply(receipts=[ReceiptReply.of(each, blind=True) for each in receipts])

    async def image(self, call: Call) -> Reply:
        """A picture as JPEG."""
        query: PictureQuery = call.query
        wanted = _Wanted(
            image_id=int(call.request.path_params["image_id"]),
            size_px=query.size,
            version=query.v,
            known_etag=call.request.headers.get("if-none-match", ""),
        )
        return await self._threads.run(_image, wanted)


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
        raise Refusal(
            HTTPStatus.UNAUTHORIZED, "The token is not valid or too old.", "Reload the page."
        )
    access.standing(member_id)
    return _OpenedSession(signer.cookie_name(), signer.cookie(member_id))


def _cookie_name() -> str:
    return session.signer().cookie_name()


def _check_is(member: Member, wanted: int | None) -> None:
    """Two tabs of a browser share a cookie; each must answer as the person it was opened for."""
    if wanted is not None and wanted != member.member_id:
        raise Refusal(
            HTTPStatus.UNAUTHORIZED, "The session is somebody else's.", "Reload the page."
        )


def _looked_through(
    project: Project, member: Member, message: PairsMessage
) -> tuple[list[int], list[int]]:
    """Of the questions that the member holds, those held in vain, and the others."""
    settled = drop_settled(project, member, message.held)
    return settled, [each for each in message.held if each not in settled]


def _pairs(member: Member, message: PairsMessage) -> PairsReply:
    _check_is(member, message.member)
    project = session.project()
    settled, held = _looked_through(project, member, message)
    questions = next_questions(project, member, count=message.count, held=held)
    return PairsReply(
        pairs=[QuestionReply.of(question) for question in questions],
        settled=settled,
        progress=ProgressReply.of(round_progress(project)),
    )


def _grids(member: Member, message: PairsMessage) -> GridsReply:
    _check_is(member, message.member)
    project = session.project()
    settled, held = _looked_through(project, member, message)
    grids = next_grids(project, member, count=message.count, held=held)
    return GridsReply(
        grids=[GridReply.of(grid) for grid in grids],
        settled=settled,
        progress=ProgressReply.of(round_progress(project)),
    )


def _image(wanted: _Wanted) -> Response:
    path = None
    if wanted.image_id <= LARGEST_ID:
        path = picture(session.project(), wanted.image_id, wanted.size_px)
    if path is None:
        raise Refusal(HTTPStatus.NOT_FOUND, f"There is no image {wanted.image_id}.")
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
