"""backup, restore and verify on the command line."""

from pathlib import Path

import pytest

from tests.commands.conftest import Run
from tests.labeling_store.test_broken_disks import damage
from workflow.backup import read_backup


def test_a_backup_is_written_and_restored_into_another_project(
    run: Run, project: Path, tmp_path: Path
) -> None:
    made = run("backup", tmp_path / "b.zip", "--json")
    assert (made.status, made.json["images"], made.json["model"]) == (0, 40, None)
    assert read_backup(tmp_path / "b.zip").size_bytes == made.json["size_bytes"]
    other = run("restore", tmp_path / "b.zip", "--project", tmp_path / "other", "--json")
    assert (other.status, other.json["images"], other.json["kept"]) == (0, 40, None)
    assert run("verify", "--project", tmp_path / "other").status == 0


def test_a_restore_over_a_project_is_refused_unless_told(
    run: Run, project: Path, tmp_path: Path
) -> None:
    run("backup", tmp_path / "b.zip")
    refused = run("restore", tmp_path / "b.zip")
    assert (refused.status, refused.out) == (2, "")
    assert "--overwrite" in refused.err
    done = run("restore", tmp_path / "b.zip", "--overwrite")
    assert done.status == 0
    assert f"kept in {project / 'backups' / 'before-restore-'}" in done.err
    assert "0 answers about 40 images" in done.out


@pytest.mark.usefixtures("project")
def test_a_backup_never_overwrites_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis.zip").write_text("years of work")
    refused = run("backup", tmp_path / "thesis.zip")
    assert refused.status == 2
    assert "exists already" in refused.err
    assert (tmp_path / "thesis.zip").read_text() == "years of work"
    assert run("backup", tmp_path / "no" / "folder.zip").status == 2


@pytest.mark.usefixtures("project")
def test_a_file_that_is_no_backup_changes_nothing(run: Run, project: Path, tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_text("no zip")
    before = (project / "labels.db").read_bytes()
    refused = run("restore", tmp_path / "b.zip", "--overwrite")
    assert refused.status == 2
    assert "is no backup of Anneal" in refused.err
    assert (project / "labels.db").read_bytes() == before


@pytest.mark.usefixtures("project")
def test_verify_says_in_words_what_is_wrong(run: Run, archive: Path) -> None:
    well = run("verify")
    assert (well.status, well.out.splitlines()[-1]) == (0, "All is well.")
    next(archive.rglob("*.png")).unlink()
    ill = run("verify", "--json")
    assert ill.status == 2
    assert ill.json["ok"] is False
    assert "1 image files are missing" in ill.json["problems"][0]
    assert "1 problem was found" in ill.err


def test_a_damaged_database_is_an_error_with_a_way_out_and_no_bug(run: Run, project: Path) -> None:
    damage(project / "labels.db", "image")
    for command in (["verify"], ["export", "--what", "labels", "--out", project / "x.csv"]):
        refused = run(*command)
        assert refused.status == 2
        assert "Not saved" not in refused.err
    assert "is damaged" in refused.err
    assert "restore" in refused.err


@pytest.mark.usefixtures("project")
def test_verify_can_read_every_image(run: Run) -> None:
    assert "The content of 40 of them" in run("verify", "--all-images").out
