import subprocess
import sys

import pytest

from domain.config import Journal
from domain.errors import StoreError
from labeling_store import answers, filesystems
from labeling_store.db import Store
from labeling_store.filesystems import network_file_system
from tests.labeling_store.building import said

WRITER = """
import sys
from pathlib import Path
from labeling_store.db import Store
from labeling_store import answers, members
from domain.answers import Kind, NewAnswer
from domain.members import Role
from domain.pairs import pair
store = Store.open(Path(sys.argv[1]), journal="delete")
with store.transaction() as db:
    me = members.ensure_member(db, sys.argv[2], Role.ANNOTATOR)
for n in range(30):
    key, other = f"{sys.argv[2]} {n}", 2 + n % 29
    new = [NewAnswer(key, Kind.DISSIMILAR, pair(1, other))]
    if n % 5 == 4:
        new.append(NewAnswer(f"undo {key}", Kind.VOID, pair(1, other), refers_to_key=key))
    for receipt in answers.record_answers(store, me, new):
        print(receipt.key, flush=True)
"""
LINE = "36 35 98:0 / {at} rw,noatime shared:1 - {kind} server:/export rw\n"


@pytest.fixture
def mount(tmp_path, monkeypatch):
    """`mount("nfs4", folder)` makes the program believe that the folder is mounted so."""
    monkeypatch.setattr(filesystems, "MOUNTS", tmp_path / "mountinfo")
    (tmp_path / "mountinfo").write_text(LINE.format(at="/", kind="ext4"))

    def add(kind, at):
        with (tmp_path / "mountinfo").open("a") as file:
            file.write(LINE.format(at=str(at).replace(" ", "\\040"), kind=kind))

    return add


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "fuse", "ceph"])
def test_network_file_systems_are_known(tmp_path, mount, kind):
    mount(kind, tmp_path)
    assert network_file_system(tmp_path / "project" / "labels.db") == kind


@pytest.mark.parametrize(
    "kind",
    ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "9p", "fuseblk", "fuse.fuse-overlayfs"],
)
def test_disks_and_containers_are_no_network(tmp_path, mount, kind):
    mount(kind, tmp_path)
    assert network_file_system(tmp_path) is None


def test_the_deepest_and_newest_mount_counts(tmp_path, mount):
    mount("nfs4", tmp_path)
    (tmp_path / "my disk" / "project").mkdir(parents=True)
    mount("ext4", tmp_path / "my disk")
    assert network_file_system(tmp_path / "my disk" / "project") is None
    assert network_file_system(tmp_path / "my diskette") == "nfs4"
    mount("cifs", tmp_path / "my disk")
    assert network_file_system(tmp_path / "my disk" / "project") == "cifs"


def test_a_link_to_the_network_is_followed(tmp_path, mount):
    (tmp_path / "far").mkdir()
    mount("nfs", tmp_path / "far")
    (tmp_path / "near").symlink_to(tmp_path / "far")
    assert network_file_system(tmp_path / "near" / "labels.db") == "nfs"


def test_where_nothing_is_known_nothing_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(filesystems, "MOUNTS", tmp_path / "absent")
    assert network_file_system(tmp_path) is None
    (tmp_path / "odd").write_text("no mount\n36 35 - \n\n")
    monkeypatch.setattr(filesystems, "MOUNTS", tmp_path / "odd")
    assert network_file_system(tmp_path) is None


def journal_of(store):
    return store.reader().execute("PRAGMA journal_mode").fetchone()[0]


def test_a_store_on_a_network_is_refused_and_the_way_out_named(tmp_path, mount):
    mount("nfs4", tmp_path)
    with pytest.raises(StoreError, match=r"network file system \(nfs4\)") as caught:
        Store.open(tmp_path / "labels.db", create=True)
    assert 'journal = "delete" under [store]' in caught.value.hint
    assert not (tmp_path / "labels.db").exists()


@pytest.mark.parametrize("journal", [Journal.DELETE, Journal.WAL])
def test_the_setting_overrides_the_refusal(tmp_path, mount, journal):
    mount("nfs4", tmp_path)
    store = Store.open(tmp_path / "labels.db", create=True, journal=journal)
    assert journal_of(store) == journal.value
    store.close()


def test_a_project_with_a_log_goes_over_to_a_rollback_journal(store, ann):
    answers.record_answers(store, ann, [said("k1", 1, 2)])
    store.close()
    moved = Store.open(store.path, journal=Journal.DELETE)
    assert journal_of(moved) == "delete"
    assert not store.path.with_name("labels.db-wal").exists()
    answers.record_answers(moved, ann, [said("k2", 2, 3)])
    assert [event.key for event in answers.events(moved.reader())] == ["k1", "k2"]
    moved.close()


def test_two_processes_answer_with_a_rollback_journal(store, ann):
    store.close()
    Store.open(store.path, journal=Journal.DELETE).close()
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(store.path), f"m{n}"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for n in range(2)
    ]  # fmt: skip
    told = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0], told
    opened = Store.open(store.path, journal=Journal.DELETE)
    kept = {event.key for event in answers.events(opened.reader())}
    assert kept == {line for out, _ in told for line in out.splitlines()}
    assert len(kept) == 2 * (30 + 6)
    opened.close()
