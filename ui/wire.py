"""The JSON that the annotate page and the server exchange, checked."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from domain.answers import Kind, NewAnswer, Receipt
from domain.pairs import pair
from workflow.questions import Question, RoundProgress

LARGEST_ID = 2**63 - 1  # what SQLite can hold
MOST_PAIRS = 50
MOST_HELD = 1000
MOST_ANSWERS = 200
LONGEST_ANSWER_MS = 7 * 24 * 3600 * 1000

Id = Annotated[int, Field(ge=0, le=LARGEST_ID)]
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TokenMessage(_Message):
    token: Annotated[str, Field(max_length=1000)]


class PairsMessage(_Message):
    """A request for further pairs; `held` are proposals still in the browser."""

    count: Annotated[int, Field(ge=1, le=MOST_PAIRS)]
    held: Annotated[list[Id], Field(max_length=MOST_HELD)] = []


class AnswerMessage(_Message):
    """One answer, or the undo of one; times as the browser saw them."""

    key: Key
    kind: Literal["similar", "dissimilar", "unsure", "skip", "void"]
    a: Id
    b: Id
    proposal_id: Id | None = None
    round_id: Id | None = None
    model: Annotated[str, Field(max_length=200)] | None = None
    reason: Annotated[str, Field(max_length=1000)] | None = None
    shown_at: AwareDatetime | None = None
    answered_at: AwareDatetime | None = None
    answer_ms: Annotated[int, Field(ge=0, le=LONGEST_ANSWER_MS)] | None = None
    refers_to_key: Key | None = None

    def as_answer(self) -> NewAnswer:
        """The answer as the store takes it.

        Raises:
            InputError: both images are the same.
        """
        return NewAnswer(
            key=self.key,
            kind=Kind(self.kind),
            pair=pair(self.a, self.b),
            shown_at=_as_text(self.shown_at),
            answered_at=_as_text(self.answered_at),
            answer_ms=self.answer_ms,
            proposal_id=self.proposal_id,
            round_id=self.round_id,
            model=self.model,
            reason=self.reason,
            refers_to_key=self.refers_to_key,
        )


class AnswersMessage(_Message):
    answers: Annotated[list[AnswerMessage], Field(min_length=1, max_length=MOST_ANSWERS)]


def question_json(question: Question) -> Mapping[str, Any]:
    """A pair to show; ids only, so that no file name is in the page."""
    return {
        "proposal_id": question.proposal_id,
        "a": question.image_a,
        "b": question.image_b,
        "reason": question.reason,
        "round": question.round_number,
        "round_id": question.round_id,
        "model": question.model,
    }


def receipt_json(receipt: Receipt) -> Mapping[str, Any]:
    return {
        "key": receipt.key,
        "status": receipt.status.value,
        "conflict": receipt.conflict,
        "message": receipt.message,
    }


def progress_json(progress: RoundProgress | None) -> Mapping[str, Any] | None:
    if progress is None:
        return None
    return {
        "round_id": progress.round_id,
        "round_number": progress.round_number,
        "answered": progress.answered,
        "open": progress.open,
        "leased": progress.leased,
        "total": progress.total,
        "target": progress.target,
        "left": progress.left,
        "by_itself": progress.by_itself,
    }


def _as_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds")
