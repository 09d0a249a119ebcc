"""Images, members, rounds and runs: what goes in comes out."""

import pytest

from domain.errors import StoreError
from domain.images import Part, QuarantinedFile, ScannedImage
from domain.members import Role
from domain.rounds import RoundState, Run
from labeling_store import images, members, rounds, runs
from labeling_store.db import Store
from tests.labeling_store.building import catalogue, scanned


def test_images_come_back_with_everything(store):
    image = ScannedImage("sub/é <b>.png", "aa", "bb", "0f", 20, 10, "forest")
    with store.transaction() as db:
        count = images.add_images(
            db, [image], duplicate_groups=[7], split_groups=[8], parts=[Part.TEST]
        )
    (record,) = images.list_images(store.reader(), part=Part.TEST)
    assert count == 1
    assert {name: getattr(record, name) for name in vars(image)} == vars(image)
    assert (record.duplicate_group, record.split_group, record.part) == (7, 8, Part.TEST)
    assert images.get_image(store.reader(), record.image_id) == record
    assert images.image_ids_by_path(store.reader())[image.path] == record.image_id


def test_a_known_path_keeps_its_id_and_part(store):
    with store.transaction() as db:
        count = images.add_images(
            db,
            [scanned("0001.png"), scanned("new.png")],
            duplicate_groups=[50, 51],
            split_groups=[50, 51],
            parts=[Part.TEST, Part.TEST],
        )
    assert count == 1
    assert images.get_image(store.reader(), 1).part is Part.TRAIN
    assert [image.path for image in images.list_images(store.reader())][-1] == "new.png"


def test_there_is_no_image_of_an_unknown_id(store):
    assert images.get_image(store.reader(), 999) is None


def test_parts_are_listed_apart(tmp_path):
    store = Store.open(tmp_path / "labels.db", create=True)
    catalogue(store, train=3, validation=2, test=1)
    sizes = [len(images.list_images(store.reader(), part=part)) for part in [*Part, None]]
    assert sizes == [3, 2, 1, 6]
    store.close()


def test_a_file_leaves_quarantine_when_it_can_be_read(store):
    bad = [QuarantinedFile("b.png", "truncated"), QuarantinedFile("a.png", "empty")]
    with store.transaction() as db:
        images.quarantine(db, bad)
        images.quarantine(db, [QuarantinedFile("b.png", "no image")])
    assert images.list_quarantined(store.reader()) == [bad[1], QuarantinedFile("b.png", "no image")]
    with store.transaction() as db:
        images.add_images(
            db, [scanned("b.png")], duplicate_groups=[1], split_groups=[1], parts=[Part.TRAIN]
        )
    assert images.list_quarantined(store.reader()) == [bad[1]]


def test_a_member_is_made_once_and_keeps_the_role(store, ann):
    with store.transaction() as db:
        assert members.ensure_member(db, "ann", Role.LEAD) == ann
    assert members.find_member(store.reader(), "ann") == ann
    assert members.find_member(store.reader(), "nobody") is None


def test_the_current_round_has_the_highest_number(store):
    assert rounds.current_round(store.reader()) is None
    with store.transaction() as db:
        second = rounds.create_round(db, number=2, strategy="mgue", model="run-1")
        first = rounds.create_round(db, number=1, strategy="random", model=None)
        rounds.set_round_state(db, first.round_id, RoundState.DONE)
    assert rounds.current_round(store.reader()) == second
    assert [(r.number, r.state) for r in rounds.list_rounds(store.reader())] == [
        (1, RoundState.DONE),
        (2, RoundState.COLLECTING),
    ]


def run(name, *, active=False, **metrics):
    return Run(name, 1, f"2026-01-{name}", "mobilenet_v2", "head", 10, 12, 40, active, metrics)


def test_one_run_is_active_and_an_earlier_one_can_be_again(store):
    first, second = run("01", active=True, map_at_5_hits=0.5), run("02", active=True, map=1 / 3)
    with store.transaction() as db:
        runs.add_run(db, first)
        runs.add_run(db, second)
    assert runs.active_run(store.reader()) == second
    with store.transaction() as db:
        runs.activate_run(db, "01")
    assert runs.active_run(store.reader()) == first
    assert [(r.name, r.active, r.metrics) for r in runs.list_runs(store.reader())] == [
        ("01", True, {"map_at_5_hits": 0.5}),
        ("02", False, {"map": 1 / 3}),
    ]


def test_a_run_that_is_not_there_cannot_be_activated(store):
    with store.transaction() as db:
        runs.add_run(db, run("01", active=True))
    with pytest.raises(StoreError, match='no run "02"'), store.transaction() as db:
        runs.activate_run(db, "02")
    assert runs.active_run(store.reader()).name == "01"


def test_before_the_first_run_none_is_active(store):
    assert runs.active_run(store.reader()) is None
    assert runs.list_runs(store.reader()) == []
