"""The answer log as people look through it."""

from dataclasses import dataclass

from domain.answers import Event, Kind, Source
from domain.pairs import Pair


@dataclass(frozen=True)
class LogFilter:
    """Which events to show; None: whichever.

    Attributes:
        in_conflict: only of pairs that an open conflict is about.
    """

    member_id: int | None = None
    kind: Kind | None = None
    source: Source | None = None
    round_number: int | None = None
    pair: Pair | None = None
    in_conflict: bool = False


@dataclass(frozen=True)
class LoggedEvent:
    """An event, and what has to be known to judge it.

    Attributes:
        proposal_id: the question it answers.
        taken_back_by, taken_back_at: who voided it and when; None while it stands.
        hidden_repeat: its question was asked of this member a second time, unmarked.
        similarity, threshold: the model's when it asked; None where it had none.
    """

    event: Event
    proposal_id: int | None
    taken_back_by: str | None
    taken_back_at: str | None
    hidden_repeat: bool
    similarity: float | None
    threshold: float | None

    @property
    def stands(self) -> bool:
        """Whether it counts: nobody took it back."""
        return self.taken_back_at is None
