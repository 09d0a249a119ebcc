"""The routes for scripts that look at a project as a whole: lists, exports, how far it is."""

import asyncio
import tempfile
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from starlette.background import BackgroundTask
from starlette.responses import FileResponse

from domain.errors import InputError
from domain.members import Member
from domain.pairs import Pair, pair
from ui import session
from ui.access import Refusal
from ui.endpoint import Call, Reply
from ui.serving import Threads
from ui.wire import LARGEST_ID, HealthReply, ProgressReply
from ui.wire_lists import (
    ExportQuery,
    ImageReply,
    ImagesQuery,
    ImagesReply,
    KnownPairsReply,
    KnownQuery,
    KnownReply,
    LabelReply,
    LabelsQuery,
    LabelsReply,
    RelationReply,
    RoundReply,
    RoundsQuery,
    RoundsReply,
    StatusReply,
    as_cursor,
    read_cursor,
)
from workflow import pages
from workflow.exchange import export_file
from workflow.questions import is_blind, round_progress
from workflow.status import standing

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
_WANTED = {"1": True, "0": False, "none": None}


class Lists:
    """Lists a page at a time; what takes long has a thread of its own, one at a time."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._slow = Threads(1, "slow")
        self._exporting = asyncio.Lock()

    async def health(self, _: Call) -> Reply:
        """Whether the app can serve its project."""
        return await self._threads.run(_health)

    async def status(self, call: Call) -> Reply:
        """How far the project is."""
        return await self._threads.run(_status, call.member)

    async def rounds(self, call: Call) -> Reply:
        """Rounds by ascending number."""
        return await self._threads.run(_rounds, call.query)

    async def images(self, call: Call) -> Reply:
        """Images by ascending id."""
        return await self._threads.run(_images, call.query)

    async def labels(self, call: Call) -> Reply:
        """Current labels by ascending pair."""
        return await self._threads.run(_labels, call.query)

    async def known(self, call: Call) -> Reply:
        """Known relations by ascending pair."""
        return await self._slow.run(_known, call.query)

    async def relation(self, call: Call) -> Reply:
        """What the answers say of two images."""
        ids = call.request.path_params
        return await self._threads.run(_relation, pair(ids["first"], ids["second"]))

    async def export(self, call: Call) -> Reply:
        """A file, whole: it is made before the first byte is sent."""
        if self._exporting.locked():
            raise Refusal(
                HTTPStatus.TOO_MANY_REQUESTS,
                "Another export is being made.",
                "Try again in a moment.",
                {"Retry-After": "5"},
            )
        async with self._exporting:
            made = await self._slow.run(_export, call.query)
        return FileResponse(
            made.path,
            media_type=MEDIA_TYPES[made.path.suffix[1:]],
            filename=made.path.name,
            headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
            background=BackgroundTask(made.folder.cleanup),
        )


@dataclass(frozen=True)
class _Made:
    path: Path
    folder: tempfile.TemporaryDirectory[str]


def _health() -> HealthReply:
    round_progress(session.project())
    return HealthReply()


def _status(member: Member) -> StatusReply:
    project = session.project()
    found = standing(project)
    return StatusReply(
        progress=ProgressReply.of(found.round),
        bits=found.effort.bits,
        answers=found.effort.answers,
        conflicts=None if is_blind(project, member) else found.conflicts,
        model=None if found.active_run is None else found.active_run.name,
        job=None if found.running_job is None else found.running_job.kind,
        worker_alive=found.worker_alive,
    )


def _rounds(query: RoundsQuery) -> RoundsReply:
    page = pages.round_page(session.project(), after=query.cursor, limit=query.limit)
    return RoundsReply(rounds=[RoundReply.of(row) for row in page.items], next=page.next)


def _images(query: ImagesQuery) -> ImagesReply:
    project = session.project()
    page = pages.image_page(project, after=query.cursor, limit=query.limit, part=query.part)
    return ImagesReply(images=[ImageReply.of(image) for image in page.items], next=page.next)


def _labels(query: LabelsQuery) -> LabelsReply:
    page = pages.label_page(
        session.project(),
        after=read_cursor(query.cursor),
        limit=query.limit,
        image_id=query.image,
    )
    labels = [LabelReply.of(label) for label in page.items]
    if query.similar is not None:
        labels = [label for label in labels if label.similar is _WANTED[query.similar]]
    return LabelsReply(labels=labels, next=as_cursor(page.next))


def _known(query: KnownQuery) -> KnownPairsReply:
    page = pages.known_page(
        session.known_by_pair(), after=read_cursor(query.cursor), limit=query.limit
    )
    return KnownPairsReply(
        known=[KnownReply.of(known) for known in page.items], next=as_cursor(page.next)
    )


def _relation(asked: Pair) -> RelationReply:
    project = session.project()
    for image_id in asked:
        if image_id > LARGEST_ID or not pages.has_image(project, image_id):
            raise Refusal(HTTPStatus.NOT_FOUND, f"There is no image {image_id}.")
    return RelationReply.of(asked, pages.explanation(project, asked))


def _export(query: ExportQuery) -> _Made:
    folder = tempfile.TemporaryDirectory(prefix="anneal-export-")
    path = Path(folder.name) / f"{query.what}.{query.format}"
    try:
        export_file(session.project(), path, what=query.what, fmt=query.format)
    except InputError as error:  # of the file, which is ours: the query was checked
        folder.cleanup()
        hint = "Make room where this computer keeps temporary files."
        raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, error.message, hint) from error
    except BaseException:
        folder.cleanup()
        raise
    return _Made(path, folder)
