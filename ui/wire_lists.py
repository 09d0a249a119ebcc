"""The JSON and the addresses of the lists for scripts: images, labels, what they imply, rounds.

The description of the routes (`ui/openapi.py`) is made of these models.
"""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field

from domain.answers import KnownRelation, PairLabel
from domain.images import ImageRecord, Part
from domain.pairs import Pair
from domain.rounds import RoundState
from labeling_store.exchange import What
from labeling_store.files import Format
from labeling_store.relations import Explanation
from ui.wire import LARGEST_ID, Message, ProgressReply
from workflow.pages import BEFORE_ALL
from workflow.pictures import PAIR_PX, SIZES_PX
from workflow.rounds import RoundRow

MOST_ITEMS = 1000
MOST_KNOWN = 10_000


def _number(text: object) -> object:
    """Digits only: neither signs, points and underscores nor the digits of other scripts."""
    if isinstance(text, str) and not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise ValueError("must be a whole number")
    return text


Number = Annotated[int, BeforeValidator(_number)]  # in an address
IdNumber = Annotated[Number, Field(ge=0, le=LARGEST_ID)]
PairCursor = Annotated[str, Field(pattern=r"^[0-9]{1,18}-[0-9]{1,18}$")]
Limit = Annotated[Number, Field(ge=1, le=MOST_ITEMS)]


# --- images --------------------------------------------------------------------------------


class PictureQuery(Message):
    """`v` is the page's: with the project's own version, browsers keep the picture for ever."""

    size: Annotated[Number, Field(json_schema_extra={"enum": list(SIZES_PX)})] = PAIR_PX
    v: Annotated[str, Field(max_length=100)] = ""


class ImagesQuery(Message):
    """Which images to list; `cursor` is the `next` of the page before."""

    part: Part | None = None
    cursor: IdNumber = 0
    limit: Limit = 100


class ImageReply(Message):
    """An image; its path is relative to the archive's folder."""

    model_config = ConfigDict(from_attributes=True, extra="ignore")

    image_id: int
    path: str
    width_px: int
    height_px: int
    part: Part
    sha256: str

    @classmethod
    def of(cls, image: ImageRecord) -> Self:
        return cls.model_validate(image)


class ImagesReply(Message):
    images: list[ImageReply]
    next: int | None


# --- labels and what they imply ------------------------------------------------------------


class LabelsQuery(Message):
    """Which labels to list; `cursor` is the `next` of the page before."""

    image: IdNumber | None = None
    similar: Literal["1", "0", "none"] | None = None
    cursor: PairCursor | None = None
    limit: Limit = 100


class LabelReply(Message):
    """The current label of a pair; `similar` is null where no side has a majority."""

    a: int
    b: int
    similar: bool | None
    members: list[str]
    source: str
    answered_at: str
    round: int | None
    in_conflict: bool

    @classmethod
    def of(cls, label: PairLabel) -> Self:
        return cls(
            a=label.pair.a,
            b=label.pair.b,
            similar=label.similar,
            members=list(label.members),
            source=label.source.value,
            answered_at=label.answered_at,
            round=label.round_number,
            in_conflict=label.in_conflict,
        )


class LabelsReply(Message):
    """A page may be empty and still not be the last: go on until `next` is null."""

    labels: list[LabelReply]
    next: str | None


class KnownQuery(Message):
    """`cursor` is the `next` of the page before."""

    cursor: PairCursor | None = None
    limit: Annotated[Number, Field(ge=1, le=MOST_KNOWN)] = 1000


class KnownReply(Message):
    """A pair whose relation is known; `weight` is below 1 where an open conflict concerns it."""

    a: int
    b: int
    similar: bool
    implied: bool
    weight: float

    @classmethod
    def of(cls, known: KnownRelation) -> Self:
        return cls(
            a=known.pair.a,
            b=known.pair.b,
            similar=known.similar,
            implied=known.implied,
            weight=known.weight,
        )


class KnownPairsReply(Message):
    """What training knows: answered and implied pairs of the training part."""

    known: list[KnownReply]
    next: str | None


class RelationReply(Message):
    """What the answers say of two images; `proof` are the answered pairs from which it follows.

    `similar` is null where they say nothing. Of a similar pair, the proof is a path of similar
    pairs; of a dissimilar one, one of its pairs is dissimilar. `trusted` is false where that does
    not count: each proof goes by way of answers in an open conflict, or has more answers than their
    rate of errors allows. Known pairs, training and exports leave such a relation out.
    """

    a: int
    b: int
    similar: bool | None
    implied: bool
    trusted: bool
    proof: list[tuple[int, int]]

    @classmethod
    def of(cls, asked: Pair, found: Explanation | None) -> Self:
        if found is None:
            return cls(a=asked.a, b=asked.b, similar=None, implied=False, trusted=False, proof=[])
        return cls(
            a=asked.a,
            b=asked.b,
            similar=found.similar,
            implied=found.proof != (asked,),
            trusted=found.trusted,
            proof=[(step.a, step.b) for step in found.proof],
        )


class ExportQuery(Message):
    """The columns are described in docs/commands.md, under export."""

    what: What = "answers"
    format: Format = "csv"


# --- rounds --------------------------------------------------------------------------------


class StatusReply(Message):
    """How far the project is; `bits` are standing similar and dissimilar answers.

    `conflicts` is null for annotators who are not told that their answers contradict others.
    """

    progress: ProgressReply | None
    bits: int
    answers: int
    conflicts: int | None
    model: str | None
    job: str | None
    worker_alive: bool


class RoundsQuery(Message):
    """`cursor` is the `next` of the page before."""

    cursor: IdNumber = 0
    limit: Limit = 100


class RoundReply(Message):
    """A round, and the model trained at its end with its metrics (fractions)."""

    number: int
    strategy: str
    state: RoundState
    asked_by: str | None
    created_at: str
    answered: int
    target: int
    model: str | None
    metrics: dict[str, float]

    @classmethod
    def of(cls, row: RoundRow) -> Self:
        return cls(
            number=row.round.number,
            strategy=row.round.strategy,
            state=row.round.state,
            asked_by=row.round.model,
            created_at=row.round.created_at,
            answered=row.answered,
            target=row.target,
            model=None if row.run is None else row.run.name,
            metrics={} if row.run is None else dict(row.run.metrics),
        )


class RoundsReply(Message):
    rounds: list[RoundReply]
    next: int | None


def as_cursor(key: Pair | None) -> str | None:
    """A pair as the cursor that goes on from it."""
    return None if key is None else f"{key.a}-{key.b}"


def read_cursor(text: str | None) -> Pair:
    """The pair that a checked cursor goes on from; without one, before the first."""
    if text is None:
        return BEFORE_ALL
    first, second = text.split("-")
    return Pair(int(first), int(second))
