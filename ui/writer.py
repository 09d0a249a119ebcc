"""One thread that stores answers: those that arrive together are committed together.

SQLite takes one writer at a time and a durable commit costs a flush of the disk; so the web
process has one writer, and people who answer in the same moment share a flush, and the counting of
how far their round is.
"""

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import groupby

from domain.answers import NewAnswer, Receipt
from domain.errors import AnnealError
from domain.members import Member
from workflow.project import Project
from workflow.questions import RoundProgress, round_progress, submit_parcels

MOST_PARCELS = 100  # stored in one go, so that nobody waits long for the lock


@dataclass(frozen=True)
class Stored:
    """What became of a request's answers, and how far the round was then."""

    receipts: list[Receipt]
    progress: RoundProgress | None


@dataclass(frozen=True)
class _Parcel:
    """What one request brought, and where the reply goes."""

    project: Project
    member: Member
    answers: Sequence[NewAnswer]
    reply: Future[Stored] = field(default_factory=Future)


class AnswerWriter:
    """Stores answers of all requests, in the order of their arrival."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[_Parcel | None] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(
        self, project: Project, member: Member, answers: Sequence[NewAnswer]
    ) -> Future[Stored]:
        """The receipts, once the answers are durable; or the error that kept them from it."""
        parcel = _Parcel(project, member, answers)
        self._waiting.put(parcel)
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="answers", daemon=True)
                self._thread.start()
        return parcel.reply

    def close(self) -> None:
        """Store what was submitted and end the thread."""
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        for parcels in self._batches():
            for parcel in parcels:
                # From here on the request cannot cancel it; where it has, its answers count too.
                parcel.reply.set_running_or_notify_cancel()
            for _, group in groupby(parcels, key=lambda parcel: parcel.project.folder):
                _store(list(group))

    def _batches(self) -> Iterator[list[_Parcel]]:
        """All that waits, as soon as anything does; ends at the mark that `close` sets."""
        while (first := self._waiting.get()) is not None:
            parcels = [first]
            closing = False
            while len(parcels) < MOST_PARCELS and not self._waiting.empty():
                parcel = self._waiting.get()
                if parcel is None:
                    closing = True
                    break
                parcels.append(parcel)
            yield parcels
            if closing:
                return


def _store(parcels: list[_Parcel]) -> None:
    """Store parcels of one project together; where that fails, each by itself."""
    brought = [(parcel.member, parcel.answers) for parcel in parcels]
    try:
        receipts = submit_parcels(parcels[0].project, brought)
        progress = round_progress(parcels[0].project)
    except AnnealError as error:
        if len(parcels) == 1:
            _fail(parcels, error)
            return
        for parcel in parcels:
            _store([parcel])
    except Exception as error:  # a bug: the request reports it, the thread lives on
        _fail(parcels, error)
    else:
        for parcel, own in zip(parcels, receipts, strict=True):
            if not parcel.reply.cancelled():
                parcel.reply.set_result(Stored(own, progress))


def _fail(parcels: list[_Parcel], error: Exception) -> None:
    for parcel in parcels:
        if not parcel.reply.cancelled():
            parcel.reply.set_exception(error)
