"""Files appear whole or not at all, with usual rights, whoever else writes them."""

import os
from pathlib import Path

import pytest

from domain import files
from domain.files import written_whole


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "curve.csv"
    with written_whole(target) as draft:
        draft.write_text("half")
        assert not target.exists()
        draft.write_text("whole")
    assert target.read_text() == "whole"
    assert [*tmp_path.iterdir()] == [target]


@pytest.mark.parametrize(("umask", "mode"), [(0o002, 0o664), (0o077, 0o600)])
def test_its_rights_are_those_of_any_new_file(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        with written_whole(tmp_path / "curve.csv") as draft:
            draft.unlink()
            os.close(os.open(draft, os.O_CREAT, 0o600))
    finally:
        os.umask(before)
    assert (tmp_path / "curve.csv").stat().st_mode & 0o777 == mode


def test_what_fails_leaves_the_former_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "curve.csv"
    target.write_text("before")

    def write_half() -> None:
        with written_whole(target) as draft:
            draft.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert target.read_text() == "before"
    assert [*tmp_path.iterdir()] == [target]


def test_two_at_once_do_not_mix(tmp_path: Path) -> None:
    target = tmp_path / "curve.csv"
    with written_whole(target) as one, written_whole(target) as other:
        one.write_text("one")
        other.write_text("other")
    assert target.read_text() == "one"  # the outer block ended last


def test_content_is_on_the_disk_before_the_name_points_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "curve.csv"
    synced: list[tuple[str, bool]] = []
    sync = files.sync

    def told(path: Path) -> None:
        synced.append(("folder" if path.is_dir() else "file", target.exists()))
        sync(path)

    monkeypatch.setattr(files, "sync", told)
    with written_whole(target) as draft:
        draft.write_text("whole")
    assert synced == [("file", False), ("folder", True)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError), written_whole(tmp_path / "curve.csv"):
        pass


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), written_whole(tmp_path / "none" / "curve.csv"):
        pass
