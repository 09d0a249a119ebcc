import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from archive import thumbnails
from archive.thumbnails import thumbnail
from domain.errors import ArchiveError, InputError
from tests.archive.pictures import noise, save


def test_a_picture_is_rendered_as_jpeg_into_the_square(tmp_path):
    source = save(tmp_path / "a.png", 1)
    with Image.open(thumbnail(source, tmp_path / "cache", "ab12", 20)) as shown:
        assert (shown.format, shown.size) == ("JPEG", (20, 15))


@pytest.mark.parametrize("size_px", [40, 256, 2048])
def test_nothing_is_enlarged(tmp_path, size_px):
    source = save(tmp_path / "a.png", 1)
    with Image.open(thumbnail(source, tmp_path / "cache", "ab12", size_px)) as shown:
        assert shown.size == (40, 30)


def test_thumbnails_stand_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    noise(1).save(tmp_path / "a.jpg", exif=exif)
    with Image.open(thumbnail(tmp_path / "a.jpg", tmp_path / "cache", "ab12", 20)) as shown:
        assert shown.size == (15, 20)
        assert not shown.getexif()


def test_colours_are_those_of_the_picture(tmp_path):
    Image.new("RGB", (64, 64), (200, 100, 50)).save(tmp_path / "a.png")
    with Image.open(thumbnail(tmp_path / "a.png", tmp_path / "cache", "ab12", 32)) as shown:
        assert np.abs(np.asarray(shown).astype(int) - (200, 100, 50)).max() <= 3


def test_a_second_call_renders_nothing(tmp_path):
    source = save(tmp_path / "a.png", 1)
    first = thumbnail(source, tmp_path / "cache", "ab12", 20)
    source.unlink()
    assert thumbnail(source, tmp_path / "cache", "ab12", 20) == first


def test_key_and_size_name_the_file(tmp_path):
    source = save(tmp_path / "a.png", 1)
    made = {thumbnail(source, tmp_path / "c", key, size) for key in "ab" for size in (8, 16)}
    assert len(made) == 4


def test_callers_at_once_all_get_a_whole_picture_and_leave_nothing_behind(tmp_path, monkeypatch):
    source = save(tmp_path / "a.png", 1)
    original = thumbnails.read_image

    def slowly(path):
        image = original(path)
        time.sleep(0.05)  # all are rendering before the first has finished
        return image

    monkeypatch.setattr(thumbnails, "read_image", slowly)
    sizes = []

    def call() -> None:
        with Image.open(thumbnail(source, tmp_path / "cache", "ab12", 20)) as shown:
            shown.load()
            sizes.append(shown.size)

    threads = [threading.Thread(target=call) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == [(20, 15)] * 12
    assert len([file for file in (tmp_path / "cache").rglob("*") if file.is_file()]) == 1


def test_a_failed_write_leaves_no_file(tmp_path, monkeypatch):
    source = save(tmp_path / "a.png", 1)

    def full_disk(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(ArchiveError, match="No space left"):
        thumbnail(source, tmp_path / "cache", "ab12", 20)
    assert [file for file in (tmp_path / "cache").rglob("*") if file.is_file()] == []


def test_an_unreadable_source_is_refused_and_not_cached(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ArchiveError, match="no JPEG, PNG or TIFF"):
        thumbnail(tmp_path / "a.png", tmp_path / "cache", "ab12", 20)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("key", ["", "../../etc", "a/b", "AB", "a\0"])
def test_keys_that_could_lead_elsewhere_are_refused(tmp_path, key):
    with pytest.raises(InputError, match="lower-case hexadecimal"):
        thumbnail(save(tmp_path / "a.png", 1), tmp_path / "cache", key, 20)


def test_the_web_process_gets_thumbnails_without_the_heavy_libraries():
    program = (
        "import sys, archive.thumbnails\n"
        "heavy = {'numpy', 'scipy', 'imagehash', 'torch', 'pandas'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
