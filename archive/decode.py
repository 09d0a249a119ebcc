"""Image files as upright RGB pictures; anything that is not safe to decode is refused.

Sizes are checked before pixels are decoded, so that a small file cannot fill the memory. The
format is found from the content. Files are never repaired: a truncated one is refused.
"""

import io
import stat
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageFile, ImageOps, TiffImagePlugin, UnidentifiedImageError

from archive.pixel_depth import band_count, is_deep
from domain.errors import ArchiveError

MAX_PIXELS = 64_000_000  # 8000 × 8000; 192 MB as RGB
MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_BANDS = 4  # of more, nobody can say which three to show

FORMATS = ("JPEG", "PNG", "TIFF")
SUFFIXES = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG",
    ".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF",
}  # fmt: skip

# What Pillow's decoders raise on damaged data (seen by mutating files at random).
_DAMAGE = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError,
    AttributeError, struct.error, MemoryError, Warning,
)  # fmt: skip

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
    become white; of a TIFF with four bands the first three are taken. Of several pages the
    first is taken.

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
    with _open(data, name) as image:
        if image.width * image.height > MAX_PIXELS:
            raise _refusal(
                name,
                f"has {image.width} × {image.height} pixels; "
                f"at most {MAX_PIXELS // 1_000_000} million are allowed",
            )
        if band_count(image) > MAX_BANDS:
            raise _refusal(name, f"has {band_count(image)} bands; at most {MAX_BANDS} are allowed")
        content = "JPEG" if image.format == "MPO" else str(image.format)
        try:
            return Decoded(_rgb(image, data), content)
        except _DAMAGE as error:
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
    except _DAMAGE as error:
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
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return "is no JPEG, PNG or TIFF by its content"
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
        stream = io.BytesIO(data)
        stream.seek(tags.next)
        tags.load(stream)
        bands = tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)
        bits = tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
    except _DAMAGE:
        return "is a damaged or truncated TIFF"
    return (
        f"is a TIFF of {bands} bands with {'/'.join(str(b) for b in bits)} bits, "
        "which cannot be decoded; 1 to 4 bands of 8 or 16 bits are supported"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0].strip().rstrip(".") or type(error).__name__


def _refusal(name: str, reason: str) -> ArchiveError:
    return ArchiveError(f"{name!r} {reason}.", _HINT)
