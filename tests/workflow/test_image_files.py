"""What becomes of image files that are broken, gone, or replaced by links."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from domain.errors import ArchiveError
from labeling_store import images
from tests.pictures import texture
from workflow.creation import create_project
from workflow.pictures import picture
from workflow.project import Project


def first_image(project: Project) -> tuple[int, Path]:
    record = images.list_images(project.store.reader())[0]
    return record.image_id, project.images_root / record.path


def test_a_picture_is_rendered(project):
    image_id, _ = first_image(project)
    rendered = picture(project, image_id, 256)
    with Image.open(rendered) as image:
        assert image.size == (64, 64)


def test_a_file_replaced_by_a_link_to_outside_is_not_shown(project, tmp_path):
    image_id, file = first_image(project)
    secret = tmp_path / "secret.png"
    file.rename(secret)
    file.symlink_to(secret)
    with pytest.raises(ArchiveError, match="leads to outside the images folder"):
        picture(project, image_id, 256)


def test_a_file_that_is_gone_is_named(project):
    image_id, file = first_image(project)
    file.unlink()
    with pytest.raises(ArchiveError, match=file.name):
        picture(project, image_id, 256)


def test_too_few_images_left_says_how_many_files_were_put_aside_and_why(tmp_path):
    archive = tmp_path / "archive"
    archive.mkdir()
    rng = np.random.default_rng(0)
    for number in range(2):
        Image.fromarray(texture("dots", rng)).save(archive / f"good{number}.png")
    for name in ("broken1.jpg", "broken2.jpg"):
        (archive / name).write_bytes(b"no image")
    with pytest.raises(ArchiveError) as raised:
        create_project(tmp_path / "project", images=archive)
    assert "2 distinct readable images" in raised.value.message
    assert "2 files were put aside; the first, 'broken1.jpg': " in raised.value.message
    assert "Repair" in raised.value.hint


def test_too_few_images_without_broken_ones_says_nothing_of_files_put_aside(tmp_path):
    archive = tmp_path / "archive"
    archive.mkdir()
    Image.fromarray(texture("dots", np.random.default_rng(0))).save(archive / "only.png")
    with pytest.raises(ArchiveError, match="1 distinct readable image;") as raised:
        create_project(tmp_path / "project", images=archive)
    assert "put aside" not in str(raised.value)
