"""The order of a round's questions: those that measure among those that teach."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from domain.rounds import Proposal


def mixed(
    proposals: Sequence[Proposal], number: int, *, target: int | None = None
) -> list[Proposal]:
    """Checks and hidden repeats spread evenly among the rest, whose order stays.

    With a target, among what is asked until so many answers are there. Chains stay whole.
    """
    extra = [each for each in proposals if each.check or each.asked_of is not None]
    rest = [each for each in proposals if not each.check and each.asked_of is None]
    parts = [[each for _, each in part] for _, part in groupby(enumerate(rest), key=_part)]
    asked = len(parts) if target is None else _asked_for(parts, target)
    rng = np.random.default_rng(number)
    shares = (np.arange(len(extra)) + rng.random(len(extra))) / max(len(extra), 1)
    places = (shares * (asked + 1)).astype(int).tolist()
    for place, chosen in zip(reversed(places), rng.permutation(len(extra)), strict=True):
        parts.insert(place, [extra[chosen]])
    return [each for part in parts for each in part]


def _part(numbered: tuple[int, Proposal]) -> tuple[int, int]:
    """The same for questions that must stay together."""
    place, proposal = numbered
    return (0, place) if proposal.chain is None else (1, proposal.chain)


def _asked_for(parts: Sequence[Sequence[Proposal]], answers: int) -> int:
    """How many chains and single questions bring so many answers.

    A chain is reckoned to end in its middle; as it asks the likeliest group first, it rather ends
    before, and what is spread among these is asked in time.
    """
    told = np.cumsum([(1 + len(part)) / 2 for part in parts])
    return int(np.searchsorted(told, answers, side="right"))
