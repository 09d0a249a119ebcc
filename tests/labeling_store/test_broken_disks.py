"""Disks that are full, read-only or broken, clocks that jump: what was stored is never lost."""

import os
import shutil
import subprocess

import pytest

from domain.answers import Kind
from domain.clock import later
from domain.errors import StoreError
from domain.members import Role
from labeling_store import answers, members, queue
from labeling_store.db import Store
from tests.labeling_store.building import NOW, ask, claim, said, undo

LONG = "why " * 500  # so that a small disk is full soon


def mount(*words):
    subprocess.run(["mount", *map(str, words)], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path, thirty_images):
    """A disk of its own with 1 MB, and a project's database on it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    try:
        mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", folder)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk cannot be mounted here: {error}")
    shutil.copy(thirty_images, folder / "labels.db")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def keys(store):
    return [event.key for event in answers.events(store.reader())]


def is_sound(store):
    db = store.reader()
    whole = db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    return whole and db.execute("PRAGMA foreign_key_check").fetchall() == []


def enrol(store, name="ann"):
    with store.transaction() as db:
        return members.ensure_member(db, name, Role.ANNOTATOR)


def answer_until_refused(store, member):
    """The keys of the answers that were acknowledged, and the refusal."""
    stored = []
    for number in range(2000):
        new = said(f"k{number}", 1, 2 + number % 29, reason=LONG)
        try:
            stored += [receipt.key for receipt in answers.record_answers(store, member, [new])]
        except StoreError as refusal:
            return stored, refusal
    return pytest.fail("the disk is too large")


def test_answers_on_a_full_disk_are_refused_and_go_on_when_there_is_space(disk):
    store = Store.open(disk / "labels.db", checkpoints=True)
    ann = enrol(store)
    stored, refusal = answer_until_refused(store, ann)
    assert "Not saved" in refusal.message
    assert "disk" in refusal.message
    assert len(stored) > 10
    assert keys(store) == stored
    mount("-o", "remount,size=8m", disk)
    answers.record_answers(store, ann, [said("after", 1, 2)])
    assert keys(store) == [*stored, "after"]
    assert is_sound(store)
    store.close()


def test_a_process_killed_on_a_full_disk_leaves_what_it_acknowledged(disk, tmp_path):
    store = Store.open(disk / "labels.db", checkpoints=True)
    stored, _ = answer_until_refused(store, enrol(store))
    for ending in ("", "-wal"):
        shutil.copy(disk / f"labels.db{ending}", tmp_path / f"labels.db{ending}")
    store.close()
    left = Store.open(tmp_path / "labels.db")
    assert keys(left) == stored
    assert is_sound(left)
    left.close()


def test_a_disk_that_became_read_only_can_be_read_and_is_written_again_afterwards(disk):
    store = Store.open(disk / "labels.db")
    ann = enrol(store)
    answers.record_answers(store, ann, [said("before", 1, 2)])
    store.close()
    mount("-o", "remount,ro", disk)
    store = Store.open(disk / "labels.db")
    assert keys(store) == ["before"]
    with pytest.raises(StoreError, match=r"Not saved: .* cannot be written"):
        answers.record_answers(store, ann, [said("meanwhile", 1, 3)])
    store.close()
    mount("-o", "remount,rw", disk)
    store = Store.open(disk / "labels.db")
    answers.record_answers(store, ann, [said("after", 1, 3)])
    assert keys(store) == ["before", "after"]
    store.close()


def test_an_open_store_survives_a_disk_that_is_read_only_for_a_while(store, ann):
    """As the system sets a failing disk read-only under programs that have its files open."""
    answers.record_answers(store, ann, [said("before", 1, 2)])
    store.reader().execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match=r"Not saved: .* cannot be written"):
        answers.record_answers(store, ann, [said("meanwhile", 1, 3)])
    store.reader().execute("PRAGMA query_only = OFF")
    answers.record_answers(store, ann, [said("meanwhile", 1, 3), said("after", 2, 3)])
    assert keys(store) == ["before", "meanwhile", "after"]
    assert store.ledger.relation(said("x", 1, 2).pair) is True


@pytest.mark.parametrize("cut_bytes", [1, 100, 4096, 9000])
def test_a_log_torn_by_a_power_cut_keeps_what_was_flushed_before(store, ann, tmp_path, cut_bytes):
    answers.record_answers(store, ann, [said("kept", 1, 2)])
    flushed = store.path.with_name("labels.db-wal").stat().st_size
    answers.record_answers(store, ann, [said("torn", 1, 3)])
    for ending in ("", "-wal"):
        shutil.copy(f"{store.path}{ending}", tmp_path / f"after.db{ending}")
    log = tmp_path / "after.db-wal"
    os.truncate(log, max(flushed, log.stat().st_size - cut_bytes))
    after = Store.open(tmp_path / "after.db")
    assert keys(after) == ["kept"]
    assert is_sound(after)
    answers.record_answers(after, ann, [said("torn", 1, 3)])  # the page sends it again
    assert keys(after) == ["kept", "torn"]
    after.close()


def damage(path, table):
    """Overwrite the page at which a table begins."""
    store = Store.open(path)
    found = store.reader().execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,))
    (page,) = found.fetchone()
    store.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)


@pytest.mark.parametrize("table", ["event", "sqlite_autoindex_event_1", "response"])
def test_a_damaged_file_says_so_with_the_way_out(store, ann, table):
    answers.record_answers(store, ann, [said("k", 1, 2)])
    store.close()
    damage(store.path, table)
    damaged = Store.open(store.path)
    ask_of = said("next", 1, 3, proposal_id=1)
    with pytest.raises(StoreError, match="damaged") as refusal:
        answers.record_answers(damaged, ann, [ask_of])
    assert "restore" in refusal.value.hint
    damaged.close()


@pytest.mark.parametrize("jump_s", [-86400 * 3650, -3600, 3600, 86400 * 3650])
def test_a_clock_that_jumps_changes_no_label_and_blocks_no_question(store, ann, bob, jump_s):
    round_id = ask(store, 3)
    first, *_ = claim(store, ann, round_id, count=3)
    then = later(NOW, jump_s)
    by_ann = said("one", *first.pair, proposal_id=first.proposal_id)
    answers.record_answers(store, ann, [by_ann], now=NOW)
    changed = said("two", *first.pair, Kind.DISSIMILAR, proposal_id=first.proposal_id)
    answers.record_answers(store, ann, [changed], now=then)
    assert keys(store) == ["one", "two"]
    assert answers.pair_labels(store.reader())[0].similar is False  # the later word, by its place
    claimed = claim(store, bob, round_id, count=3, now=then)
    assert len(claimed) == 2
    answers.record_answers(store, ann, [undo("undo", "two", *first.pair)], now=then)
    assert answers.pair_labels(store.reader())[0].similar is True
    assert queue.queue_status(store, round_id, then).open == 0
