"""What is exported and imported into an empty project is the same in every field."""

import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.answers import Kind, NewAnswer, Propagation, ReceiptStatus, Source
from domain.members import Role
from domain.pairs import pair
from labeling_store import answers, relations
from labeling_store.conflicts import open_conflicts
from labeling_store.db import Store
from labeling_store.exchange import COLUMNS, import_rows
from labeling_store.files import read_rows
from labeling_store.members import ensure_member
from tests.labeling_store.building import exported, write_rows

NAMES = {"ann": Role.ANNOTATOR, "é 画, b": Role.ANNOTATOR, "=lead": Role.LEAD}
IMAGES = st.integers(1, 6)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(
    lambda moment: moment.replace(tzinfo=UTC).isoformat(timespec="milliseconds")
)
KINDS = st.sampled_from([*(Kind.SIMILAR, Kind.DISSIMILAR) * 3, *Kind])


@dataclass(frozen=True)
class Step:
    """An event of the log; `target` chooses the earlier event that a void or resolution names."""

    member: str
    kind: Kind
    pair: tuple[int, int]
    target: int
    similar: bool | None
    fields: dict


STEPS = st.builds(
    Step,
    member=st.sampled_from(sorted(NAMES)),
    kind=KINDS,
    pair=st.tuples(IMAGES, IMAGES).filter(lambda each: each[0] != each[1]),
    target=st.integers(0, 30),
    similar=st.sampled_from([True, False, None]),
    fields=st.fixed_dictionaries(
        {},
        optional={
            "source": st.sampled_from(Source),
            "shown_at": MOMENTS,
            "answered_at": MOMENTS,
            "answer_ms": st.integers(0, 10**7),
            "model": TEXTS,
            "reason": TEXTS,
            "uncertainty": st.floats(allow_nan=False, allow_infinity=False),
            "round_number": st.integers(0, 1000),
        },
    ),
)


def record(store, steps):
    with store.transaction() as db:
        people = {name: ensure_member(db, name, role) for name, role in NAMES.items()}
    keys = []
    for number, step in enumerate(steps):
        refers = step.kind in (Kind.VOID, Kind.RESOLUTION) and keys
        new = NewAnswer(
            key=f"{number} {step.fields.get('reason', '')}",
            kind=step.kind,
            pair=pair(*step.pair),
            refers_to_key=keys[step.target % len(keys)] if refers else None,
            similar=step.similar if step.kind is Kind.RESOLUTION else None,
            **step.fields,
        )
        (receipt,) = answers.record_answers(store, people[step.member], [new])
        if receipt.status is ReceiptStatus.STORED:
            keys.append(new.key)
    return len(keys)


def all_of(store):
    """Everything the log says, and what follows from it."""
    db = store.reader()
    return {
        "events": list(answers.events(db)),
        "labels": answers.pair_labels(db),
        "effort": answers.effort(db),
        "conflicts": [(each.pair, each.evidence, each.event_id) for each in open_conflicts(db)],
        "known": [relations.known_relations(store, each) for each in Propagation],
        "exports": [exported(store, what) for what in COLUMNS],
    }


@pytest.mark.parametrize("fmt", ["csv", "jsonl", "parquet"])
@settings(max_examples=15, deadline=None)
@given(steps=st.lists(STEPS, min_size=1, max_size=20))
def test_a_log_comes_back_in_every_field(thirty_images, fmt, steps):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stores = []
        for database in ("one.db", "two.db"):
            shutil.copy(thirty_images, folder / database)
            stores.append(Store.open(folder / database))
        first, second = stores
        stored = record(first, steps)
        file = folder / f"log.{fmt}"
        write_rows(file, exported(first, "answers"), COLUMNS["answers"], fmt=fmt)
        with second.transaction() as db:
            lead = ensure_member(db, "=lead", Role.LEAD)
        report = import_rows(second, lead, read_rows(file), pause=lambda _: None)
        assert (report.stored, report.repeated) == (stored, 0)
        assert all_of(second) == all_of(first)
        again = import_rows(second, lead, read_rows(file), pause=lambda _: None)
        assert (again.stored, again.repeated) == (0, stored)
        for store in stores:
            store.close()
