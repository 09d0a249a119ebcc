"""Where a project may be made, and what making it leaves alone."""

from pathlib import Path

import pytest

from domain.config import Layout
from domain.errors import InputError
from labeling_store import images
from tests.pictures import write_archive
from workflow import catalogue
from workflow.creation import create_project
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
