"""Labels as people gave them: current label of each pair, history, taking back."""

import uuid

from domain.answers import Event, Kind, NewAnswer, PairLabel, Receipt, ReceiptStatus
from domain.clock import utc_now
from domain.errors import InputError
from domain.members import Member
from labeling_store import answers, images, settling
from workflow.project import Project


def pair_labels(project: Project) -> list[PairLabel]:
    """The current label of every answered pair, the newest answer first."""
    labels = answers.pair_labels(project.store.reader())
    return sorted(labels, key=lambda label: label.answered_at, reverse=True)


def recent_answers(project: Project, member: Member, limit: int = 20) -> list[Event]:
    """A member's newest standing answers first."""
    return answers.recent_answers(project.store.reader(), member.member_id, limit)


def take_back(project: Project, member: Member, key: str) -> Receipt:
    """Void the answer of that key; labels that depended on it go, the question is open again.

    Of a lead's word on a conflict, all that was settled with it goes.

    Raises:
        AccessError: it is a lead's word, and the member is no lead.
        InputError: there is no such answer, or this member may not take it back.
    """
    event = answers.find_event(project.store.reader(), key)
    if event is None:
        raise InputError(
            f'There is no answer "{key}" to take back.', "Reload the page to see the current state."
        )
    if event.kind is Kind.RESOLUTION:
        words = settling.keys_of_settlement(project.store.reader(), key)
        settling.take_settlement_back(project.store, member, words)
        return Receipt(key, ReceiptStatus.STORED if words else ReceiptStatus.REPEATED)
    now = utc_now()
    void = NewAnswer(
        key=str(uuid.uuid4()),
        kind=Kind.VOID,
        pair=event.pair,
        shown_at=now,
        answered_at=now,
        refers_to_key=key,
    )
    (receipt,) = answers.record_answers(project.store, member, [void])
    if receipt.message:
        raise InputError(receipt.message, "Reload the page to see the current state.")
    return receipt


def paths(project: Project) -> dict[int, str]:
    """Path of every catalogued image, by id."""
    return {image.image_id: image.path for image in images.list_images(project.store.reader())}
