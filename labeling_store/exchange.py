"""Pair sets out of a project and into it; images are named by their path below the archive."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from domain.answers import KnownRelation, PairLabel, Propagation, Receipt, ReceiptStatus
from domain.errors import InputError, shortened
from domain.images import Part
from domain.members import Member
from domain.pairs import Pair
from labeling_store import answers, images, relations
from labeling_store.db import Store
from labeling_store.files import Columns
from labeling_store.imported import IMPLIED, MEMBERS_SEPARATOR, read_answers

What = Literal["answers", "labels", "known"]

_PAIR: Columns = {"image_a": str, "image_b": str, "similar": int}
_WHO: Columns = {"source": str, "members": str, "answered_at": str}
COLUMNS: Mapping[What, Columns] = {
    "answers": {
        **_PAIR,
        **_WHO,
        "event_id": int,
        "kind": str,
        "refers_to": int,
        "member": str,
        "round": int,
        "key": str,
        "shown_at": str,
        "answer_ms": int,
        "model": str,
        "reason": str,
        "uncertainty": float,
    },
    "labels": {**_PAIR, **_WHO, "round": int, "in_conflict": int},
    "known": {**_PAIR, **_WHO, "round": int, "implied": int, "weight": float, "proof": str},
}
_TOGETHER = 500  # rows in one transaction: a tenth of a second of everybody's write lock
_PAUSE_S = 0.12  # longer than SQLite sleeps between two tries for the lock, so others get it


def export_rows(
    store: Store, what: What, *, propagation: Propagation = Propagation.CLOSURE
) -> Iterator[dict[str, Any]]:
    """The rows of an export, with the columns of `COLUMNS[what]`.

    Args:
        store: people's work.
        what: `answers` gives every event of the log, `labels` one row a pair that people answered,
            `known` what training knows, implied pairs with their proof included, and the answered
            pairs outside the training part, which spread nothing.
        propagation: how far `known` spreads.

    Returns:
        `similar` is 1, 0, or None; the same log gives the same rows in the same order.
    """
    return _ROWS[what](store, propagation)


def _answers(store: Store, _: Propagation) -> Iterator[dict[str, Any]]:
    paths = _paths(store)
    for event in answers.events(store.reader()):
        yield {
            **_pair(paths, event.pair, event.similar),
            "source": event.source.value,
            "members": event.member,
            "answered_at": event.answered_at,
            "event_id": event.event_id,
            "kind": event.kind.value,
            "refers_to": event.refers_to,
            "member": event.member,
            "round": event.round_number,
            "key": event.key,
            "shown_at": event.shown_at,
            "answer_ms": event.answer_ms,
            "model": event.model,
            "reason": event.reason,
            "uncertainty": event.uncertainty,
        }


def _labels(store: Store, _: Propagation) -> Iterator[dict[str, Any]]:
    paths = _paths(store)
    for label in answers.pair_labels(store.reader()):
        yield {
            **_pair(paths, label.pair, label.similar),
            "source": label.source.value,
            "members": MEMBERS_SEPARATOR.join(label.members),
            "answered_at": label.answered_at,
            "round": label.round_number,
            "in_conflict": int(label.in_conflict),
        }


def _known(store: Store, propagation: Propagation) -> Iterator[dict[str, Any]]:
    paths = _paths(store)
    labels = {label.pair: label for label in answers.pair_labels(store.reader())}
    known = relations.known_relations(store, propagation)
    for each in [*known, *_outside_training(store, labels)]:
        label = None if each.implied else labels[each.pair]
        proof = [[paths[step.a], paths[step.b]] for step in each.proof]
        yield {
            **_pair(paths, each.pair, each.similar),
            "source": label.source.value if label else IMPLIED,
            "members": MEMBERS_SEPARATOR.join(label.members) if label else None,
            "answered_at": label.answered_at if label else None,
            "round": label.round_number if label else None,
            "implied": int(each.implied),
            "weight": each.weight,
            "proof": json.dumps(proof, ensure_ascii=False) if proof else None,
        }


def _outside_training(store: Store, labels: Mapping[Pair, PairLabel]) -> list[KnownRelation]:
    training = {image.image_id for image in images.list_images(store.reader(), part=Part.TRAIN)}
    return [
        KnownRelation(each, label.similar, implied=False)
        for each, label in labels.items()
        if label.similar is not None and not training.issuperset(each)
    ]


def _paths(store: Store) -> dict[int, str]:
    by_path = images.image_ids_by_path(store.reader())
    return {image_id: path for path, image_id in by_path.items()}


def _pair(paths: Mapping[int, str], named: Pair, similar: bool | None) -> dict[str, Any]:
    said = None if similar is None else int(similar)
    return {"image_a": paths[named.a], "image_b": paths[named.b], "similar": said}


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    Attributes:
        stored: new events.
        repeated: rows that are in the log already, or stand in the file twice.
        conflicts: of the stored ones, how many contradict earlier answers.
        implied: rows that nobody answered; they are worked out anew from the others.
    """

    stored: int
    repeated: int
    conflicts: int
    implied: int


def import_rows(
    store: Store,
    member: Member,
    rows: Iterable[Mapping[str, Any]],
    *,
    pause: Callable[[float], None] = time.sleep,
) -> ImportReport:
    """Store the answers of a table; all rows are checked before the first is stored.

    Storing happens in small transactions with a pause between, so that people can answer meanwhile;
    an import that was cut off is completed by starting it again, as known rows change nothing.

    Args:
        store: people's work.
        member: who imports; also who answered, where a row does not say.
        rows: with `image_a`, `image_b`, `similar`, and any other column of an export.
        pause: how to wait.

    Raises:
        InputError: rows are not allowed; nothing was imported.
        StoreError: not everything could be saved.
    """
    found = read_answers(rows, images.image_ids_by_path(store.reader()), member)
    receipts: list[Receipt] = []
    for start in range(0, len(found.answers), _TOGETHER):
        if start:
            pause(_PAUSE_S)
        receipts += answers.record_answers(store, member, found.answers[start : start + _TOGETHER])
    refused = [receipt.message for receipt in receipts if receipt.status is ReceiptStatus.REJECTED]
    if refused:
        raise InputError(f"{len(refused)} rows were refused: {shortened(refused)}")
    stored = [receipt for receipt in receipts if receipt.status is ReceiptStatus.STORED]
    return ImportReport(
        stored=len(stored),
        repeated=len(receipts) - len(stored) + found.repeated,
        conflicts=sum(receipt.conflict for receipt in stored),
        implied=found.implied,
    )


_ROWS: Mapping[What, Callable[[Store, Propagation], Iterator[dict[str, Any]]]] = {
    "answers": _answers,
    "labels": _labels,
    "known": _known,
}
