"""Pictures as browsers show them: upright JPEG files, rendered once and kept on disk."""

from pathlib import Path

from PIL import Image

from archive.decode import read_image
from domain.errors import ArchiveError, InputError
from domain.files import written_whole

JPEG_QUALITY = 85  # no visible loss at the size of a tile, about 15 kB at 256 px


def thumbnail(source: Path, cache: Path, key: str, size_px: int) -> Path:
    """The JPEG file of a picture that fits into a square; rendered if it is not there yet.

    The aspect ratio is kept and nothing is ever enlarged. The file appears complete or not at
    all, also with several callers at once.

    Args:
        source: the image file.
        cache: a folder for rendered files; made if missing.
        key: hexadecimal; names the content (its sha256), so that a changed file is rendered anew.
        size_px: longest side allowed.

    Raises:
        ArchiveError: the source cannot be read, or the cache cannot be written.
        InputError: the key is not hexadecimal, or the size is below 1.
    """
    if size_px < 1 or not key or set(key) - set("0123456789abcdef"):
        raise InputError(
            f"No thumbnail of size {size_px} for key {key!r}; the size must be 1 or more, "
            "the key lower-case hexadecimal.",
            "Use the image's sha256 as key.",
        )
    target = cache / key[:2] / f"{key}-{size_px}.jpg"
    if not target.exists():
        _render(source, target, size_px)
    return target


def _render(source: Path, target: Path, size_px: int) -> None:
    image = read_image(source)
    image.thumbnail((size_px, size_px), Image.Resampling.LANCZOS, reducing_gap=3.0)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(target) as draft:
            image.save(draft, "JPEG", quality=JPEG_QUALITY)
    except OSError as error:
        raise ArchiveError(
            f"The thumbnail {target} cannot be written: {error.strerror}.",
            "Make room on the disk, or make the project folder writable.",
        ) from error
