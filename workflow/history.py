"""Looking through the answer log, and answering anew; see also `workflow.labels`."""

from collections.abc import Iterable
from itertools import chain

from domain.answers import Kind, NewAnswer, PairLabel, Receipt, ReceiptStatus
from domain.clock import utc_now
from domain.errors import InputError
from domain.history import LogFilter, LoggedEvent
from domain.members import Member
from domain.pairs import Pair
from labeling_store import answers, history, images
from labeling_store.pair_answers import own_answers
from workflow.click_keys import click_key
from workflow.project import Project

MOST_OF_A_PAIR = 500  # events of one pair that a page shows
CHANGED = "Answered anew on My answers."


def answer_page(
    project: Project, member: Member, *, kind: Kind | None, limit: int, skip: int
) -> list[LoggedEvent]:
    """What a member said, the newest first; what was taken back too."""
    wanted = LogFilter(member_id=member.member_id, kind=kind)
    return history.logged_events(project.store.reader(), wanted, limit=limit, skip=skip)


def label_page(project: Project, wanted: LogFilter, *, limit: int, skip: int) -> list[PairLabel]:
    """Current labels of the pairs with a standing event that fits, the newest event first."""
    with project.store.snapshot() as db:
        pairs = history.answered_pairs(db, wanted, limit=limit, skip=skip)
        return answers.labels_of_pairs(db, pairs)


def history_of(project: Project, asked: Pair) -> list[LoggedEvent]:
    """All that happened to a pair, the newest first: answers, voids, resolutions."""
    db = project.store.reader()
    return history.logged_events(db, LogFilter(pair=asked), limit=MOST_OF_A_PAIR, voids=True)


def answer_anew(project: Project, member: Member, key: str, kind: Kind) -> Receipt:
    """Say something else of a pair that one answered; both answers stay in the log.

    Sent twice it counts once: what the member says already is not stored again.

    Raises:
        InputError: there is no such answer of this member, it was taken back, or is a lead's word
            on a conflict, which only a settlement changes.
    """
    db = project.store.reader()
    found = history.find_logged(db, key)
    if found is None or found.event.member != member.name or not _can_change(found):
        raise InputError(
            "There is no answer of yours that could be changed.",
            "Reload the page to see the current state.",
        )
    of = found.event.pair
    now = own_answers(db, member.member_id, [of])[of]
    if now.kind is kind:
        said = answers.find_event(db, now.key)
        return Receipt(now.key, ReceiptStatus.REPEATED, said.event_id if said else None)
    new = NewAnswer(
        key=click_key(project, "anew", member, of=of, kind=kind, after=now.last_event_id),
        kind=kind,
        pair=of,
        answered_at=utc_now(),
        proposal_id=found.proposal_id,
        model=found.event.model,
        reason=CHANGED,
    )
    (receipt,) = answers.record_answers(project.store, member, [new])
    if receipt.message:
        raise InputError(receipt.message, "Reload the page to see the current state.")
    return receipt


def _can_change(found: LoggedEvent) -> bool:
    return found.stands and found.event.kind not in (Kind.VOID, Kind.RESOLUTION)


def paths_of(project: Project, groups: Iterable[Iterable[int]]) -> dict[int, str]:
    """The paths of the images of some pairs, or of other groups of ids, by id."""
    db = project.store.reader()
    found = (images.get_image(db, image_id) for image_id in {*chain.from_iterable(groups)})
    return {image.image_id: image.path for image in found if image is not None}
