"""The JSON of the annotator's loop, checked: sessions, questions out, answers in.

The description of the routes (`ui/openapi.py`) is made of these models.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from domain.answers import Kind, NewAnswer, Receipt, ReceiptStatus
from domain.errors import InputError
from domain.members import Member, Role
from domain.pairs import pair
from workflow.grids import Grid
from workflow.questions import Question, RoundProgress

LARGEST_ID = 2**63 - 1  # what SQLite can hold
MOST_PAIRS = 50
MOST_HELD = 1000
MOST_ANSWERS = 200
LONGEST_ANSWER_MS = 7 * 24 * 3600 * 1000

Id = Annotated[int, Field(ge=0, le=LARGEST_ID)]
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")]


class Message(BaseModel):
    """What stands in a request or a reply."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ErrorReply(Message):
    """Why a request was refused, and what to do next."""

    message: str
    hint: str


# --- sessions ------------------------------------------------------------------------------


class TokenMessage(Message):
    """The token that the page's script signed; it is not one of `token create`."""

    token: Annotated[str, Field(max_length=1000)]


class SessionReply(Message):
    """As whom the request acts; the role is what counts for it."""

    member_id: int
    name: str
    role: Role

    @classmethod
    def of(cls, member: Member) -> Self:
        return cls(member_id=member.member_id, name=member.name, role=member.role)


class HealthReply(Message):
    status: Literal["ok"] = "ok"


# --- questions and answers -----------------------------------------------------------------


class PairsMessage(Message):
    """A request for further pairs; `held` are proposals that the client still has.

    A `count` of 0 renews the leases of those, and gives none.

    With `member` the client says as whom it asks; who is somebody else gets 401.
    """

    member: Id | None = None
    count: Annotated[int, Field(ge=0, le=MOST_PAIRS)]
    held: Annotated[list[Id], Field(max_length=MOST_HELD)] = []


class QuestionReply(Message):
    """A pair to show; ids only, so that no file name is in the page.

    The answer speaks of `stands_for` pairs, by what is known to be similar to its images.
    """

    proposal_id: int
    a: int
    b: int
    reason: str
    round: int
    round_id: int
    model: str | None
    stands_for: int

    @classmethod
    def of(cls, question: Question) -> Self:
        return cls(
            proposal_id=question.proposal_id,
            a=question.image_a,
            b=question.image_b,
            reason=question.reason,
            round=question.round_number,
            round_id=question.round_id,
            model=question.model,
            stands_for=question.stands_for,
        )


class ProgressReply(Message):
    """How far people are in the current round, in questions.

    At `target` answers the round can be trained on, `left` are left until then; `total` are
    answered, before somebody (`leased`), or `open`.
    """

    model_config = ConfigDict(from_attributes=True)

    round_id: int
    round_number: int
    answered: int
    open: int
    leased: int
    total: int
    target: int
    left: int
    by_itself: bool

    @classmethod
    def of(cls, progress: RoundProgress | None) -> Self | None:
        return None if progress is None else cls.model_validate(progress)


class PairsReply(Message):
    """Pairs leased to the member for a quarter of an hour.

    Those `settled`, of the held ones, need no answer of theirs: others gave it or have them now.
    `progress` is null before the first round.
    """

    pairs: list[QuestionReply]
    settled: list[int]
    progress: ProgressReply | None


class GridReply(Message):
    """Pairs about one image, to be answered at one look.

    Of a `chain` only the first is leased, and keeps the others from everybody else; at "similar"
    the rest need no answer.
    """

    image: int
    chain: bool
    questions: list[QuestionReply]

    @classmethod
    def of(cls, grid: Grid) -> Self:
        questions = [QuestionReply.of(each) for each in grid.questions]
        return cls(image=grid.image_id, chain=grid.chain, questions=questions)


class GridsReply(Message):
    """Grids leased to the member; `count` was how many of them. Else as the reply to pairs."""

    grids: list[GridReply]
    settled: list[int]
    progress: ProgressReply | None


class AnswerMessage(Message):
    """One answer, or the undo of one; times as the client saw them.

    `key` is made by the client, anew for every answer: an answer that is sent again with its key is
    stored once. An undo (`void`) names the key of the answer it takes back in `refers_to_key`.
    """

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
            InputError: both images are the same, or a time is none in UTC.
        """
        return NewAnswer(
            key=self.key,
            kind=Kind(self.kind),
            pair=pair(self.a, self.b),
            shown_at=as_text(self.shown_at),
            answered_at=as_text(self.answered_at),
            answer_ms=self.answer_ms,
            proposal_id=self.proposal_id,
            round_id=self.round_id,
            model=self.model,
            reason=self.reason,
            refers_to_key=self.refers_to_key,
        )


class AnswersMessage(Message):
    """Answers of one member; where `member` says of whom, anybody else gets 401."""

    member: Id | None = None
    answers: Annotated[list[AnswerMessage], Field(min_length=1, max_length=MOST_ANSWERS)]


class ReceiptReply(Message):
    """What became of one answer; a rejected one says why and leaves the others alone.

    `conflict` says that it contradicts earlier ones; annotators learn it where they are not blind.
    """

    key: str
    status: ReceiptStatus
    conflict: bool
    message: str

    @classmethod
    def of(cls, receipt: Receipt, *, blind: bool) -> Self:
        return cls(
            key=receipt.key,
            status=receipt.status,
            conflict=receipt.conflict and not blind,
            message=receipt.message,
        )


class AnswersReply(Message):
    """One receipt an answer, in their order, after all of them are on the disk."""

    receipts: list[ReceiptReply]
    progress: ProgressReply | None


def as_text(moment: datetime | None) -> str | None:
    """A moment as the store writes it.

    Raises:
        InputError: it is none in UTC.
    """
    if moment is None:
        return None
    try:
        return moment.astimezone(UTC).isoformat(timespec="milliseconds")
    except OverflowError as error:
        raise InputError(f"{moment} is no time in UTC.", "Send the time of now.") from error
