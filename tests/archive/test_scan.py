import hashlib
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from archive import scan as scanning
from archive.fingerprint import pixel_sha256
from archive.scan import scan
from domain.config import Layout
from domain.errors import ArchiveError, Cancelled
from tests.archive.pictures import encoded, noise, png_header, save

ODD_NAMES = [
    'it\'s "quoted".png',
    "<img src=x onerror=alert(1)>.png",
    "two\nlines.png",
    "=cmd|' '!A1.png",
    "bücher 🛰️ 图.png",
    " leading and trailing .png",
    "back\\slash.png",
    "%2e%2e.png",
    "-rf.png",
    "UPPER.PNG",
]


def test_each_image_is_found_with_its_identity(tmp_path):
    save(tmp_path / "b.png", 2)
    save(tmp_path / "a.jpg", 1, quality=95)
    found = scan(tmp_path)
    first, second = found.images
    assert (first.path, second.path) == ("a.jpg", "b.png")
    assert second.sha256 == hashlib.sha256((tmp_path / "b.png").read_bytes()).hexdigest()
    assert second.pixel_sha256 == pixel_sha256(noise(2))
    assert (second.width_px, second.height_px) == (40, 30)
    assert (found.quarantined, found.unchanged, found.missing) == ([], [], [])


def test_same_pixels_in_other_formats_and_orientations_are_the_same_picture(tmp_path):
    save(tmp_path / "a.png", 1)
    save(tmp_path / "b.tif", 1)
    exif = Image.Exif()
    exif[0x0112] = 3  # stored upside down
    noise(1).rotate(180).save(tmp_path / "c.png", exif=exif)
    hashes = {image.pixel_sha256 for image in scan(tmp_path).images}
    assert len(hashes) == 1


def test_pixel_hash_depends_on_the_shape():
    wide, high = Image.new("RGB", (6, 2)), Image.new("RGB", (2, 6))
    assert pixel_sha256(wide) != pixel_sha256(high)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_work_and_come_back_unchanged(tmp_path, name):
    save(tmp_path / "kind 'x'" / name, 1)
    (image,) = scan(tmp_path, layout=Layout.CLASSES).images
    assert (image.path, image.class_name) == (f"kind 'x'/{name}", "kind 'x'")
    assert (tmp_path / image.path).is_file()


@pytest.mark.skipif(sys.platform == "darwin", reason="the file system refuses such names")
def test_names_that_are_no_utf8_are_put_aside_with_a_storable_path(tmp_path):
    save(tmp_path / "good.png", 1)
    for name in (b"caf\xe9.png", b"caf\xe8.png"):
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).write_bytes(encoded(noise(1)))
    found = scan(tmp_path)
    assert [image.path for image in found.images] == ["good.png"]
    assert [file.path for file in found.quarantined] == ["caf\\udce8.png", "caf\\udce9.png"]
    assert "not valid UTF-8" in found.quarantined[0].reason


def test_bad_files_are_put_aside_with_reasons_and_the_rest_goes_on(tmp_path):
    bad = {
        "empty.jpg": (b"", "empty (0 bytes)"),
        "letter.jpg": (b"Dear all", "no JPEG, PNG or TIFF"),
        "cut.png": (encoded(noise(1))[:-900], "truncated"),
        "bomb.png": (png_header(40_000, 40_000), "too many pixels"),
        "photo.png": (encoded(noise(1), "JPEG"), "is a JPEG by its content, not a PNG"),
        "anim.jpg": (encoded(noise(1), "GIF"), "no JPEG, PNG or TIFF"),
    }
    for name, (data, _) in bad.items():
        (tmp_path / name).write_bytes(data)
    save(tmp_path / "good.png", 1)
    found = scan(tmp_path)
    assert [image.path for image in found.images] == ["good.png"]
    assert [file.path for file in found.quarantined] == sorted(bad)
    for file in found.quarantined:
        assert bad[file.path][1] in file.reason


def test_other_and_hidden_files_are_passed_over(tmp_path):
    save(tmp_path / "good.png", 1)
    save(tmp_path / ".hidden.png", 2)
    save(tmp_path / ".cache" / "a.png", 3)
    for name in ("readme.txt", "labels.csv", "Thumbs.db", "noextension", "film.gif"):
        (tmp_path / name).write_text("x")
    found = scan(tmp_path)
    assert [image.path for image in found.images] == ["good.png"]
    assert found.quarantined == []


def test_links_to_outside_are_put_aside_and_links_inside_are_followed(tmp_path):
    inside, outside = tmp_path / "images", tmp_path / "private"
    target = save(outside / "secret.png", 1)
    good = save(inside / "good.png", 2)
    (inside / "leak.png").symlink_to(target)
    (inside / "up.png").symlink_to("../private/secret.png")
    (inside / "folder").symlink_to(outside)
    (inside / "alias.png").symlink_to(good)
    (inside / "gone.png").symlink_to("nowhere.png")
    (inside / "loop.png").symlink_to("loop.png")
    found = scan(inside)
    assert [image.path for image in found.images] == ["alias.png", "good.png"]
    reasons = {file.path: file.reason for file in found.quarantined}
    assert reasons.keys() == {"folder", "gone.png", "leak.png", "loop.png", "up.png"}
    assert reasons["folder"] == "Links to folders are not followed."
    for name in ("gone.png", "loop.png"):
        assert "a link that leads nowhere" in reasons[name]
    for name in ("leak.png", "up.png"):
        assert "leads to outside the images folder" in reasons[name]


def test_the_root_itself_may_be_a_link(tmp_path):
    save(tmp_path / "real" / "a.png", 1)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert [image.path for image in scan(tmp_path / "link").images] == ["a.png"]


def test_a_folder_and_a_pipe_named_like_images_are_no_trouble(tmp_path):
    save(tmp_path / "album.png" / "a.png", 1)
    os.mkfifo(tmp_path / "pipe.png")
    found = scan(tmp_path)
    assert [image.path for image in found.images] == ["album.png/a.png"]
    assert [file.path for file in found.quarantined] == ["pipe.png"]


LAYOUTS = {
    "two folders of two": (["x/a", "x/b", "y/a", "y/b"], Layout.CLASSES),
    "average of two": (["x/a", "y/a", "y/b", "y/c"], Layout.CLASSES),
    "one image a folder": (["x/a", "y/a", "z/a"], Layout.FLAT),
    "one folder": (["x/a", "x/b"], Layout.FLAT),
    "an image beside the folders": (["x/a", "x/b", "y/a", "y/b", "z"], Layout.FLAT),
    "two levels": (["x/1/a", "x/1/b", "y/1/a", "y/1/b"], Layout.FLAT),
    "no folders": (["a", "b", "c"], Layout.FLAT),
}


@pytest.mark.parametrize(("names", "layout"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_layout_is_found_by_the_stated_rule(tmp_path, names, layout):
    for seed, name in enumerate(names):
        save(tmp_path / f"{name}.png", seed)
    found = scan(tmp_path)
    expected = {name.split("/")[0] if layout is Layout.CLASSES else None for name in names}
    assert found.layout is layout
    assert {image.class_name for image in found.images} == expected


def test_a_given_layout_is_obeyed(tmp_path):
    for seed, name in enumerate(("a.png", "x/b.png", "x/deep/c.png")):
        save(tmp_path / name, seed)
    classes = [image.class_name for image in scan(tmp_path, layout=Layout.CLASSES).images]
    flat = [image.class_name for image in scan(tmp_path, layout=Layout.FLAT).images]
    assert classes == [None, "x", "x"]
    assert flat == [None, None, None]


def test_a_second_scan_decodes_only_what_is_new(tmp_path, monkeypatch):
    for seed in range(3):
        save(tmp_path / f"{seed}.png", seed)
    known = {image.path: image.sha256 for image in scan(tmp_path).images}
    save(tmp_path / "0.png", 99)
    (tmp_path / "1.png").unlink()
    save(tmp_path / "new.png", 4)
    decoded = []
    original = scanning.decode
    monkeypatch.setattr(
        scanning, "decode", lambda data, name: decoded.append(name) or original(data, name)
    )
    found = scan(tmp_path, known=known)
    assert [image.path for image in found.images] == ["new.png"]
    assert (found.unchanged, found.changed, found.missing) == (["2.png"], ["0.png"], ["1.png"])
    assert sorted(decoded) == ["0.png", "new.png"]


def test_known_images_count_when_the_layout_is_found(tmp_path):
    for seed, name in enumerate(("x/a", "x/b", "y/a", "y/b")):
        save(tmp_path / f"{name}.png", seed)
    known = {image.path: image.sha256 for image in scan(tmp_path).images}
    save(tmp_path / "y/c.png", 9)
    found = scan(tmp_path, known=known)
    assert [(image.path, image.class_name) for image in found.images] == [("y/c.png", "y")]


@pytest.mark.parametrize(
    ("prepare", "message", "hint"),
    [
        (lambda root: None, "does not exist", "Check the spelling"),
        (lambda root: root.write_text("x"), "is no folder", "not a file"),
        (lambda root: root.mkdir(), "has no image files", "Name the folder"),
        (lambda root: (root.mkdir(), (root / "a.txt").touch()), "has no image files", "Name"),
        (lambda root: root.symlink_to(root), "cannot be opened|does not exist", ""),
    ],
    ids=["missing", "file", "empty", "texts only", "circle"],
)
def test_unusable_folders_are_refused_with_a_way_on(tmp_path, prepare, message, hint):
    prepare(tmp_path / "images")
    with pytest.raises(ArchiveError, match=message) as caught:
        scan(tmp_path / "images")
    assert hint in caught.value.hint
    assert "images" in caught.value.message


def test_folders_that_may_not_be_opened_are_named(tmp_path, monkeypatch):
    """Tests may run as root, whom no folder refuses: so the refusal is simulated."""
    save(tmp_path / "open" / "a.png", 1)
    save(tmp_path / "closed" / "b.png", 2)
    original = os.scandir

    def refusing(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = scan(tmp_path)
    assert [file.path for file in found.quarantined] == ["closed"]
    assert "Permission denied" in found.quarantined[0].reason
    with pytest.raises(ArchiveError, match="cannot be opened: Permission denied"):
        scan(tmp_path / "closed")


def test_progress_is_told_and_can_stop_the_scan(tmp_path):
    for seed in range(3):
        save(tmp_path / f"{seed}.png", seed)
    told = []
    scan(tmp_path, progress=lambda done, message: told.append(done))
    assert told[0] == 0
    assert told[-1] == 1

    def stop(done: float, message: str) -> None:
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        scan(tmp_path, progress=stop)


def test_nothing_in_the_folder_is_changed(tmp_path):
    for seed in range(3):
        save(tmp_path / f"{seed}.png", seed)
    (tmp_path / "bad.png").write_bytes(b"x")
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in tmp_path.iterdir()}
    scan(tmp_path)
    after = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in tmp_path.iterdir()}
    assert before == after


@pytest.mark.real_data
def test_a_real_archive_is_read_whole(uc_merced):
    assert len(uc_merced.images) == 2100
    assert uc_merced.quarantined == []
    assert uc_merced.layout is Layout.CLASSES
    assert len({image.class_name for image in uc_merced.images}) == 21
    assert len({image.pixel_sha256 for image in uc_merced.images}) == 2099
