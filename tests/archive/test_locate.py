import pytest

from archive.locate import image_file
from domain.errors import ArchiveError
from tests.archive.pictures import save


def test_a_catalogued_file_is_found_also_below_a_linked_root(tmp_path):
    file = save(tmp_path / "real" / "x" / "a.png", 1)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert image_file(tmp_path / "link", "x/a.png") == file


@pytest.mark.parametrize("path", ["../secret.png", "leak.png", "folder/secret.png", "{absolute}"])
def test_nothing_outside_the_folder_is_given_out(tmp_path, path):
    secret = save(tmp_path / "secret.png", 1)
    root = tmp_path / "images"
    root.mkdir()
    (root / "leak.png").symlink_to(secret)
    (root / "folder").symlink_to(tmp_path)
    with pytest.raises(ArchiveError, match="outside the images folder"):
        image_file(root, path.format(absolute=secret))


@pytest.mark.parametrize("path", ["gone.png", "a\0b.png", "loop.png"])
def test_a_file_that_is_gone_is_named(tmp_path, path):
    (tmp_path / "loop.png").symlink_to("loop.png")
    with pytest.raises(ArchiveError, match=r"is not in .* any more"):
        image_file(tmp_path, path)


def test_a_folder_that_is_gone_is_named(tmp_path):
    with pytest.raises(ArchiveError, match="unplugged"):
        image_file(tmp_path / "unplugged", "a.png")
