"""Images that come later: what they are, and that they leave the earlier ones as they were."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from domain.config import Layout
from domain.errors import ArchiveError
from domain.images import ImageRecord, Part
from labeling_store import images
from tests.pictures import texture, write_archive
from workflow import catalogue
from workflow.catalogue import IngestReport
from workflow.creation import create_project
from workflow.project import Project


class Archive:
    """A folder of images that grows, and its project."""

    def __init__(self, root: Path, folder: Path, *, layout: Layout = Layout.AUTO) -> None:
        self.root = root
        self.project: Project = create_project(folder, images=root, layout=layout).project

    def ingest(self) -> IngestReport:
        archive = self.project.config.archive
        return catalogue.ingest(self.project.store, self.root, layout=archive.layout, seed=0)

    def records(self) -> dict[str, ImageRecord]:
        return {each.path: each for each in images.list_images(self.project.store.reader())}


@pytest.fixture
def opened() -> Iterator[list[Archive]]:
    made: list[Archive] = []
    yield made
    for each in made:
        each.project.close()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_archive(tmp_path / "pictures", each=2)


@pytest.fixture
def three(tmp_path: Path, opened: list[Archive]) -> Archive:
    """The smallest archive: a picture, nearly the same one, and another; a part each."""
    root = tmp_path / "three"
    root.mkdir()
    first = texture("dots", np.random.default_rng(1))
    Image.fromarray(first).save(root / "a.png")
    first[0, 0] ^= 1
    Image.fromarray(first).save(root / "b.png")
    Image.fromarray(texture("stripes", np.random.default_rng(2))).save(root / "c.png")
    opened.append(Archive(root, tmp_path / "project"))
    return opened[-1]


def test_a_picture_beside_the_folders_does_not_end_the_classes(
    tmp_path: Path, pictures: Path, opened: list[Archive]
) -> None:
    opened.append(Archive(pictures, tmp_path / "project"))
    write_archive(pictures, each=1, classes=False, seed=5)
    write_archive(pictures / "new", each=1, classes=False, seed=6)
    opened[0].ingest()
    classes = {path: each.class_name for path, each in opened[0].records().items()}
    assert classes["dots/dots00.png"] == "dots"
    assert classes["new/dots00.png"] == "new"
    assert classes["dots00.png"] is None


def test_folders_that_were_no_classes_do_not_become_any(
    tmp_path: Path, opened: list[Archive]
) -> None:
    root = write_archive(tmp_path / "flat", each=2, classes=False)
    opened.append(Archive(root, tmp_path / "project"))
    for file in root.glob("*.png"):
        (root / "all").mkdir(exist_ok=True)
        file.rename(root / "all" / file.name)
    write_archive(root / "more", each=2, classes=False, seed=4)
    assert opened[0].ingest().added == 16
    assert {each.class_name for each in opened[0].records().values()} == {None}


def test_a_layout_that_was_chosen_stays(
    tmp_path: Path, pictures: Path, opened: list[Archive]
) -> None:
    opened.append(Archive(pictures, tmp_path / "project", layout=Layout.FLAT))
    write_archive(pictures, each=4, seed=5)
    opened[0].ingest()
    assert {each.class_name for each in opened[0].records().values()} == {None}


def test_another_picture_joins_no_group_of_the_old_ones(three: Archive) -> None:
    Image.fromarray(texture("checks", np.random.default_rng(3))).save(three.root / "d.png")
    three.ingest()
    records = three.records()
    new = records.pop("d.png")
    assert new.split_group not in {each.split_group for each in records.values()}
    assert new.duplicate_group not in {each.duplicate_group for each in records.values()}


@pytest.mark.parametrize("name", ["a.png", "b.png", "c.png"])
def test_a_copy_stays_on_the_side_of_its_original(three: Archive, name: str) -> None:
    before = three.records()
    assert {each.part for each in before.values()} == set(Part)
    shutil.copy(three.root / name, three.root / "copy.png")
    # A third look: now the two nearly equal pictures, on two sides, count as one.
    Image.fromarray(texture("checks", np.random.default_rng(3))).save(three.root / "d.png")
    three.ingest()
    after = three.records()
    copy, _ = after.pop("copy.png"), after.pop("d.png")
    assert after == before
    assert copy.part is before[name].part
    assert copy.split_group == before[name].split_group
    assert copy.duplicate_group == before[name].duplicate_group


def test_two_who_add_images_at_once_do_not_mix_their_groups(
    three: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(texture("checks", np.random.default_rng(3))).save(three.root / "d.png")
    scan = catalogue.scan

    def slow(*args: object, **options: object) -> object:
        found = scan(*args, **options)  # type: ignore[arg-type]  # handed through
        monkeypatch.setattr(catalogue, "scan", scan)
        three.ingest()
        return found

    monkeypatch.setattr(catalogue, "scan", slow)
    with pytest.raises(ArchiveError, match="at the same time"):
        three.ingest()
    assert len(three.records()) == 4
    assert three.ingest().added == 0
