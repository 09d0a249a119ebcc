"""What people answer, and what the answers mean together."""

from dataclasses import dataclass
from enum import StrEnum

from domain.pairs import Pair


class Kind(StrEnum):
    """What an event of the answer log says."""

    SIMILAR = "similar"
    DISSIMILAR = "dissimilar"
    UNSURE = "unsure"
    SKIP = "skip"
    VOID = "void"  # takes an earlier event back
    RESOLUTION = "resolution"  # a lead settles a conflict

    @property
    def is_label(self) -> bool:
        """Whether the event says similar or dissimilar, and so costs a bit."""
        return self in (Kind.SIMILAR, Kind.DISSIMILAR)


class Source(StrEnum):
    CLICK = "click"
    IMPORT = "import"
    SEED = "seed"


class Propagation(StrEnum):
    """How far answers spread by transitivity."""

    OFF = "off"
    ONE_STEP = "one_step"
    CLOSURE = "closure"


@dataclass(frozen=True)
class NewAnswer:
    """An answer on its way into the log.

    Attributes:
        key: the client's idempotency key; the same key is stored once.
        shown_at, answered_at: UTC ISO 8601 text, as the client saw it; None where unknown.
        answer_ms: from the painted pair to the key press.
        proposal_id: the question answered; None for imports.
        refers_to_key: for a void, the key of the event taken back; for a resolution, that of the
            event that opened the conflict.
        similar: for a resolution, the label the lead settles on; None: the pair has no label.
        uncertainty: the papers' value, 0 = most uncertain; taken from the question if there is one.
        round_number: imports only: the round that asked, in the project that exported.
    """

    key: str
    kind: Kind
    pair: Pair
    source: Source = Source.CLICK
    shown_at: str | None = None
    answered_at: str | None = None
    answer_ms: int | None = None
    proposal_id: int | None = None
    round_id: int | None = None
    model: str | None = None
    reason: str | None = None
    refers_to_key: str | None = None
    member: str | None = None  # imports only: who answered, if the file says so
    similar: bool | None = None
    uncertainty: float | None = None
    round_number: int | None = None


@dataclass(frozen=True)
class Event:
    """A stored line of the append-only answer log; `refers_to` is the event voided or settled.

    Attributes:
        similar: what the event says of the pair: True, False, or None where it gives no label.
        uncertainty: the papers' value when the pair was asked, 0 = most uncertain.
    """

    event_id: int
    key: str
    kind: Kind
    source: Source
    pair: Pair
    member: str
    answered_at: str
    shown_at: str | None
    answer_ms: int | None
    round_number: int | None
    model: str | None
    reason: str | None
    refers_to: int | None
    similar: bool | None = None
    uncertainty: float | None = None


class ReceiptStatus(StrEnum):
    STORED = "stored"
    REPEATED = "repeated"  # the key was stored before: nothing changed
    REJECTED = "rejected"


@dataclass(frozen=True)
class Receipt:
    """What became of one answer; `conflict` says it contradicts earlier answers."""

    key: str
    status: ReceiptStatus
    event_id: int | None = None
    conflict: bool = False
    message: str = ""


@dataclass(frozen=True)
class PairLabel:
    """The current label of a pair that people answered.

    Attributes:
        similar: True, False, or None where only unsure or skip stands, or members tie.
        members: names of those whose answer stands.
        answered_at: of the newest standing answer.
        in_conflict: an open conflict was opened by this pair.
    """

    pair: Pair
    similar: bool | None
    members: tuple[str, ...]
    source: Source
    answered_at: str
    round_number: int | None
    in_conflict: bool


@dataclass(frozen=True)
class KnownRelation:
    """A pair whose relation is known, by answer or by implication.

    Attributes:
        weight: 1.0, or 0.5 for a direct answer that takes part in an open conflict.
        proof: the answered pairs that imply it; empty for an answered pair.
    """

    pair: Pair
    similar: bool
    implied: bool
    weight: float = 1.0
    proof: tuple[Pair, ...] = ()


@dataclass(frozen=True)
class Conflict:
    """Answers that contradict each other; `evidence` are the answered pairs that clash with it."""

    conflict_id: int
    pair: Pair
    event_id: int
    evidence: tuple[Pair, ...]
    opened_at: str


@dataclass(frozen=True)
class Said:
    """A lead's word on one pair; `similar` None: it has no label."""

    pair: Pair
    similar: bool | None
    key: str


@dataclass(frozen=True)
class Settlement:
    """What a lead said to settle one conflict, and has not taken back.

    Attributes:
        pair: the one whose answer opened the conflict.
        words: the lead's word on each pair, the conflict's own first.
    """

    event_id: int
    pair: Pair
    member: str
    settled_at: str
    reason: str
    words: tuple[Said, ...]


@dataclass(frozen=True)
class Effort:
    """What people have given so far.

    Attributes:
        bits: standing similar and dissimilar answers.
        answers: every event a person sent, voids included.
    """

    bits: int
    answers: int
    similar: int
    dissimilar: int
    unsure: int
    skipped: int
