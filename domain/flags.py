"""What people point out while they answer: something is odd with a question or an image."""

from dataclasses import dataclass
from enum import StrEnum

LONGEST_NOTE = 500


class FlagEnd(StrEnum):
    """How a flag came to its end."""

    TAKEN_BACK = "taken_back"  # by who had set it
    DEALT_WITH = "dealt_with"  # by a lead


@dataclass(frozen=True)
class NewFlag:
    """A flag, or the taking back of one, on its way into the store.

    Attributes:
        key: the client's idempotency key; the same key is stored once.
        image_a, image_b: what it is about, in ascending order; `image_b` None: one image alone.
        flagged_at: UTC ISO 8601 text, as the client saw it; None where unknown.
        takes_back_key: the key of the flag taken back; None for a flag.
    """

    key: str
    image_a: int
    image_b: int | None
    note: str = ""
    proposal_id: int | None = None
    flagged_at: str | None = None
    takes_back_key: str | None = None


@dataclass(frozen=True)
class Flag:
    """What somebody flagged, and how that ended.

    Attributes:
        image_ids: two of a question, or the one image.
        round_number: of the question; None where there was none.
        end: None while it stands, as `ended_by` and `ended_at` then are.
    """

    flag_id: int
    key: str
    member: str
    image_ids: tuple[int, ...]
    note: str
    flagged_at: str
    round_number: int | None = None
    end: FlagEnd | None = None
    ended_by: str | None = None
    ended_at: str | None = None
