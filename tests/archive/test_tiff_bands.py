"""TIFF files of any number of bands: every sample is read, and the first three are shown."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from archive.decode import decode, decode_planes, read_planes
from archive.scan import scan
from archive.thumbnails import thumbnail
from archive.tiff_bands import tiff_samples
from archive.tiff_layout import tiff_layout
from domain.errors import ArchiveError
from tests.archive.pictures import as_big_tiff, encoded, noise, tiff


def _samples(bands: int, dtype: type = np.uint8, *, seed: int = 0) -> NDArray[np.integer]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 250 if dtype is np.uint8 else 4096, (7, 9, bands)).astype(dtype)


def _read(data: bytes) -> NDArray[np.integer]:
    layout = tiff_layout(data)
    assert layout is not None
    return np.asarray(tiff_samples(data, layout))


def _planes(data: bytes, bands: int) -> NDArray[np.uint8]:
    return np.dstack([np.asarray(plane) for plane in decode_planes(data, "a.tif", bands)])


def _of_five_bands(data: bytes) -> bytes:
    """A grey TIFF as Pillow writes it, called one of five bands and a fifth of the width."""
    out = bytearray(data)
    (entry,) = struct.unpack_from("<I", out, 4)
    (count,) = struct.unpack_from("<H", out, entry)
    for at in range(entry + 2, entry + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from("<H", out, at)
        if tag == 256:
            struct.pack_into("<HHII", out, at, 256, 4, 1, 30)
        if tag == 284:  # interleaved, which goes without saying
            struct.pack_into("<HHII", out, at, 277, 4, 1, 5)
    return bytes(out)


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5, 13])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planar", [1, 2])
def test_every_sample_is_read(bands: int, dtype: type, order: str, planar: int) -> None:
    samples = _samples(bands, dtype)
    assert np.array_equal(_read(tiff(samples, order=order, planar=planar)), samples)


@pytest.mark.parametrize("bands", [1, 3, 5, 13])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("planar", [1, 2])
def test_a_big_tiff_has_the_samples_of_a_tiff(bands: int, dtype: type, planar: int) -> None:
    samples = _samples(bands, dtype)
    small = tiff(samples, planar=planar)
    big = as_big_tiff(small)
    assert np.array_equal(_read(big), samples)
    assert np.array_equal(_planes(big, bands), _planes(small, bands))
    shown, expected = (np.asarray(decode(each, "a.tif").image) for each in (big, small))
    assert np.array_equal(shown, expected)


def test_what_cannot_be_read_of_big_and_compressed_files_is_said() -> None:
    with pytest.raises(ArchiveError, match="BigTIFF with the highest byte first"):
        decode(b"MM\0+\0\x08\0\0" + bytes(100), "a.tif")
    grey = Image.fromarray(np.zeros((40, 30), dtype=np.uint8))
    with pytest.raises(ArchiveError, match=r"5 bands compressed by method 7 \(TIFF tag 259\)"):
        decode(_of_five_bands(encoded(grey, "TIFF", compression="jpeg")), "a.tif")


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_bands_are_read(compression: str) -> None:
    samples = np.random.default_rng(0).integers(0, 9, (40, 30, 5), dtype=np.uint8)
    grey = Image.fromarray(samples.reshape(40, 150))
    data = _of_five_bands(encoded(grey, "TIFF", compression=compression))
    assert np.array_equal(_read(data), samples)


@pytest.mark.parametrize("big", [False, True])
def test_bands_that_are_jpeg_pictures_by_themselves_are_read(big: bool) -> None:
    """Five bands one after the other, as satellite products that lose a little are written."""
    waves = np.indices((40, 30)).sum(0)
    planes = [
        Image.fromarray((128 + 90 * np.sin(waves / each)).astype("u1")) for each in range(2, 7)
    ]
    greys = [encoded(each, "TIFF", compression="jpeg", quality=90) for each in planes]
    found = _read(as_big_tiff(_in_planes(greys)) if big else _in_planes(greys))
    expected = np.dstack([np.asarray(Image.open(io.BytesIO(grey))) for grey in greys])
    assert np.array_equal(found, expected)
    assert np.abs(found - np.dstack([np.asarray(each) for each in planes]).astype(float)).max() < 40


def _in_planes(greys: list[bytes]) -> bytes:
    """Grey TIFF files of one strip, put together as separate bands; their tables are the same."""
    (tables,) = {tiff_layout(grey).tags[347] for grey in greys}  # type: ignore[union-attr]
    strips = []
    for grey in greys:
        tags = tiff_layout(grey).tags  # type: ignore[union-attr]
        strips.append(grey[tags[273][0] : tags[273][0] + tags[279][0]])
    count, lists_at = len(greys), 8 + 2 + 12 * 11 + 4
    tables_at = lists_at + 8 * count
    places, sizes = tables_at + len(tables), [len(strip) for strip in strips]
    offsets = [places + sum(sizes[:number]) for number in range(count)]
    entries = [
        (256, 4, 1, 30), (257, 4, 1, 40), (258, 4, 1, 8), (259, 4, 1, 7), (262, 4, 1, 1),
        (273, 4, count, lists_at), (277, 4, 1, count), (278, 4, 1, 40),
        (279, 4, count, lists_at + 4 * count), (284, 4, 1, 2), (347, 7, len(tables), tables_at),
    ]  # fmt: skip
    table = struct.pack("<H", len(entries))
    table += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    lists = struct.pack(f"<{2 * count}I", *offsets, *sizes)
    return struct.pack("<4sI", b"II*\0", 8) + table + lists + tables + b"".join(strips)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_samples_stored_as_differences_are_summed_up(compression: str) -> None:
    picture = noise(0)
    data = encoded(picture, "TIFF", compression=compression, tiffinfo={317: 2})
    layout = tiff_layout(data)
    assert layout is not None
    assert layout.tags[317] == 2
    assert np.array_equal(_read(data), np.asarray(picture))


@pytest.mark.parametrize("separate", [False, True])
def test_tiles_are_put_together(separate: bool) -> None:
    """16 px tiles, the last ones reaching beyond the picture."""
    samples = np.random.default_rng(0).integers(0, 4096, (20, 40, 5), dtype="<u2")
    padded = np.zeros((32, 48, 5), "<u2")
    padded[:20, :40] = samples
    layers = [padded[..., band : band + 1] for band in range(5)] if separate else [padded]
    tiles = [
        layer[top : top + 16, left : left + 16].tobytes()
        for layer in layers
        for top in (0, 16)
        for left in (0, 16, 32)
    ]
    start, size = 8, len(tiles[0])
    lists_at = start + 2 + 12 * 11 + 4
    data_at = lists_at + 8 * len(tiles)
    places = {324: lists_at, 325: lists_at + 4 * len(tiles)}
    tags = {
        256: 40, 257: 20, 258: 16, 259: 1, 262: 1, 277: 5, 284: 2 if separate else 1,
        322: 16, 323: 16, 324: 0, 325: 0,
    }  # fmt: skip
    table = struct.pack("<H", len(tags))
    for tag, value in sorted(tags.items()):
        count = len(tiles) if tag in places else 1
        table += struct.pack("<HHII", tag, 4, count, places.get(tag, value))
    offsets = [data_at + size * number for number in range(len(tiles))]
    lists = struct.pack(f"<{2 * len(tiles)}I", *offsets, *[size] * len(tiles))
    data = struct.pack("<4sI", b"II*\0", start) + table + bytes(4) + lists + b"".join(tiles)
    assert np.array_equal(_read(data), samples)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_bands_are_turned_upright_as_pillow_turns_pictures(orientation: int) -> None:
    samples = _samples(3)
    data = tiff(samples, orientation=orientation)
    assert np.array_equal(_read(data), np.asarray(decode(data, "a.tif").image))


@pytest.mark.parametrize("bands", [5, 13])
@pytest.mark.parametrize("planar", [1, 2])
def test_the_first_three_of_many_bands_are_shown(bands: int, planar: int, tmp_path: Path) -> None:
    samples = _samples(bands)
    path = tmp_path / "many.tif"
    path.write_bytes(tiff(samples, planar=planar))
    assert np.array_equal(decode(path.read_bytes(), "a.tif").image, samples[:, :, :3])
    with Image.open(thumbnail(path, tmp_path / "cache", "ab", 64)) as shown:
        assert shown.size == (9, 7)


def test_deep_bands_are_stretched_alike_so_that_their_ratios_stay() -> None:
    samples = _samples(6, np.uint16)
    samples[:, :, 5] //= 4
    low, high = np.percentile(samples, (2, 98))
    expected = np.clip((samples - low) / (high - low), 0, 1) * 255
    assert np.abs(_planes(tiff(samples), 6) - expected).max() < 1.5


@pytest.mark.parametrize("planar", [1, 2])
def test_deep_colour_in_separate_planes_is_shown(planar: int) -> None:
    samples = _samples(3, np.uint16)
    shown = np.asarray(decode(tiff(samples, planar=planar), "a.tif").image)
    assert np.array_equal(shown, np.asarray(decode(tiff(samples), "a.tif").image))


def test_four_shallow_bands_are_read_as_they_are() -> None:
    samples = _samples(4)
    assert np.array_equal(_planes(tiff(samples), 4), samples)


def test_a_grey_picture_is_one_band_whatever_its_format() -> None:
    grey = noise(0).convert("L")
    for fmt in ("PNG", "TIFF"):
        assert np.array_equal(_planes(encoded(grey, fmt), 1)[:, :, 0], np.asarray(grey))


def test_three_bands_are_the_colours_of_any_picture(tmp_path: Path) -> None:
    (tmp_path / "grey.png").write_bytes(encoded(noise(0).convert("L")))
    (plane,) = read_planes(tmp_path / "grey.png", 3)
    assert plane.mode == "RGB"


@pytest.mark.parametrize(
    ("data", "wanted", "found"),
    [(tiff(_samples(5)), 4, 5), (encoded(noise(0), "PNG"), 4, 3), (encoded(noise(0)), 1, 3)],
)
def test_another_number_of_bands_is_told(data: bytes, wanted: int, found: int) -> None:
    with pytest.raises(ArchiveError, match=f"has {found} bands, and this project reads {wanted}"):
        decode_planes(data, "a.tif", wanted)


@pytest.mark.parametrize("cut", [20, 150, 250])
def test_a_truncated_file_is_refused(cut: int) -> None:
    with pytest.raises(ArchiveError, match="damaged or truncated"):
        decode(tiff(_samples(6, np.uint16))[:cut], "a.tif")


def test_a_scan_puts_files_of_other_bands_aside_and_tells_copies_by_all_bands(
    tmp_path: Path,
) -> None:
    first, second = _samples(5), _samples(5)
    second[:, :, 4] = 255 - second[:, :, 4]  # looks the same
    for name, samples in (("a", first), ("b", second), ("c", first), ("d", _samples(4))):
        (tmp_path / f"{name}.tif").write_bytes(tiff(samples))
    found = scan(tmp_path, bands=5)
    assert [image.path for image in found.images] == ["a.tif", "b.tif", "c.tif"]
    a, b, c = (image.pixel_sha256 for image in found.images)
    assert a == c != b
    (aside,) = found.quarantined
    assert "has 4 bands, and this project reads 5" in aside.reason


@pytest.mark.real_data
def test_original_aerial_tiffs_have_three_bands_that_are_what_pillow_shows(
    original_tif: Path,
) -> None:
    for path in sorted(original_tif.glob("*.tif")):
        with Image.open(path) as image:
            assert np.array_equal(_read(path.read_bytes()), np.asarray(image.convert("RGB")))
