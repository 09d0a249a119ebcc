"""Conflicts for the people who settle them: what contradicts what, who said it, and a lead's word.

An answer can contradict its own pair's other answers (a tie), or what earlier answers about other
pairs imply. What a lead decides is a resolution in the log, so that nothing is overwritten and
everything can be taken back.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from domain.answers import Conflict, Event, Kind, Settlement
from domain.clock import later, utc_now
from domain.errors import InputError, ModelError
from domain.members import Member
from domain.pairs import Pair, pair
from labeling_store import answers, conflicts, runs, settling
from workflow.project import Project
from workflow.run_files import Embeddings, read_embeddings

RECENT_S = 600.0  # how long a page offers to undo the newest settlement


class Ruling(StrEnum):
    """How a lead settles a conflict."""

    EARLIER = "earlier"  # the earlier answers are right
    THIS = "this"  # the answer that contradicts them is; the weakest of them is set aside
    LINK = "link"  # one of the earlier answers is wrong
    SIMILAR = "similar"  # a tie: the two images are similar
    DISSIMILAR = "dissimilar"


_REASONS = {
    Ruling.EARLIER: "The earlier answers are right.",
    Ruling.THIS: "This answer is right; the weakest earlier one is set aside.",
    Ruling.LINK: "An earlier answer is wrong.",
    Ruling.SIMILAR: "Members disagreed; the images are similar.",
    Ruling.DISSIMILAR: "Members disagreed; the images are not similar.",
}


@dataclass(frozen=True)
class Claim:
    """A pair with a label, and what stands behind it.

    Attributes:
        first, second: image ids in the order of the path that the pair is part of.
        similar: its label; None at a tie.
        events: what was said of it and stands, oldest first.
        similarity: the cosine under the model of now, −1…1; None without a model.
    """

    first: int
    second: int
    similar: bool | None
    events: tuple[Event, ...]
    similarity: float | None

    @property
    def pair(self) -> Pair:
        """The two images as a pair."""
        return pair(self.first, self.second)


@dataclass(frozen=True)
class Dispute:
    """An open conflict with all that a lead needs to settle it.

    Attributes:
        own: the pair whose answer contradicts the others; of a tie, the tied pair.
        path: the earlier pairs that imply the opposite, from the one image of `own` to the other;
            empty for a tie.
        weakest: the pair of the path that is set aside where `own` is right: fewest agree on it,
            then least clear to the model, then the newest. None for a tie.
    """

    conflict: Conflict
    own: Claim
    path: tuple[Claim, ...]
    weakest: Pair | None

    @property
    def is_tie(self) -> bool:
        """Whether members disagree on the pair itself."""
        return not self.path


def count_open(project: Project) -> int:
    """How many conflicts are open."""
    return conflicts.count_open_conflicts(project.store.reader())


def list_open(project: Project, *, limit: int, offset: int = 0) -> list[Conflict]:
    """Open conflicts, the oldest first."""
    return conflicts.open_conflicts(project.store.reader(), limit=limit, offset=offset)


def look_into(project: Project, conflict_id: int) -> Dispute | None:
    """A conflict with its evidence; None if it is not open any more."""
    with project.store.snapshot() as db:
        found = conflicts.find_open_conflict(db, conflict_id)
        if found is None:
            return None
        path = _path(found)
        events = {each: tuple(answers.standing_events(db, each)) for each in _pairs(found)}
    model = _model(project)
    own = _claim(found.pair, events[found.pair], model)
    claims = tuple(_claim(ends, events[pair(*ends)], model) for ends in path)
    if not claims:
        return Dispute(found, own, (), None)
    weakest = min(claims, key=lambda claim: _strength(claim, model))
    return Dispute(found, own, claims, weakest.pair)


def settle(
    project: Project,
    actor: Member,
    dispute: Dispute,
    ruling: Ruling,
    *,
    key: str,
    link: Pair | None = None,
) -> None:
    """Store how a lead settles a conflict; all of it in one transaction.

    EARLIER gives the pair the label that the path implies. THIS confirms the pair's label and takes
    the label of the weakest pair of the path away. LINK gives a pair of the path the opposite
    label. SIMILAR and DISSIMILAR give a tied pair its label. Where other answers still contradict,
    a conflict remains, with those as its evidence.

    Args:
        project: its log gets the resolutions.
        actor: a lead or owner.
        dispute: the conflict as the lead saw it.
        ruling: what the lead decided.
        key: idempotency key; a settlement sent again changes nothing.
        link: for LINK, the pair of the path that is wrong.

    Raises:
        AccessError: the actor is no lead.
        InputError: the ruling does not fit, or the conflict was settled or changed meanwhile.
    """
    words = _words(dispute, ruling, link)
    settling.settle_conflict(
        project.store, actor, dispute.conflict, words, key=key, reason=_REASONS[ruling]
    )


def count_settled(project: Project) -> int:
    """How many settlements stand."""
    return settling.count_settlements(project.store.reader())


def list_settled(project: Project, *, limit: int, offset: int = 0) -> list[Settlement]:
    """What leads settled and did not take back, newest first."""
    return settling.settlements(project.store.reader(), limit=limit, offset=offset)


def is_recent(settlement: Settlement) -> bool:
    """Whether it was made so lately that who made it may want to undo it."""
    return settlement.settled_at > later(utc_now(), -RECENT_S)


def take_back(project: Project, actor: Member, settlement: Settlement) -> None:
    """Undo a settlement, as if it had never been made; the conflict opens again if it still holds.

    Raises:
        AccessError: the actor is no lead.
    """
    settling.take_settlement_back(project.store, actor, [each.key for each in settlement.words])


def _words(dispute: Dispute, ruling: Ruling, link: Pair | None) -> dict[Pair, bool | None]:
    own, implied = dispute.own.pair, not dispute.own.similar
    fits = dispute.is_tie == (ruling in (Ruling.SIMILAR, Ruling.DISSIMILAR))
    if fits and dispute.is_tie:
        return {own: ruling is Ruling.SIMILAR}
    if fits and ruling is Ruling.EARLIER:
        return {own: implied}
    if fits and ruling is Ruling.THIS and dispute.weakest is not None:
        return {own: not implied, dispute.weakest: None}
    wrong = next((claim for claim in dispute.path if claim.pair == link), None)
    if fits and ruling is Ruling.LINK and wrong is not None:
        return {wrong.pair: not wrong.similar}
    raise InputError(
        f'"{ruling.value}" does not settle this conflict.', "Choose one of the ways that it shows."
    )


def _pairs(conflict: Conflict) -> set[Pair]:
    return {conflict.pair, *conflict.evidence}


def _path(conflict: Conflict) -> list[tuple[int, int]]:
    """The evidence as steps from one image of the pair to the other; none for a tie."""
    if conflict.evidence == (conflict.pair,):
        return []
    here = conflict.pair.a
    images = [here]
    for a, b in conflict.evidence:
        here = b if a == here else a
        images.append(here)
    return list(pairwise(images))


@dataclass(frozen=True)
class _Model:
    embeddings: Embeddings
    threshold: float | None


def _model(project: Project) -> _Model | None:
    run = runs.active_run(project.store.reader())
    if run is None:
        return None
    try:
        embeddings = read_embeddings(project.runs / run.name)
    except ModelError:  # a conflict can be settled without a model
        return None
    return _Model(embeddings, run.metrics.get("threshold"))


def _claim(ends: tuple[int, int], events: tuple[Event, ...], model: _Model | None) -> Claim:
    first, second = ends
    return Claim(first, second, answers.label_of(events), events, _similarity(first, second, model))


def _similarity(first: int, second: int, model: _Model | None) -> float | None:
    rows = model.embeddings.rows if model is not None else {}
    if model is None or first not in rows or second not in rows:
        return None
    vectors = model.embeddings.vectors
    return float(vectors[rows[first]] @ vectors[rows[second]])


def _resolution(events: Sequence[Event]) -> Event | None:
    return next((each for each in reversed(events) if each.kind is Kind.RESOLUTION), None)


def _votes(events: Sequence[Event]) -> Counter[bool | None]:
    """How many members' latest words say similar, and how many not."""
    silent = (Kind.RESOLUTION, Kind.SKIP)
    return Counter(
        {each.member: each.similar for each in events if each.kind not in silent}.values()
    )


def _strength(claim: Claim, model: _Model | None) -> tuple[bool, float, float, int]:
    """What to keep in a contradiction: a lead's word, what many agree on, what is clear, the old.

    Agreement is smoothed, so that three of three are stronger than one of one.
    """
    votes = _votes(claim.events)
    agree = votes[claim.similar is True]
    agreement = (agree + 1) / (votes[True] + votes[False] + 2)
    clear = float("inf")
    if claim.similarity is not None and model is not None and model.threshold is not None:
        clear = abs(claim.similarity - model.threshold)
    newest = max((each.event_id for each in claim.events), default=0)
    return _resolution(claim.events) is not None, agreement, clear, -newest
