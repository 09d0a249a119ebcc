import shutil

import pytest

from domain.answers import Kind, Propagation, Source
from domain.errors import InputError
from domain.flags import NewFlag
from domain.members import Role
from domain.pairs import Pair
from labeling_store import answers, exchange, relations
from labeling_store.conflicts import open_conflicts
from labeling_store.db import Store
from labeling_store.exchange import COLUMNS, ImportReport, import_rows
from labeling_store.files import read_rows
from labeling_store.flags import record_flags
from labeling_store.members import ensure_member, list_members
from tests.labeling_store.building import NOW, ask, catalogue, exported, said, undo, write_rows

FORMATS = ["csv", "jsonl", "parquet"]


@pytest.fixture
def busy(store, ann, bob, owner):
    """A store whose log has every kind of event, a conflict and texts that look like formulas."""
    ask(store, 3)
    more = dict(shown_at="2026-01-31T11:59:58.000+00:00", answer_ms=850, model="run-1")
    new = [
        said("k1", 1, 2, proposal_id=1, **more, reason="=HYPERLINK(1)"),
        said("k2", 2, 3, answered_at="2026-01-31T11:59:59.123+00:00", reason="'@x"),
        said("k3", 1, 3, Kind.DISSIMILAR, proposal_id=2),
        said("k4", 1, 4, Kind.UNSURE, proposal_id=3),
        said("k5", 4, 5, Kind.SKIP),
        said("k6", 5, 6, source=Source.SEED),
        undo("k7", "k6"),
    ]
    answers.record_answers(store, ann, new, now=NOW)
    answers.record_answers(store, bob, [said("k8", 8, 9, Kind.DISSIMILAR)], now=NOW)
    settled = said("k9", 8, 9, Kind.RESOLUTION, similar=True, refers_to_key="k8")
    answers.record_answers(store, owner, [settled, said("k10", 9, 10)], now=NOW)
    pair = NewFlag("f1", 1, 2, '=clouds, "dark"', proposal_id=1, flagged_at=NOW)
    images = [
        NewFlag("f2", 3, None),
        NewFlag("f3", 4, None),
        NewFlag("f4", 3, None, takes_back_key="f2"),
    ]
    record_flags(store, ann, [pair, *images], now=NOW)
    return store


@pytest.fixture
def empty(tmp_path, thirty_images):
    """Another project with the same images."""
    shutil.copy(thirty_images, tmp_path / "other.db")
    store = Store.open(tmp_path / "other.db")
    with store.transaction() as db:
        store.lead = ensure_member(db, "lead", Role.LEAD)
    yield store
    store.close()


def load(store, rows, member=None):
    return import_rows(store, member or store.lead, rows, pause=lambda _: None)


def log(store):
    return list(answers.events(store.reader()))


def through_file(path, rows, what, fmt):
    write_rows(path, list(rows), COLUMNS[what], fmt=fmt)
    return read_rows(path)


@pytest.mark.parametrize("fmt", FORMATS)
def test_an_exported_log_comes_back_in_every_field(busy, empty, tmp_path, fmt):
    rows = through_file(tmp_path / f"x.{fmt}", exported(busy, "answers"), "answers", fmt)
    report = load(empty, rows)
    assert report == ImportReport(stored=10, repeated=0, conflicts=1, implied=0)
    assert log(empty) == log(busy)
    assert answers.effort(empty.reader()) == answers.effort(busy.reader())
    assert [c.evidence for c in open_conflicts(empty.reader())] == [(Pair(1, 2), Pair(2, 3))]
    assert exported(empty, "answers") == exported(busy, "answers")


@pytest.mark.parametrize("fmt", FORMATS)
def test_importing_again_changes_nothing(busy, empty, tmp_path, owner, fmt):
    rows = through_file(tmp_path / f"x.{fmt}", exported(busy, "answers"), "answers", fmt)
    before = log(busy)
    assert load(busy, rows, owner).stored == 0
    assert log(busy) == before
    load(empty, rows)
    assert load(empty, rows) == ImportReport(stored=0, repeated=10, conflicts=0, implied=0)


@pytest.mark.parametrize("what", list(COLUMNS))
@pytest.mark.parametrize("fmt", FORMATS)
def test_the_same_log_gives_the_same_file(busy, tmp_path, what, fmt):
    for name in ("first", "second"):
        write_rows(tmp_path / name, exported(busy, what), COLUMNS[what], fmt=fmt)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


@pytest.mark.parametrize("what", list(COLUMNS))
def test_rows_are_the_same_however_many_are_in_memory(busy, monkeypatch, what):
    together = exported(busy, what)
    monkeypatch.setattr(exchange, "_PAGE", 2)
    tables = list(exchange.export_tables(busy, what))
    assert len(tables) == (len(together) + 1) // 2 > 1
    assert exported(busy, what) == together


@pytest.mark.parametrize("what", ["answers", "labels", "known"])
def test_every_export_has_the_columns_of_the_contract(busy, what):
    contract = ["image_a", "image_b", "similar", "source", "members", "answered_at"]
    rows = exported(busy, what)
    assert rows
    assert all(list(row) == list(COLUMNS[what]) for row in rows)
    assert list(COLUMNS[what])[:6] == contract
    assert {row["similar"] for row in rows} <= {0, 1, None}


def test_flags_come_with_how_they_ended(busy, empty):
    rows = exported(busy, "flags")
    assert all(list(each) == list(COLUMNS["flags"]) for each in rows)
    images = [(each["image_a"], each["image_b"]) for each in rows]
    assert images == [("0001.png", "0002.png"), ("0003.png", None), ("0004.png", None)]
    first, second, third = rows
    assert (first["note"], first["member"], first["round"]) == ('=clouds, "dark"', "ann", 1)
    assert [each["state"] for each in rows] == ["open", "taken_back", "open"]
    assert (second["ended_by"], second["ended_at"]) == ("ann", NOW)
    assert (third["flagged_at"], third["ended_by"], third["key"]) == (NOW, None, "f3")
    with pytest.raises(InputError, match="no column similar"):
        load(empty, rows)


@pytest.mark.parametrize("what", ["labels", "known"])
def test_what_comes_back_to_its_project_changes_nothing(store, ann, bob, what):
    """Else each member would seem to have answered twice."""
    answers.record_answers(store, ann, [said("a", 1, 2), said("b", 2, 3)], now=NOW)
    answers.record_answers(store, bob, [said("c", 3, 4, Kind.DISSIMILAR)], now=NOW)
    with store.transaction() as db:
        store.lead = ensure_member(db, "lead", Role.LEAD)
    before = log(store)
    report = load(store, exported(store, what))
    assert (report.stored, report.repeated) == (0, 3)
    assert log(store) == before


def test_all_that_a_file_says_of_a_pair_in_one_name_counts(store, ann):
    answers.record_answers(store, ann, [said("a", 1, 2)], now=NOW)
    with store.transaction() as db:
        store.lead = ensure_member(db, "lead", Role.LEAD)
    first, second = "2026-02-01T00:00:00.000+00:00", "2026-02-02T00:00:00.000+00:00"
    again = [row(1, 2, 0, member="ann", answered_at=first)]
    again += [row(1, 2, 1, member="ann", answered_at=second)]
    assert load(store, again).stored == 2
    (label,) = answers.pair_labels(store.reader())
    assert label.similar is True


def test_labels_are_one_row_a_pair_with_all_members(store, ann, bob):
    answers.record_answers(store, ann, [said("a", 1, 2)], now=NOW)
    answers.record_answers(store, bob, [said("b", 1, 2), said("c", 2, 3, Kind.UNSURE)], now=NOW)
    rows = exported(store, "labels")
    assert [(row["similar"], row["members"]) for row in rows] == [(1, "ann; bob"), (None, "bob")]
    assert rows[0]["image_a"] == "0001.png"


def test_known_rows_carry_a_proof_and_are_not_imported_as_answers(store, ann, empty):
    answers.record_answers(store, ann, [said("a", 1, 2), said("b", 2, 3)], now=NOW)
    rows = exported(store, "known")
    (implied,) = (row for row in rows if row["implied"])
    assert implied["proof"] == '[["0001.png", "0002.png"], ["0002.png", "0003.png"]]'
    assert (implied["source"], implied["members"]) == ("implied", None)
    assert load(empty, rows) == ImportReport(stored=2, repeated=0, conflicts=0, implied=1)
    assert [event.member for event in log(empty)] == ["ann", "ann"]


def test_known_has_answers_outside_training_which_spread_nothing(tmp_path):
    store = Store.open(tmp_path / "labels.db", create=True)
    catalogue(store, train=2, validation=1)
    with store.transaction() as db:
        ann = ensure_member(db, "ann", Role.ANNOTATOR)
    answers.record_answers(store, ann, [said("a", 1, 3), said("b", 2, 3)])
    rows = exported(store, "known")
    assert [(row["image_a"], row["image_b"], row["implied"]) for row in rows] == [
        ("0001.png", "0003.png", 0),
        ("0002.png", "0003.png", 0),
    ]
    store.close()


def row(a=1, b=2, similar=1, **more):
    return {"image_a": f"{a:04}.png", "image_b": f"{b:04}.png", "similar": similar, **more}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (1, "similar"), ("1", "similar"), ("1.0", "similar"), (1.0, "similar"), (True, "similar"),
        ("similar", "similar"), (0, "dissimilar"), ("0", "dissimilar"), (False, "dissimilar"),
        ("", "unsure"), (None, "unsure"), (float("nan"), "unsure"),
    ],
)  # fmt: skip
def test_three_columns_are_enough(empty, text, kind):
    load(empty, [row(similar=text)])
    (event,) = log(empty)
    assert (event.kind, event.source, event.member) == (kind, "import", "lead")


def test_the_same_simple_file_counts_once(empty):
    rows = [row(1, 2), row(2, 1), row(1, 3, 0), row(1, 2)]
    assert load(empty, rows) == ImportReport(stored=2, repeated=2, conflicts=0, implied=0)
    assert load(empty, rows).stored == 0
    assert load(empty, [row(1, 2, 0)]).stored == 1


GOOD = [
    row(1, 2, event_id=1),
    row(2, 3, event_id=2, key="k2"),
    row(1, 2, "", event_id=3, kind="void", refers_to=1),
]


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (row(1, 99), "no such image in the archive: '0099.png'"),
        (row(1, 1), "both images are the same"),
        (row(similar="maybe"), "must be 1, 0 or empty: 'maybe'"),
        (row(similar=2), "must be 1, 0 or empty: '2'"),
        (row(kind="loved"), "`kind` must be one of similar"),
        (row(kind="dissimilar"), "contradict each other"),
        (row(source="rumour"), "`source` must be one of click"),
        (row(kind="void", similar="", refers_to=77), "not before it in the file: 77"),
        (row(kind="void", similar=""), "an undo must refer to an event"),
        (row(answered_at="yesterday"), "must be a time in ISO 8601: 'yesterday'"),
        (row(answer_ms="fast"), "must be a number: 'fast'"),
        (row(round=1.5), "must be a whole number"),
        (row(uncertainty="inf"), "must be a finite number"),
        (row(answer_ms=1e30), "`answer_ms` is too large: 1e+30"),
        (row(answered_at="0001-01-01T00:00+14:00"), "must be a time in ISO 8601"),
        (row(reason="\ud83d"), r"`reason` has half a character: '\ud83d'"),
        (row(3, 4, event_id=1), "`event_id` is that of another answer in the file: 1"),
        (row(3, 4, key="k2"), "`key` is that of another answer in the file: 'k2'"),
        (row(event_id=4, kind="void", similar="", refers_to=3), "an undo cannot be taken back: 3"),
        ({"image_a": "0001.png", "similar": 1}, "Row 4 has no column image_b"),
        ({"image_a;image_b;similar": "a;b;1"}, "but image_a;image_b;similar"),
    ],
)
def test_one_wrong_row_keeps_the_whole_file_out(empty, bad, problem):
    with pytest.raises(InputError, match="othing was imported") as caught:
        load(empty, [*GOOD, bad])
    assert problem in caught.value.message
    assert log(empty) == []


def test_a_key_that_another_answer_has_is_refused_instead_of_taken_for_known(empty):
    """Its row would be lost without a word; known are rows with the same pair and answer."""
    load(empty, [row(1, 2, key="k")])
    for other in (row(2, 3, key="k"), row(1, 2, 0, key="k")):
        with pytest.raises(InputError, match=r"1 of 2 rows.*another answer in the project: 'k'"):
            load(empty, [row(4, 5), other])
    assert len(log(empty)) == 1
    assert load(empty, [row(2, 1, key="k", member="eve")]).repeated == 1


def test_wrong_rows_are_counted_by_reason(empty):
    rows = [row(1, 2), *(row(1, 90 + n) for n in range(5)), row(3, 3)]
    with pytest.raises(InputError, match=r"6 of 7 rows.*no such image.*and 2 more.*same.*row 7"):
        load(empty, rows)


def test_names_in_another_case_are_no_new_people(empty):
    """Else one person's two words on a pair would count as two people's."""
    names = ("Ève", "ève", "ÈVE", "adam", "Adam")
    assert load(empty, [row(member=name, key=name) for name in names]).stored == 5
    assert [each.name for each in list_members(empty.reader())] == ["lead", "Ève", "adam"]
    assert [each.member for each in log(empty)] == ["Ève", "Ève", "Ève", "adam", "adam"]


def test_an_annotator_imports_only_their_own_answers(empty):
    with empty.transaction() as db:
        eve = ensure_member(db, "eve", Role.ANNOTATOR)
    with pytest.raises(InputError, match="only a lead"):
        load(empty, [row(member="ann")], eve)
    assert load(empty, [row(member="eve"), row(2, 3)], eve).stored == 2


def test_a_time_without_a_zone_is_utc(empty):
    load(
        empty,
        [row(answered_at="2026-01-31 12:00"), row(2, 3, answered_at="2026-01-31T13:00+01:00")],
    )
    assert {event.answered_at for event in log(empty)} == {"2026-01-31T12:00:00.000+00:00"}


def test_a_large_import_lets_others_write_in_between(empty):
    pauses = []
    rows = [row(a, b) for a in range(1, 30) for b in range(a + 1, 31)] * 3
    numbered = [{**each, "key": f"k{n}"} for n, each in enumerate(rows)]
    report = import_rows(empty, empty.lead, numbered, pause=pauses.append)
    assert report.stored == len(rows)
    assert len(pauses) == (len(rows) - 1) // 500


def test_an_import_counts_for_the_relations(empty):
    load(empty, [row(1, 2), row(2, 3)])
    known = relations.known_relations(empty, Propagation.CLOSURE)
    assert {each.pair for each in known} == {Pair(1, 2), Pair(2, 3), Pair(1, 3)}
