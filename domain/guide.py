"""What a lead tells the annotators: what counts as similar, with examples."""

from dataclasses import dataclass

from domain.pairs import Pair

LONGEST_TEXT = 10_000
LONGEST_REMARK = 300
MOST_EXAMPLES = 12


@dataclass(frozen=True)
class Example:
    """A pair that shows what is meant; `remark` says why."""

    pair: Pair
    similar: bool
    remark: str = ""


@dataclass(frozen=True)
class Guide:
    """One version of the instructions; a change makes a new one.

    Attributes:
        text: as it was written: no markup, lines count.
    """

    guide_id: int
    text: str
    examples: tuple[Example, ...]
    member: str
    written_at: str
