import os
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from archive import decode as decoding
from archive.decode import MAX_PIXELS, decode, read_bytes, read_image
from archive.deep_pixels import stretched
from domain.errors import ArchiveError
from tests.archive.pictures import encoded, noise, png_header, save, tiff

SMALL_TIFFS = Path("../shared/data/original_tif")


def rgb(data: bytes) -> np.ndarray:
    return np.asarray(decode(data, "some file").image)


@pytest.mark.parametrize("fmt", ["PNG", "TIFF"])
def test_lossless_formats_give_the_very_pixels(fmt):
    picture = noise(1)
    decoded = decode(encoded(picture, fmt), "a")
    assert (decoded.format, decoded.image.mode) == (fmt, "RGB")
    assert np.array_equal(decoded.image, picture)


@pytest.mark.parametrize(
    ("mode", "fmt"),
    [("1", "PNG"), ("L", "JPEG"), ("LA", "PNG"), ("P", "PNG"), ("CMYK", "JPEG"), ("RGBA", "TIFF")],
)
def test_other_colour_modes_become_rgb(mode, fmt):
    decoded = decode(encoded(noise(2).convert(mode), fmt), "a")
    assert (decoded.image.mode, decoded.image.size) == ("RGB", (40, 30))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "TIFF"])
def test_orientation_tag_is_obeyed(orientation, fmt):
    """The marked corner must come to the upper left, whatever way the camera was held."""
    upright = np.zeros((24, 16, 3), np.uint8)
    upright[:8, :8] = 255
    undo = {1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1],
            4: lambda a: a[::-1], 5: lambda a: a.swapaxes(0, 1),
            6: lambda a: np.rot90(a, 1), 7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
            8: lambda a: np.rot90(a, -1)}  # fmt: skip
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    shown = rgb(encoded(stored, fmt, exif=exif))
    assert shown.shape == upright.shape
    assert np.abs(shown.astype(int) - upright).max() <= 12


def test_transparent_parts_of_a_png_are_white():
    glass = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    assert np.all(rgb(encoded(glass)) == 255)


def test_fourth_band_of_a_tiff_is_not_taken_for_transparency():
    samples = np.random.default_rng(0).integers(0, 256, (5, 6, 4), dtype=np.uint8)
    assert np.array_equal(rgb(tiff(samples)), samples[:, :, :3])


@pytest.mark.parametrize("bands", [3, 4])
@pytest.mark.parametrize("order", ["<", ">"])
def test_twelve_bits_in_a_16_bit_tiff_are_stretched_with_full_depth(order, bands):
    samples = np.random.default_rng(0).integers(0, 4096, (50, 60, bands), dtype=np.uint16)
    low, high = np.percentile(samples[:, :, :3], (2, 98))
    expected = np.clip((samples[:, :, :3] - low) / (high - low), 0, 1) * 255
    assert np.abs(rgb(tiff(samples, order=order)) - expected).max() < 1


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate"])
def test_compressed_16_bit_colour_keeps_its_low_bytes(compression):
    samples = np.random.default_rng(0).integers(0, 4096, (20, 30, 3), dtype=np.uint16)
    low, high = np.percentile(samples, (2, 98))
    expected = np.clip((samples - low) / (high - low), 0, 1) * 255
    assert np.abs(rgb(_sixteen_bit(samples, compression)) - expected).max() < 1


def _sixteen_bit(samples: np.ndarray, compression: str) -> bytes:
    """A 16-bit RGB TIFF: Pillow writes none, so an 8-bit one of twice the width is renamed."""
    height, width, _ = samples.shape
    twice = samples.astype("<u2").view(np.uint8).reshape(height, width * 2, 3)
    data = bytearray(encoded(Image.fromarray(twice), "TIFF", compression=compression))
    (entry,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, entry)
    for at in range(entry + 2, entry + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from("<H", data, at)
        if tag == 256:
            struct.pack_into("<I", data, at + 8, width)
        if tag == 258:
            struct.pack_into("<3H", data, *struct.unpack_from("<I", data, at + 8), 16, 16, 16)
    return bytes(data)


def test_8_bit_separate_planes_are_read():
    samples = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    assert np.array_equal(rgb(tiff(samples, planar=2)), samples)


@pytest.mark.parametrize(
    ("dtype", "fmt"),
    [(np.uint16, "PNG"), (np.uint16, "TIFF"), (np.int32, "TIFF"), (np.float32, "TIFF")],
)
def test_deep_grey_is_stretched(dtype, fmt):
    ramp = np.linspace(100, 1100, 64 * 64).reshape(64, 64).astype(dtype)
    shown = rgb(encoded(Image.fromarray(ramp), fmt))
    assert (shown.min(), shown.max()) == (0, 255)
    assert abs(int(np.median(shown)) - 127) <= 1


def test_stretching_survives_flat_pictures_and_missing_values():
    assert np.all(stretched(np.full((3, 3), 700, np.uint16)) == 0)
    holes = np.array([[np.nan, np.inf], [0.0, 5.0]], np.float32)
    assert stretched(holes).dtype == np.uint8


@pytest.mark.parametrize(
    ("bands", "dtype", "reason"),
    [
        (65, np.uint8, "65 bands of 6 × 5 pixels; at most 64 bands"),
        (3, np.uint64, "damaged or truncated"),
    ],
)
def test_bands_that_cannot_be_shown_are_refused_with_their_number(bands, dtype, reason):
    with pytest.raises(ArchiveError, match=reason):
        decode(tiff(np.zeros((5, 6, bands), dtype)), "a.tif")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"this is a letter", "no JPEG, PNG or TIFF"),
        (encoded(noise(1), "GIF"), "no JPEG, PNG or TIFF"),
        (encoded(noise(1), "PNG")[:-900], "damaged or truncated"),
        (encoded(noise(1), "JPEG")[:-300], "damaged or truncated"),
        (encoded(noise(1), "TIFF")[:-900], "damaged or truncated"),
        (b"II*\0", "damaged or truncated"),
        (png_header(40_000, 40_000), "far too many pixels; at most 64 million"),
        (png_header(10_000, 10_000), "too many pixels|10000 × 10000 pixels"),
        (png_header(8_001, 8_000), "8001 × 8000 pixels; at most 64 million"),
    ],
    ids=["text", "gif", "cut png", "cut jpeg", "cut tiff", "tiff head", "bomb", "warned", "over"],
)
def test_unusable_content_is_refused_with_a_reason(data, reason):
    with pytest.raises(ArchiveError, match=reason) as caught:
        decode(data, "odd.png")
    assert "'odd.png'" in caught.value.message
    assert caught.value.hint


def test_the_limit_itself_is_allowed():
    assert MAX_PIXELS == 8000 * 8000
    with pytest.raises(ArchiveError, match="truncated"):  # past the size check, into the pixels
        decode(png_header(8000, 8000), "a.png")


def test_a_bomb_costs_no_memory():
    """Seen from a fresh process, whose peak memory nobody else has raised."""
    program = (
        "import resource, sys\n"
        "from archive.decode import decode\n"
        "from domain.errors import ArchiveError\n"
        "from tests.archive.pictures import png_header\n"
        "bomb = png_header(40_000, 40_000)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    decode(bomb, 'a')\nexcept ArchiveError:\n    pass\n"
        "sys.exit(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before > 50_000)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.write_bytes(b""), r"empty \(0 bytes\)"),
        (lambda path: path.mkdir(), "no regular file"),
        (lambda path: os.mkfifo(path), "no regular file"),
    ],
    ids=["missing", "empty", "folder", "pipe"],
)
def test_unreadable_files_are_refused_with_a_reason(tmp_path, prepare, reason):
    prepare(tmp_path / "a.jpg")
    with pytest.raises(ArchiveError, match=reason):
        read_image(tmp_path / "a.jpg")


def test_a_file_over_the_size_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "MAX_FILE_BYTES", 1 << 20)
    with (tmp_path / "big.png").open("wb") as file:
        file.truncate((1 << 20) + 1)
    with pytest.raises(ArchiveError, match="larger than 1 MiB"):
        read_bytes(tmp_path / "big.png")


def test_a_path_with_a_null_byte_is_refused():
    with pytest.raises(ArchiveError, match="cannot be read"):
        read_image(Path("a\0b.png"))


@given(
    fmt=st.sampled_from(["PNG", "JPEG", "TIFF"]),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=12),
    cut=st.integers(0, 400),
)
@settings(max_examples=150, deadline=None)
@pytest.mark.filterwarnings("ignore")  # what Pillow says of odd metadata
def test_damaged_files_are_either_read_or_refused(fmt, changes, cut):
    data = bytearray(encoded(noise(3, 12, 9), fmt))
    for position, value in changes:
        data[position % len(data)] = value
    try:
        image = decode(bytes(data[: len(data) - cut]), "a").image
    except ArchiveError:
        return
    assert image.mode == "RGB"
    assert image.width * image.height <= MAX_PIXELS


def test_threads_decode_at_the_same_time(tmp_path):
    files = [save(tmp_path / f"{seed}.png", seed) for seed in range(40)]
    shown: dict[int, bool] = {}

    def read(seed: int) -> None:
        shown[seed] = np.array_equal(read_image(files[seed]), noise(seed))

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [shown[seed] for seed in range(40)] == [True] * 40


@pytest.mark.real_data
def test_original_aerial_tiffs_are_read():
    if not SMALL_TIFFS.exists():
        pytest.skip("../shared/data is not here")
    files = sorted(SMALL_TIFFS.glob("*.tif"))
    assert len(files) == 4
    for file in files:
        image = read_image(file)
        assert image.mode == "RGB"
        assert np.asarray(image).std() > 5
