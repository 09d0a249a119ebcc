"""Image files as upright RGB pictures; anything that is not safe to decode is refused.

Sizes are checked before pixels are decoded, so that a small file cannot fill the memory. The
format is found from the content. Files are never repaired: a truncated one is refused.
"""

import io
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from archive.pixel_depth import band_count, is_deep
from archive.tiff_layout import BIG_BACKWARDS, DAMAGE, HEADERS, tiff_layout
from domain.errors import ArchiveError

MAX_PIXELS = 64_000_000  # 8000 × 8000; 192 MB as RGB
MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_BANDS = 64
MAX_SAMPLES = 4 * MAX_PIXELS  # of all bands
COLOUR_BANDS = 3

FORMATS = ("JPEG", "PNG", "TIFF")
SUFFIXES = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG",
    ".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF",
}  # fmt: skip

_HINT = "Replace the file by a readable JPEG, PNG or TIFF, or take it out of the folder."

_warnings_lock = threading.Lock()  # the interpreter has one list of warning filters


@dataclass(frozen=True)
class Decoded:
    """An upright RGB picture and the format its content has: JPEG, PNG or TIFF."""

    image: Image.Image
    format: str


def read_image(path: Path) -> Image.Image:
    """The picture in a file: RGB, 8 bit, upright, with all pixels loaded.

    Deeper pixels are stretched to 8 bit (`archive.deep_pixels`); transparent parts of a PNG
    become white; of a TIFF with more than three bands the first three are taken. Of several
    pages the first is taken.

    Raises:
        ArchiveError: the file is missing, too large, damaged, or no JPEG, PNG or TIFF.
    """
    return decode(read_bytes(path), path.name).image


def read_bytes(path: Path) -> bytes:
    """The content of a file, unless it is larger than `MAX_FILE_BYTES`.

    Raises:
        ArchiveError: the file is missing, not readable, empty, or too large.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _refusal(path.name, "is no regular file")  # opening a pipe would wait forever
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _refusal(path.name, f"cannot be read: {reason}") from error
    if not data:
        raise _refusal(path.name, "is empty (0 bytes)")
    if len(data) > MAX_FILE_BYTES:
        raise _refusal(path.name, f"is larger than {MAX_FILE_BYTES >> 20} MiB")
    return data


def decode(data: bytes, name: str) -> Decoded:
    """The picture in the bytes of a file; `name` is only used in messages.

    Raises:
        ArchiveError: see `read_image`.
    """
    layout = tiff_layout(data)
    if layout is not None and layout.is_beyond_pillow:
        from archive.deep_pixels import shown_bands  # numpy: not for every start of the app

        _check_size(name, layout.width, layout.height, layout.bands)
        with _damage_of(name):
            return Decoded(shown_bands(data, layout), "TIFF")
    with _open(data, name) as image:
        _check_size(name, image.width, image.height, band_count(image))
        content = "JPEG" if image.format == "MPO" else str(image.format)
        with _damage_of(name):
            return Decoded(_rgb(image, data), content)


def read_planes(path: Path, bands: int) -> tuple[Image.Image, ...]:
    """The picture in a file: in RGB where three bands are asked for, else a grey one each band.

    Raises:
        ArchiveError: see `read_image`; or the file has another number of bands.
    """
    return decode_planes(read_bytes(path), path.name, bands)


def decode_planes(data: bytes, name: str, bands: int) -> tuple[Image.Image, ...]:
    """The same, of the bytes of a file; deep samples are stretched alike in all bands.

    Raises:
        ArchiveError: see `read_planes`.
    """
    if bands == COLOUR_BANDS:
        return (decode(data, name).image,)
    layout = tiff_layout(data)
    if layout is not None and layout.bands == bands > 1:
        from archive.deep_pixels import grey_planes  # numpy: not for every start of the app

        _check_size(name, layout.width, layout.height, bands)
        with _damage_of(name):
            return grey_planes(data, layout)
    found = layout.bands if layout is not None else _band_count(data, name)
    if found != bands:
        raise _refusal(name, f"has {found} bands, and this project reads {bands}")
    if bands == 1:
        return (decode(data, name).image.convert("L"),)
    with _open(data, name) as image:
        _check_size(name, image.width, image.height, bands)
        with _damage_of(name):
            return ImageOps.exif_transpose(image).split()


def _band_count(data: bytes, name: str) -> int:
    with _open(data, name) as image:
        return band_count(image)


def _check_size(name: str, width: int, height: int, bands: int) -> None:
    if width * height > MAX_PIXELS:
        millions = MAX_PIXELS // 1_000_000
        sizes = f"{width} × {height} pixels; at most {millions} million are allowed"
        raise _refusal(name, f"has {sizes}")
    if bands > MAX_BANDS or width * height * bands > MAX_SAMPLES:
        raise _refusal(
            name,
            f"has {bands} bands of {width} × {height} pixels; at most {MAX_BANDS} bands and "
            f"{MAX_SAMPLES // 1_000_000} million values are allowed",
        )


@contextmanager
def _damage_of(name: str) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise _refusal(name, f"is damaged or truncated ({_first_line(error)})") from error


@contextmanager
def _open(data: bytes, name: str) -> Iterator[ImageFile.ImageFile]:
    try:
        image = _identified(data)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = MAX_PIXELS // 1_000_000
        message = f"has far too many pixels; at most {limit} million are allowed"
        raise _refusal(name, message) from error
    except UnidentifiedImageError as error:
        raise _refusal(name, _why_unidentified(data)) from error
    except DAMAGE as error:
        raise _refusal(name, f"is damaged or truncated ({_first_line(error)})") from error
    with image:
        yield image


def _identified(data: bytes) -> ImageFile.ImageFile:
    """The header only; Pillow's warning of a decompression bomb counts as an error."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # odd metadata harm no pixels
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(data), formats=FORMATS)


def _rgb(image: ImageFile.ImageFile, data: bytes) -> Image.Image:
    if is_deep(image):
        from archive.deep_pixels import deep_to_8bit  # numpy: not for every start of the app

        return deep_to_8bit(image, lambda: _identified(data))
    upright = ImageOps.exif_transpose(image)
    if image.format == "TIFF" or not upright.has_transparency_data:
        return upright.convert("RGB")
    seen = upright.convert("RGBA")
    white = Image.new("RGBA", seen.size, "white")
    return Image.alpha_composite(white, seen).convert("RGB")


def _why_unidentified(data: bytes) -> str:
    if data.startswith(BIG_BACKWARDS):
        return "is a BigTIFF with the highest byte first; save it with the lowest byte first"
    if data[:4] not in HEADERS:
        return "is no JPEG, PNG or TIFF by its content"
    layout = tiff_layout(data)
    if layout is None:
        return "is a damaged or truncated TIFF"
    return (
        f"is a TIFF of {layout.bands} bands with {'/'.join(str(b) for b in layout.bits)} bits, "
        "which cannot be decoded"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0].strip().rstrip(".") or type(error).__name__


def _refusal(name: str, reason: str) -> ArchiveError:
    return ArchiveError(f"{name!r} {reason}.", _HINT)
