"""Backups hold what people did, come back whole, and never cost what is there."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from domain.answers import Event
from domain.config import project_toml
from domain.errors import AnnealError, InputError, ProjectError, SchemaError, StoreError
from labeling_store import answers, images, relations, runs
from tests.labeling_store.test_past_versions import loaded
from tests.pictures import write_archive
from tests.ui import stage
from workflow import backup as backups
from workflow import jobs, members, rounds
from workflow.backup import MANIFEST, Backup, make_backup, read_backup
from workflow.creation import create_project
from workflow.project import CONFIG_NAME, Project, open_project
from workflow.restore import Restored, restore
from workflow.run_files import CHECKPOINT, is_usable

OPENER = """
import sys
from pathlib import Path
from workflow.project import open_project
project = open_project(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
"""
ANSWERER = """
import sys, time
from pathlib import Path
from labeling_store.db import Store
from labeling_store import answers, members
from domain.answers import Kind, NewAnswer
from domain.members import Role
from domain.pairs import pair
store = Store.open(Path(sys.argv[1]))
number = int(sys.argv[2])
with store.transaction() as db:
    me = members.ensure_member(db, f"m{number}", Role.ANNOTATOR)
for n in range(100_000):
    new = NewAnswer(f"{number} {n}", Kind.UNSURE, pair(1 + number, 20 + n % 10))
    answers.record_answers(store, me, [new])
    print(new.key, flush=True)
    time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed project with answers and two models; copied, as making it takes longer."""
    root = tmp_path_factory.mktemp("made")
    archive = write_archive(root / "images", each=8, classes=False)
    project = create_project(root / "project", images=archive).project
    stage.answer_questions(project, 10, unsure=2)
    for number in range(2):
        stage.add_model(project, number, metrics={"map_at_5_hits": 0.5}, bits=10 * number)
    project.close()
    return root / "project"


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def kept(folder: Path, tmp_path: Path) -> Backup:
    """A backup of the project as it was made."""
    return backed_up(folder, tmp_path / "first.zip")


def backed_up(folder: Path, target: Path, *, with_model: bool = True) -> Backup:
    project = open_project(folder)
    try:
        return make_backup(project, target, with_model=with_model)
    finally:
        project.close()


def content(folder: Path) -> dict[str, object]:
    """All that people did in a project, and how it stands."""
    project = open_project(folder)
    db = project.store.reader()
    found = {
        "events": list(answers.events(db)),
        "images": images.list_images(db),
        "known": relations.known_relations(project.store, project.config.propagation),
        "runs": runs.list_runs(db),
        "config": project.config,
        "proposals": [tuple(row) for row in db.execute("SELECT * FROM proposal")],
    }
    project.close()
    return found


def events(folder: Path) -> list[Event]:
    project = open_project(folder)
    found = list(answers.events(project.store.reader()))
    project.close()
    return found


def closed(done: Restored) -> Restored:
    done.project.close()
    return done


def answer_more(folder: Path) -> None:
    project = open_project(folder)
    stage.answer_questions(project, 5)
    project.close()


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_backup_comes_back_whole_in_a_new_folder(
    folder: Path, kept: Backup, tmp_path: Path
) -> None:
    done = closed(restore(kept.path, tmp_path / "deep" / "other"))
    assert content(tmp_path / "deep" / "other") == content(folder)
    assert (done.kept, done.warnings) == (None, ())
    assert is_usable(tmp_path / "deep" / "other" / "runs" / "r001")


def test_a_backup_says_what_is_in_it(folder: Path, kept: Backup) -> None:
    said = read_backup(kept.path).manifest
    assert said == kept.manifest
    assert (said.answers, said.images, said.model, said.with_model) == (12, 32, "r001", True)
    whole = {name for name in said.files if name.startswith("runs/r001/")}
    described = {name for name in said.files if name.startswith("runs/r000/")}
    assert f"runs/r001/{CHECKPOINT}" in whole
    assert "runs/r000/config.toml" in described
    assert f"runs/r000/{CHECKPOINT}" not in described
    assert "secret" not in said.files


def test_the_worker_is_asked_to_prepare_a_restored_project(kept: Backup, tmp_path: Path) -> None:
    done = restore(kept.path, tmp_path / "other")
    assert [job.kind for job in jobs.recent(done.project)] == [jobs.PREPARE]
    done.project.close()


def wait_for_another(folder: Path) -> None:
    """Until an answer is stored."""
    before = len(events(folder))
    for _ in range(3000):
        if len(events(folder)) > before:
            return
        time.sleep(0.01)
    pytest.fail("Nobody answered within half a minute")


def test_a_backup_made_while_16_processes_write_has_every_answer_acknowledged_before(
    folder: Path, tmp_path: Path
) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", ANSWERER, str(folder / "labels.db"), str(n)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(16)
    ]
    streams = [writer.stdout for writer in writers if writer.stdout is not None]
    acknowledged = {stream.readline().strip() for stream in streams}
    made = backed_up(folder, tmp_path / "busy.zip")
    wait_for_another(folder)
    for writer in writers:
        writer.kill()
        writer.communicate()
    closed(restore(made.path, tmp_path / "other"))
    kept, now = events(tmp_path / "other"), events(folder)
    assert acknowledged <= {event.key for event in kept}
    assert len(acknowledged) == 16
    assert kept == now[: len(kept)]
    assert len(now) > len(kept)


def test_a_project_is_replaced_only_when_told(folder: Path, kept: Backup) -> None:
    answer_more(folder)
    before = content(folder)
    with pytest.raises(ProjectError, match="holds a project already") as caught:
        restore(kept.path, folder)
    assert "--overwrite" in caught.value.hint
    assert content(folder) == before


def test_what_is_replaced_can_be_brought_back(folder: Path, kept: Backup) -> None:
    first = content(folder)
    answer_more(folder)
    second = content(folder)
    done = closed(restore(kept.path, folder, overwrite=True))
    assert content(folder) == first != second
    assert done.kept is not None
    closed(restore(done.kept, folder, overwrite=True))
    assert content(folder) == second
    assert is_usable(folder / "runs" / "r001")
    assert [path.name for path in folder.glob(".restoring*")] == []


def test_what_is_replaced_stays_here_where_the_settings_name_another_machine_s_disk(
    folder: Path, tmp_path: Path
) -> None:
    present = (folder / CONFIG_NAME).read_text()
    (folder / CONFIG_NAME).write_text(present + '\n[backup]\nfolder = "/proc/none/backups"\n')
    project = open_project(folder)
    made = make_backup(project, tmp_path / "elsewhere.zip")
    project.close()
    done = closed(restore(made.path, folder, overwrite=True))
    assert done.kept is not None
    assert done.kept.parent == folder / "backups"


def test_who_comes_after_a_restore_is_nobody_whom_the_restore_forgot(
    folder: Path, kept: Backup
) -> None:
    """Browsers still hold the sessions and unsent answers of those who came after the backup."""

    def joined(name: str) -> int:
        project = open_project(folder)
        member_id = members.join(project, name).member_id
        project.close()
        return member_id

    bob = joined("bob")
    closed(restore(kept.path, folder, overwrite=True))
    assert joined("carl") > bob


@pytest.mark.parametrize("said", ["{}", "[]", '{"format": null}', '{"format": [2]}', "7"])
def test_a_strange_manifest_is_no_backup(tmp_path: Path, said: str) -> None:
    path = tmp_path / "strange.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MANIFEST, said)
    with pytest.raises(InputError, match="is no backup of Anneal"):
        read_backup(path)


def test_a_damaged_project_is_kept_as_it_is_and_replaced(folder: Path, kept: Backup) -> None:
    first = content(folder)
    project = open_project(folder)
    stage.answer_questions(project, 5)
    log = (folder / "labels.db-wal").read_bytes()
    project.close()
    damaged = (folder / "labels.db").read_bytes()[:9000]
    (folder / "labels.db").write_bytes(damaged)
    (folder / "labels.db-wal").write_bytes(log)  # as a killed process leaves it behind
    done = closed(restore(kept.path, folder, overwrite=True))
    assert done.kept is not None
    assert (done.kept / "labels.db").read_bytes() == damaged
    assert (done.kept / "labels.db-wal").read_bytes() == log
    assert content(folder) == first


def test_nothing_is_replaced_under_those_who_have_it_open(folder: Path, kept: Backup) -> None:
    project = open_project(folder)
    with pytest.raises(ProjectError, match="in use"):
        restore(kept.path, folder, overwrite=True)
    stage.answer_questions(project, 1)
    project.close()
    closed(restore(kept.path, folder, overwrite=True))


def test_another_process_that_has_it_open_is_noticed(folder: Path, kept: Backup) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", OPENER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "ready\n"
    with pytest.raises(ProjectError, match="in use"):
        restore(kept.path, folder, overwrite=True)
    other.communicate("")
    closed(restore(kept.path, folder, overwrite=True))


def test_a_model_left_out_is_not_used_after_a_restore(folder: Path, tmp_path: Path) -> None:
    small = backed_up(folder, tmp_path / "small.zip", with_model=False)
    done = restore(small.path, tmp_path / "other")
    assert ["train again" in warning for warning in done.warnings] == [True]
    assert [run.active for run in rounds.list_runs(done.project)] == [False, False]
    with pytest.raises(InputError, match="files of run"):
        rounds.activate(done.project, "r001")
    done.project.close()
    closed(restore(small.path, folder, overwrite=True))
    assert is_usable(folder / "runs" / "r001")


def test_a_model_of_the_same_name_is_kept_beside_the_restored_one(
    folder: Path, kept: Backup
) -> None:
    (folder / "runs" / "r001" / CHECKPOINT).write_bytes(b"trained otherwise since")
    closed(restore(kept.path, folder, overwrite=True))
    assert (folder / "runs" / "r001" / CHECKPOINT).read_bytes() == b""
    (aside,) = (folder / "runs").glob("r001-before-restore-*")
    assert (aside / CHECKPOINT).read_bytes() == b"trained otherwise since"


def test_images_that_moved_are_found_again(kept: Backup, folder: Path, tmp_path: Path) -> None:
    project = open_project(folder)
    moved = tmp_path / "moved"
    shutil.copytree(project.images_root, moved)
    project.close()
    done = closed(restore(kept.path, tmp_path / "other", images=moved))
    assert (done.project.images_root, done.warnings) == (moved, ())
    with pytest.raises(InputError, match="no folder"):
        restore(kept.path, tmp_path / "third", images=tmp_path / "nowhere")


def test_missing_images_are_a_warning(folder: Path, tmp_path: Path) -> None:
    project = open_project(folder)
    gone = project.config.archive.model_copy(update={"images": tmp_path / "gone"})
    config = project.config.model_copy(update={"archive": gone})
    project.close()
    (folder / CONFIG_NAME).write_text(project_toml(config))
    made = backed_up(folder, tmp_path / "b.zip")
    done = closed(restore(made.path, tmp_path / "other"))
    assert ["--images DIR" in warning for warning in done.warnings] == [True]


def test_an_existing_file_is_never_overwritten(folder: Path, kept: Backup) -> None:
    before = kept.path.read_bytes()
    with pytest.raises(ProjectError, match="exists already"):
        backed_up(folder, kept.path)
    assert kept.path.read_bytes() == before


def test_a_backup_appears_whole_or_not_at_all(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "target").mkdir()
    monkeypatch.setattr(backups, "_add", fails)
    with pytest.raises(ProjectError, match="No space left"):
        backed_up(folder, tmp_path / "target" / "b.zip")
    assert list((tmp_path / "target").iterdir()) == []


def test_a_damaged_database_is_no_backup(folder: Path, tmp_path: Path) -> None:
    project = open_project(folder)
    found = project.store.reader().execute(
        "SELECT rootpage FROM sqlite_schema WHERE name = 'event'"
    )
    with (folder / "labels.db").open("r+b") as file:
        file.seek((found.fetchone()[0] - 1) * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(StoreError, match="damaged"):
        make_backup(project, tmp_path / "b.zip")
    project.close()
    assert not (tmp_path / "b.zip").exists()


def rewritten(source: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The backup with its members changed, and a manifest left as it is unless changed too."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target


def renamed_in_manifest(old: str, new: str) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        said = json.loads(members[MANIFEST])
        said["files"][new] = said["files"].pop(old)
        members[new] = members.pop(old)
        members[MANIFEST] = json.dumps(said).encode()

    return change


@pytest.mark.parametrize(
    "name",
    [
        "../evil", "/etc/evil", "runs/../../evil", "runs/r001/../../evil", "runs/r001/evil.py",
        "runs/./config.toml", "runs/../config.toml", "secret", "runs\\r001\\log.jsonl", "jobs.db",
    ],
)  # fmt: skip
def test_names_that_lead_elsewhere_are_refused(kept: Backup, tmp_path: Path, name: str) -> None:
    change = renamed_in_manifest("runs/r000/config.toml", name)
    evil = rewritten(kept.path, tmp_path / "evil.zip", change)
    with pytest.raises(InputError, match="as no backup does"):
        restore(evil, tmp_path / "deep" / "other")
    assert not (tmp_path / "deep").exists()
    assert not list(tmp_path.rglob("evil"))


def grown(members: dict[str, bytes]) -> None:
    members["runs/r000/config.toml"] += b"\0" * 50_000_000


def cut(members: dict[str, bytes]) -> None:
    members["labels.db"] = members["labels.db"][:-1]


def changed(members: dict[str, bytes]) -> None:
    members[CONFIG_NAME] = members[CONFIG_NAME].replace(b"name", b"nemo")


def missing(members: dict[str, bytes]) -> None:
    del members["labels.db"]


@pytest.mark.parametrize("change", [grown, cut, changed, missing])
def test_a_file_not_as_the_manifest_says_changes_nothing(
    folder: Path, kept: Backup, tmp_path: Path, change: Callable[[dict[str, bytes]], None]
) -> None:
    evil = rewritten(kept.path, tmp_path / "evil.zip", change)
    before = bytes_of(folder)
    with pytest.raises(InputError, match="is damaged"):
        restore(evil, folder, overwrite=True)
    assert bytes_of(folder) == before
    with pytest.raises(InputError, match="is damaged"):
        restore(evil, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_backup_cut_off_anywhere_changes_nothing(
    folder: Path, kept: Backup, tmp_path: Path
) -> None:
    whole, before = kept.path.read_bytes(), bytes_of(folder)
    broken = tmp_path / "broken.zip"
    for end in range(0, len(whole), len(whole) // 25):
        broken.write_bytes(whole[:end])
        with pytest.raises(InputError, match="is no backup of Anneal, or is cut off"):
            restore(broken, folder, overwrite=True)
    assert bytes_of(folder) == before


def test_a_byte_changed_anywhere_is_noticed_or_does_not_matter(
    folder: Path, kept: Backup, tmp_path: Path
) -> None:
    whole, draw = bytearray(kept.path.read_bytes()), random.Random(0)
    in_manifest = whole.rfind(b"manifest.json", 0, len(whole) - 100)
    places = [draw.randrange(len(whole)) for _ in range(40)]
    broken, restored = tmp_path / "broken.zip", 0
    for number, place in enumerate([*places, *range(in_manifest, len(whole), 40)]):
        changed_byte = whole[:place] + bytes([whole[place] ^ draw.randrange(1, 256)])
        broken.write_bytes(changed_byte + whole[place + 1 :])
        target = tmp_path / f"other{number}"
        try:
            closed(restore(broken, target))
        except AnnealError:
            assert not target.exists()
            continue
        restored += 1
        assert content(target) == content(folder)
    assert restored < number / 2


def from_the_future(members: dict[str, bytes]) -> None:
    said = json.loads(members[MANIFEST])
    members[MANIFEST] = json.dumps({**said, "format": 2, "version": "9.1"}).encode()


def test_a_newer_format_is_refused(kept: Backup, tmp_path: Path) -> None:
    newer = rewritten(kept.path, tmp_path / "newer.zip", from_the_future)
    with pytest.raises(InputError, match=r"written by Anneal 9.1, which is newer"):
        restore(newer, tmp_path / "other")


def test_a_newer_schema_is_refused_before_anything_is_changed(
    folder: Path, kept: Backup, tmp_path: Path
) -> None:
    project = open_project(folder)
    with project.store.transaction() as db:
        db.execute("INSERT INTO _sqlite_migrations VALUES (99, 'labels', 'm0999_later', '')")
    made = make_backup_of_newer(project, tmp_path / "newer.zip")
    project.close()
    with pytest.raises(SchemaError, match=r"newer version.*m0999_later"):
        restore(made, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def make_backup_of_newer(project: Project, target: Path) -> Path:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(backups, "check_copy", lambda path: None)
        return make_backup(project, target).path


def test_a_full_disk_is_noticed_before_unpacking(
    kept: Backup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(ProjectError, match="1,000 are free"):
        restore(kept.path, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_folder_that_was_there_stays(kept: Backup, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    closed(restore(kept.path, tmp_path / "other"))
    assert (tmp_path / "other" / "notes.txt").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_named(kept: Backup, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(ProjectError, match="cannot be written"):
        restore(kept.path, tmp_path / "locked" / "project")


def test_a_file_that_is_no_backup_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(b"PK something else")
    for name in ("b.zip", "absent.zip"):
        with pytest.raises(InputError, match="is no backup"):
            restore(tmp_path / name, tmp_path / "other")


def test_a_restore_that_fails_at_the_end_says_where_the_old_state_is(
    folder: Path, kept: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(folder)

    def fails(self: Path, target: Path) -> Path:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", fails)
        with pytest.raises(ProjectError, match="Input/output error") as caught:
            restore(kept.path, folder, overwrite=True)
    assert str(folder / "backups" / "before-restore-") in caught.value.hint
    assert content(folder) == before


@pytest.mark.parametrize("version", [1, 5])
def test_a_backup_with_an_older_schema_is_brought_up(
    folder: Path, kept: Backup, tmp_path: Path, version: int
) -> None:
    dump = Path(__file__).parents[1] / "fixtures" / "schemas" / f"labels-m{version:04}.sql"
    database = loaded(dump, tmp_path / "past")

    def change(members: dict[str, bytes]) -> None:
        members["labels.db"] = data = database.read_bytes()
        said = json.loads(members[MANIFEST])
        digest = hashlib.sha256(data).hexdigest()
        said["files"]["labels.db"] = {"size_bytes": len(data), "sha256": digest}
        members[MANIFEST] = json.dumps(said).encode()

    old = rewritten(kept.path, tmp_path / "old.zip", change)
    closed(restore(old, tmp_path / "other"))
    assert [event.kind for event in events(tmp_path / "other")][:3] == [
        *("similar", "similar", "dissimilar")
    ]
