"""Answers given while searching: a result is marked similar or not similar to the query."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.answers import Kind, NewAnswer, Receipt, ReceiptStatus
from domain.clock import utc_now
from domain.errors import InputError
from domain.images import Part
from domain.members import Member, Role
from domain.pairs import Pair, pair
from labeling_store import answers, images, runs
from labeling_store.pair_answers import OwnAnswer, own_answers, relations_of
from workflow import labels
from workflow.click_keys import click_key
from workflow.project import Project

REASON = "search"  # why the pair was looked at: somebody found it
_CHANGED_MEANWHILE = (
    "What you said of these two has changed meanwhile, in another tab.",
    "The page shows it as it is now; click again where it is not right.",
)


@dataclass(frozen=True)
class Mark:
    """What is known of a result's relation to the query.

    Attributes:
        own: what the member said; None: nothing that stands, or that they cannot say.
        known: what all answers say, by themselves or by implication; None: nothing, or the member
            is an annotator, who is to judge without knowing it.
        after: the member's newest event about the pair, 0 before the first: a click says what it
            was made in sight of, so that the same click counts once.
    """

    own: bool | None = None
    known: bool | None = None
    after: int = 0


def marks(
    project: Project, member: Member, query_id: int, image_ids: Sequence[int]
) -> dict[int, Mark]:
    """What is known of the relation of each image to the query."""
    pairs = {each: pair(query_id, each) for each in image_ids}
    db = project.store.reader()
    own = own_answers(db, member.member_id, list(pairs.values()))
    sees_all = member.role.includes(Role.LEAD)
    known = relations_of(project.store, list(pairs.values())) if sees_all else {}
    return {each: _mark(own.get(of), known.get(of)) for each, of in pairs.items()}


def mark(
    project: Project, member: Member, query_id: int, image_id: int, *, similar: bool, after: int
) -> Receipt:
    """Store the answer that two images are similar or not.

    The same click, sent again or made in two tabs, is stored once: its key follows from who
    clicked what, in sight of which answer.

    Raises:
        InputError: the store refuses it, for example an image that is not in the catalogue; or it
            was said and taken back meanwhile, in another tab.
    """
    of = pair(query_id, image_id)
    kind = Kind.SIMILAR if similar else Kind.DISSIMILAR
    run = runs.active_run(project.store.reader())
    new = NewAnswer(
        key=click_key(project, "search", member, of=of, kind=kind, after=after),
        kind=kind,
        pair=of,
        answered_at=utc_now(),
        model=None if run is None else run.name,
        reason=REASON,
    )
    (receipt,) = answers.record_answers(project.store, member, [new])
    if receipt.message:
        raise InputError(receipt.message, "Reload the page to see the current state.")
    if receipt.status is ReceiptStatus.REPEATED and _said(project, member, of).kind is not kind:
        raise InputError(*_CHANGED_MEANWHILE)
    return receipt


def unmark(
    project: Project, member: Member, query_id: int, image_id: int, *, after: int
) -> Receipt | None:
    """Take back what the member said of two images; None where nothing of theirs stands.

    Raises:
        InputError: the store refuses it; or they said something else meanwhile, in another tab.
    """
    of = pair(query_id, image_id)
    own = _said(project, member, of)
    if not own.key:
        return None
    if own.last_event_id != after:
        raise InputError(*_CHANGED_MEANWHILE)
    return labels.take_back(project, member, own.key)


def _said(project: Project, member: Member, of: Pair) -> OwnAnswer:
    found = own_answers(project.store.reader(), member.member_id, [of])
    return found.get(of, OwnAnswer(0, None, ""))


def is_learnt_from(project: Project, query_id: int, image_ids: Sequence[int]) -> set[int]:
    """Those of the images whose relation to the query a model may learn from.

    Both must be of the training part; the others are kept for measuring the model.
    """
    found = images.images_by_id(project.store.reader(), [query_id, *image_ids])
    training = {each for each, image in found.items() if image.part is Part.TRAIN}
    return training.intersection(image_ids) if query_id in training else set()


def _mark(own: OwnAnswer | None, known: bool | None) -> Mark:
    if own is None:
        return Mark(known=known)
    said = own.kind is Kind.SIMILAR if own.kind is not None and own.kind.is_label else None
    return Mark(own=said, known=known, after=own.last_event_id)
