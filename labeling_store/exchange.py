"""Pair sets out of a project and into it; images are named by their path below the archive."""

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from domain.answers import (
    KnownRelation,
    NewAnswer,
    PairLabel,
    Propagation,
    Receipt,
    ReceiptStatus,
)
from domain.config import Journal
from domain.errors import InputError, shortened
from domain.images import Part
from domain.members import Member
from domain.pairs import Pair
from labeling_store import answers, conflicts, flags, images, members, relations
from labeling_store.db import Store
from labeling_store.files import Columns, Table
from labeling_store.imported import (
    IMPLIED,
    MEMBERS_SEPARATOR,
    Found,
    examine,
    keys_of_others,
    refusal,
    said_already,
)

What = Literal["answers", "labels", "known", "flags"]

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
    "flags": {
        "image_a": str,
        "image_b": str,
        "note": str,
        "member": str,
        "flagged_at": str,
        "round": int,
        "state": str,
        "ended_by": str,
        "ended_at": str,
        "key": str,
    },
}
# In the order of the columns of "answers", with ids for the images and members.
_EVENTS_AFTER = """
    SELECT a, b, similar, source, member_id, answered_at, event_id, kind, refers_to, member_id,
        round_number, key, shown_at, answer_ms, model, reason, uncertainty
    FROM event WHERE event_id > :after ORDER BY event_id LIMIT :limit
"""
_MEMBERS = "SELECT member_id, name FROM member"
_PAGE = 50_000  # rows in memory at once
_TOGETHER = 500  # rows in one transaction: a tenth of a second of everybody's write lock
_PAUSE_S = 0.12  # longer than SQLite sleeps between two tries for the lock, so others get it


def export_tables(
    store: Store, what: What, *, propagation: Propagation = Propagation.CLOSURE
) -> Iterator[Table]:
    """The rows of an export, some at a time, with the columns of `COLUMNS[what]`.

    Args:
        store: people's work; in a snapshot, so that all is of one moment.
        what: `answers` gives every event of the log, `labels` one row a pair that people answered,
            `known` what training knows, implied pairs with their proof included, and the answered
            pairs outside the training part, which spread nothing; `flags` gives every flag, of one
            image where `image_b` is None, with how it ended.
        propagation: how far `known` spreads.

    Returns:
        `similar` is 1, 0, or None; the same log gives the same rows in the same order.
    """
    if what == "answers":
        return _answers(store)
    if what == "known":
        return _in_tables(_known(store, propagation), COLUMNS[what])
    return _in_tables(_labels(store) if what == "labels" else _flags(store), COLUMNS[what])


def _in_tables(rows: Iterator[Mapping[str, Any]], columns: Columns) -> Iterator[Table]:
    while some := list(islice(rows, _PAGE)):
        yield {name: [row[name] for row in some] for name in columns}


def _answers(store: Store) -> Iterator[Table]:
    """The log, oldest first; column by column, as a million events are many."""
    paths, members_by_id = _paths(store), dict(store.reader().execute(_MEMBERS).fetchall())
    rows = store.reader().cursor()
    rows.row_factory = None
    after = 0
    while page := rows.execute(_EVENTS_AFTER, {"after": after, "limit": _PAGE}).fetchall():
        columns = zip(*page, strict=True)
        table: dict[str, Sequence[Any]] = dict(zip(COLUMNS["answers"], columns, strict=True))
        after = table["event_id"][-1]
        for name in ("image_a", "image_b"):
            table[name] = [paths[image_id] for image_id in table[name]]
        table["members"] = table["member"] = [members_by_id[each] for each in table["member"]]
        yield table


def _labels(store: Store) -> Iterator[dict[str, Any]]:
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


def _flags(store: Store) -> Iterator[dict[str, Any]]:
    paths = _paths(store)
    for each in flags.all_flags(store.reader()):
        first, *second = (paths[image_id] for image_id in each.image_ids)
        yield {
            **vars(each),
            "image_a": first,
            "image_b": second[0] if second else None,
            "round": each.round_number,
            "state": "open" if each.end is None else each.end.value,
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
    found = _examined(store, member, rows)
    if found.wrong:
        raise refusal(found)
    receipts = _record(store, member, found.answers, pause)
    refused = [receipt.message for receipt in receipts if receipt.status is ReceiptStatus.REJECTED]
    if refused:
        raise InputError(f"{len(refused)} rows were refused: {shortened(refused)}")
    return _report(receipts, found)


@dataclass(frozen=True)
class Rehearsal:
    """What an import would do.

    Attributes:
        rows: of the file.
        report: of the rows that can be imported.
        kinds: how many new answers of each kind.
        new_members: names of people who would be added.
        opened: conflicts that would be open then and are not now.
        problems: why the file would be refused as a whole; none: it can be imported.
    """

    rows: int
    report: ImportReport
    kinds: Mapping[str, int]
    new_members: tuple[str, ...]
    opened: int
    problems: tuple[str, ...]


def rehearse_import(store: Store, member: Member, rows: Sequence[Mapping[str, Any]]) -> Rehearsal:
    """What `import_rows` would do, found by doing it to a copy; the store is not touched.

    Raises:
        StoreError: there is no room for the copy.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / store.path.name
        store.copy_to(path)
        copy = Store.open(path, journal=Journal.WAL)  # nobody else ever sees it
        try:
            return _rehearse(copy, member, rows)
        finally:
            copy.close()


def _rehearse(copy: Store, member: Member, rows: Sequence[Mapping[str, Any]]) -> Rehearsal:
    db = copy.reader()
    try:
        found = _examined(copy, member, rows)
    except InputError as error:
        nothing = ImportReport(stored=0, repeated=0, conflicts=0, implied=0)
        return Rehearsal(len(rows), nothing, {}, (), 0, (error.message,))
    open_before = {conflict.pair for conflict in conflicts.open_conflicts(db)}
    known = {known.name for known in members.list_members(db)}
    receipts = _record(copy, member, found.answers, pause=lambda _: None)
    kinds = Counter(
        answer.kind.value
        for answer, receipt in zip(found.answers, receipts, strict=True)
        if receipt.status is ReceiptStatus.STORED
    )
    open_after = {conflict.pair for conflict in conflicts.open_conflicts(db)}
    added = {known.name for known in members.list_members(db)} - known
    problems = [refusal(found).message] if found.wrong else []
    problems += [each.message for each in receipts if each.status is ReceiptStatus.REJECTED]
    return Rehearsal(
        rows=len(rows),
        report=_report(receipts, found),
        kinds=dict(kinds),
        new_members=tuple(sorted(added)),
        opened=len(open_after - open_before),
        problems=tuple(problems),
    )


def _examined(store: Store, member: Member, rows: Iterable[Mapping[str, Any]]) -> Found:
    """What rows stand for; wrong are also those with the key of another answer of the log."""
    db = store.reader()
    found = examine(rows, images.image_ids_by_path(db), member)
    other = keys_of_others(db, found.answers)
    if other:
        found.wrong["`key` is that of another answer in the project"] = sorted(map(repr, other))
    known = said_already(db, found.answers, member)
    found.repeated += len(known)
    found.answers = [each for each in found.answers if each.key not in other | known]
    return found


def _record(
    store: Store, member: Member, new: Sequence[NewAnswer], pause: Callable[[float], None]
) -> list[Receipt]:
    receipts: list[Receipt] = []
    for start in range(0, len(new), _TOGETHER):
        if start:
            pause(_PAUSE_S)
        receipts += answers.record_answers(store, member, new[start : start + _TOGETHER])
    return receipts


def _report(receipts: Sequence[Receipt], found: Found) -> ImportReport:
    stored = [receipt for receipt in receipts if receipt.status is ReceiptStatus.STORED]
    return ImportReport(
        stored=len(stored),
        repeated=sum(receipt.status is ReceiptStatus.REPEATED for receipt in receipts)
        + found.repeated,
        conflicts=sum(receipt.conflict for receipt in stored),
        implied=found.implied,
    )
