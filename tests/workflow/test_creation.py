"""Where a project may be made, and what making it leaves alone."""

from pathlib import Path

import pytest

from domain.config import Layout
from domain.errors import InputError, ProjectError
from labeling_store import images
from tests.pictures import write_archive
from workflow import catalogue
from workflow.creation import create_demo, create_project
from workflow.project import Project


def catalogued(project: Project) -> list[str]:
    return [image.path for image in images.list_images(project.store.reader())]


def test_a_project_among_the_images_is_no_part_of_them(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "photos", each=2)
    stray = write_archive(archive / "project" / "holiday", each=1, seed=7)
    made = create_project(archive / "project", images=archive, layout=Layout.FLAT).project
    write_archive(made.cache / "pictures", each=1, seed=1)
    write_archive(archive / "new", each=1, seed=2)
    report = catalogue.ingest(
        made.store, made.images_root, layout=Layout.FLAT, seed=0, exclude=made.folder
    )
    paths = catalogued(made)
    made.close()
    assert (report.added, len(paths)) == (4, 12)
    assert not [path for path in paths if path.startswith("project/")]
    assert stray.exists()


def test_images_inside_the_project_folder_are_found(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "project" / "photos", each=2)
    made = create_project(tmp_path / "project", images=archive).project
    assert len(catalogued(made)) == 8
    made.close()


def test_the_images_folder_itself_becomes_no_project(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "photos", each=2)
    before = sorted(archive.rglob("*"))
    with pytest.raises(InputError, match="both"):
        create_project(archive, images=archive)
    assert sorted(archive.rglob("*")) == before


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with what is in it; folders have nothing."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("name", ["jobs.db", "labels.db", "labels.db-wal", "secret", "cache/x"])
def test_files_that_a_project_would_have_are_not_replaced(tmp_path: Path, name: str) -> None:
    archive = write_archive(tmp_path / "photos", each=2)
    stray = tmp_path / "project" / name
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"somebody's work")
    before = content(tmp_path / "project")
    with pytest.raises(ProjectError, match=name.split("/")[0]) as refused:
        create_project(tmp_path / "project", images=archive)
    assert "--project" in refused.value.hint
    assert content(tmp_path / "project") == before


def test_demo_images_are_not_drawn_among_others(tmp_path: Path) -> None:
    (tmp_path / "project" / "demo-images").mkdir(parents=True)
    with pytest.raises(ProjectError, match="demo-images"):
        create_demo(tmp_path / "project")


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "photos", each=2)
    stray = tmp_path / "project" / "jobs.db"

    def another_writes_it(done: float, message: str) -> None:
        stray.write_bytes(b"somebody's work")

    with pytest.raises(ProjectError, match=r"jobs\.db"):
        create_project(tmp_path / "project", images=archive, progress=another_writes_it)
    assert content(tmp_path / "project") == {"jobs.db": b"somebody's work"}


@pytest.mark.parametrize("fails", ["jobs.db", "labels.db", "project.toml"])
def test_a_move_that_fails_half_way_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    archive = write_archive(tmp_path / "photos", each=2)
    rename = Path.rename

    def full(path: Path, target: Path) -> Path:
        if path.name == fails:
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(ProjectError, match="No space left on device") as refused:
        create_project(tmp_path / "deep" / "project", images=archive)
    assert refused.value.hint
    assert not (tmp_path / "deep").exists()
    monkeypatch.undo()
    create_project(tmp_path / "deep" / "project", images=archive).project.close()
