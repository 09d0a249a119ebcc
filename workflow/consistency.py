"""Whether people's answers can all be true, and what it means where they cannot.

"Similar" is taken as transitive. An answer whose opposite earlier answers imply is either a slip,
of one of the answers, or "similar" is no matter of groups in this archive. What tells the two apart
is the same question again: slips are mended, a true answer stays. So pairs in contradictions are
asked again (`asked_again`), and only where the answers stay does the strategy step back.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from annealing.contradictions import worth_repeating
from annealing.reliability import (
    error_bound_of_contradictions,
    error_of_repeats,
    reckoned_error,
)
from domain.answers import Propagation
from domain.config import Strategy
from domain.images import Part
from domain.pairs import Pair
from labeling_store import images, responses, rounds
from labeling_store.coherence import coherence, labels_in_order, repeated_pairs
from labeling_store.relations import FEWEST_REPEATS, trusted_proof
from labeling_store.repeats import Repeated, all_repeats
from workflow.project import Project

SHOWN_FROM = 20  # answers that could have contradicted; a share of fewer says nothing
CHECKED_AT_LEAST = 30
CONTRADICTED_ABOVE = 0.15  # the lower end of the interval
REPEATED_AT_LEAST = 12
# The upper end of the interval. Of the answers behind a contradiction about 45 % change when they
# are asked again, whether 3 or 10 % of all answers are wrong; where similarity is graded, none.
CHANGED_BELOW = 0.25
ONE_STEP_ABOVE = 0.03  # share of wrong answers from which long chains of them mislead
_Z = 1.96  # for 95 %


@dataclass(frozen=True)
class Share:
    """A share of counted cases with its 95 % interval (Wilson).

    Attributes:
        of: how many cases; with none the interval is 0…1.
        count: how many of them count.
    """

    of: int
    count: int

    @property
    def rate(self) -> float:
        """The share; 0 of no case."""
        return self.count / self.of if self.of else 0.0

    @property
    def low(self) -> float:
        """The lower end of the interval."""
        return max(0.0, self._middle - self._half)

    @property
    def high(self) -> float:
        """The upper end of the interval."""
        return min(1.0, self._middle + self._half)

    @property
    def _middle(self) -> float:
        return (self.count + _Z**2 / 2) / (self.of + _Z**2)

    @property
    def _half(self) -> float:
        spread = self.of * self.rate * (1 - self.rate) + _Z**2 / 4
        return _Z * math.sqrt(spread) / (self.of + _Z**2)


NOTHING = Share(0, 0)


@dataclass(frozen=True)
class Estimate:
    """A share of wrong answers, with its 95 % interval."""

    rate: float
    low: float
    high: float


def _estimate(counted: Share, of_share: Callable[[float], float]) -> Estimate:
    return Estimate(of_share(counted.rate), of_share(counted.low), of_share(counted.high))


@dataclass(frozen=True)
class Consistency:
    """How well the labels of now go together.

    Attributes:
        contradicted: of the labels whose answer earlier ones implied, those that say the opposite.
        changed: of the pairs that were asked again in a later round, those that got another answer.
        hidden: of the answers to pairs that their member did not know to be asked again, those that
            differ from the answer before.
    """

    contradicted: Share
    changed: Share
    hidden: Share = NOTHING

    @property
    def error(self) -> Estimate | None:
        """The share of wrong answers as hidden repeats show it; None while they are too few."""
        if self.hidden.of < FEWEST_REPEATS:
            return None
        return _estimate(self.hidden, error_of_repeats)

    @property
    def error_bound(self) -> Estimate | None:
        """A share of wrong answers that contradictions do not point beyond; None while few."""
        if self.contradicted.of < SHOWN_FROM:
            return None
        return _estimate(self.contradicted, error_bound_of_contradictions)

    @property
    def longest_proof(self) -> int | None:
        """How many answers may prove an implied label; None: any number."""
        return trusted_proof(Repeated(self.hidden.of, self.hidden.count))


def consistency(project: Project) -> Consistency:
    """How well the labels of now go together; worked out once for each state of the log."""
    found = coherence(project.store)
    return Consistency(
        Share(found.implied, found.contradicted),
        Share(found.repeated, found.changed),
        Share(found.hidden, found.hidden_changed),
    )


def error_to_reckon_with(project: Project) -> float:
    """The share of wrong answers for questions about groups, and for learning from their answers.

    What the settings assume, corrected by all hidden repeats so far.
    """
    repeats = all_repeats(project.store.reader())
    assumed = project.config.selection.assumed_error
    return reckoned_error(assumed, repeated=repeats.repeated, changed=repeats.changed)


def asked_again(project: Project, count: int) -> list[Pair]:
    """Up to so many answered pairs that are worth asking again, those that explain most first.

    Of training images only; none that was asked in two rounds already or in the current one, as
    nobody should meet a pair at once again; and none once it is clear that answers stay.
    """
    if count < 1 or steps_back(consistency(project)) is not None:
        return []
    db = project.store.reader()
    inside = {each.image_id for each in images.list_images(db, part=Part.TRAIN)}
    labels = {
        answered: similar
        for answered, similar in labels_in_order(project.store).items()
        if inside.issuperset(answered)
    }
    return worth_repeating(labels, count, but=repeated_pairs(project.store) | _of_now(project))


def _of_now(project: Project) -> set[Pair]:
    """The pairs answered in the current round."""
    db = project.store.reader()
    current = rounds.current_round(db)
    if current is None:
        return set()
    return {each.pair for each in responses.answered_proposals(db, current.round_id)}


def in_words(found: Consistency) -> str | None:
    """How often answers contradicted what earlier ones implied; None while that says nothing."""
    share = found.contradicted
    if share.of < SHOWN_FROM:
        return None
    words = (
        f"In {share.count} of {share.of} cases ({_percent(share)}) an answer contradicted what "
        "earlier answers implied."
    )
    again = found.changed
    if again.of:
        pairs = "1 such pair was" if again.of == 1 else f"{again.of} such pairs were"
        words += f" {pairs} asked again; {again.count} of the answers changed."
    return words


def errors_in_words(found: Consistency) -> str | None:
    """How often people's answers are wrong, as far as it shows; None while nothing does."""
    error, bound = found.error, found.error_bound
    said = []
    if error is not None:
        said.append(
            f"About {_rate(error.rate)} of the answers are wrong ({_rate(error.low)} to "
            f"{_rate(error.high)}): {found.hidden.count} of {found.hidden.of} pairs got another "
            "answer when the same person was asked again without knowing it."
        )
    elif found.hidden.of:
        said.append(
            f"{found.hidden.count} of {found.hidden.of} hidden repeats got another answer; from "
            f"{FEWEST_REPEATS} on they tell how often answers are wrong."
        )
    if bound is not None:
        said.append(
            f"Contradictions ({found.contradicted.count} of {found.contradicted.of} answers that "
            f"could contradict) point to {_rate(bound.rate)} wrong at most "
            f"({_rate(bound.low)} to {_rate(bound.high)})."
        )
    return " ".join(said) or None


def unreliable(project: Project, found: Consistency) -> str | None:
    """What a lead should know where too many answers are wrong to spread them far; else None."""
    error, longest = found.error, found.longest_proof
    if error is None or longest is None or project.config.propagation is not Propagation.CLOSURE:
        return None
    if error.rate <= ONE_STEP_ABOVE:
        return (
            f"Pairs count as implied only where {longest} answers or fewer prove them, because "
            f"about {_rate(error.rate)} of the answers are wrong."
        )
    note = (
        f"About {_rate(error.rate)} of the answers are wrong, too many for long chains of them: "
        f"pairs count as implied only where {longest} answers or fewer prove them."
    )
    if project.config.selection.strategy is Strategy.COMPONENTS:
        return f"{note} Questions about groups reckon with wrong answers and go on as before."
    return f'{note} Consider propagation = "one_step" in project.toml.'


def steps_back(found: Consistency) -> str | None:
    """What a lead should know where "similar" is not treated as transitive; None where it is.

    The next questions are then chosen by MGUE instead of `components`.
    """
    many = found.contradicted.of >= CHECKED_AT_LEAST and found.contradicted.low > CONTRADICTED_ABOVE
    stay = found.changed.of >= REPEATED_AT_LEAST and found.changed.high < CHANGED_BELOW
    if not (many and stay):
        return None
    return (
        "Similar images seem not to form groups here: many answers contradict what others imply "
        f"({_percent(found.contradicted)}), and people gave the same answers when asked again. The "
        "pairs that the model is least sure of (MGUE) are asked instead. Where that is right, set "
        'propagation = "one_step" in project.toml. Where the archive does have kinds, settle the '
        "conflicts on the Conflicts page. From now on a lead starts the rounds."
    )


def _rate(value: float) -> str:
    return f"{100 * value:.1f} %"


def _percent(share: Share) -> str:
    return f"{100 * share.rate:.0f} %"
