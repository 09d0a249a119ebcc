"""How deep and how many the samples of a picture are, by its header (no numpy: slow to load)."""

from typing import Any

from PIL import ImageFile, TiffImagePlugin

GREY_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")

_COLOUR_LAYOUTS = {"RGB", "RGBX", "RGBA"}
_SEPARATE_PLANES = 2


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether the picture is grey, or a colour TIFF, with more than 8 bits a sample."""
    return image.mode in GREY_MODES or (image.format == "TIFF" and _colour_depth(image) > 8)


def band_count(image: ImageFile.ImageFile) -> int:
    """Samples of each pixel in the file."""
    return int(_tag(image, TiffImagePlugin.SAMPLESPERPIXEL) or len(image.getbands()))


def _has_separate_planes(image: ImageFile.ImageFile) -> bool:
    """Whether a TIFF stores one band after the other instead of one pixel after the other."""
    return bool(_tag(image, TiffImagePlugin.PLANAR_CONFIGURATION) == _SEPARATE_PLANES)


def _colour_depth(image: ImageFile.ImageFile) -> int:
    """Bits a sample of a colour TIFF whose layout we can read in full; else 8 or less."""
    layouts = {_raw_mode(tile.args).partition(";")[0] for tile in image.tile}
    bits = _tag(image, TiffImagePlugin.BITSPERSAMPLE)
    known = _has_separate_planes(image) or layouts <= _COLOUR_LAYOUTS
    readable = image.mode in ("RGB", "RGBA") and known
    return max(bits) if readable and isinstance(bits, tuple) else 8


def _tag(image: ImageFile.ImageFile, number: int) -> Any:
    return image.tag_v2.get(number) if isinstance(image, TiffImagePlugin.TiffImageFile) else None


def _raw_mode(args: Any) -> str:
    return str(args[0]) if isinstance(args, tuple) else str(args)
