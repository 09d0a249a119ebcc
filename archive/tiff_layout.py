"""How a TIFF file lays out its samples, by its header (no numpy: slow to load)."""

import io
import struct
from dataclasses import dataclass
from typing import Any

from PIL import TiffImagePlugin
from PIL.TiffImagePlugin import ImageFileDirectory_v2

# What Pillow's decoders raise on damaged data (seen by mutating files at random).
DAMAGE = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError,
    AttributeError, struct.error, MemoryError, Warning,
)  # fmt: skip

_BIG = b"II+\0"  # BigTIFF, whose places in the file are numbers of 64 bits
HEADERS = (b"II*\0", b"MM\0*", _BIG)
BIG_BACKWARDS = b"MM\0+"  # BigTIFF too, with the highest byte first; Pillow cannot read it
_SEPARATE = 2
_MOST_FOR_PILLOW = 4


@dataclass(frozen=True)
class TiffLayout:
    """The first picture of a TIFF file.

    Attributes:
        bands: samples a pixel.
        bits: of each sample.
        separate: whether one band follows the other, not one pixel the other.
        tags: all of them, by number.
    """

    width: int
    height: int
    bands: int
    bits: tuple[int, ...]
    separate: bool
    tags: ImageFileDirectory_v2

    @property
    def is_beyond_pillow(self) -> bool:
        """Whether Pillow shows such a picture wrong, or not at all."""
        deep = max(self.bits) > 8
        several_odd = self.bands == 2 or (self.bands > 1 and max(self.bits) > 16)
        return self.bands > _MOST_FOR_PILLOW or (deep and (self.separate or several_odd))


def tiff_layout(data: bytes) -> TiffLayout | None:
    """The layout of a TIFF file; None for other files, and for damaged ones."""
    if data[:4] not in HEADERS:
        return None
    try:
        tags = ImageFileDirectory_v2(data[: 16 if data.startswith(_BIG) else 8])
        stream = io.BytesIO(data)
        stream.seek(tags.next)
        tags.load(stream)
        bits = tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
        return TiffLayout(
            width=_whole(tags[TiffImagePlugin.IMAGEWIDTH]),
            height=_whole(tags[TiffImagePlugin.IMAGELENGTH]),
            bands=_whole(tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)),
            bits=tuple(_whole(each) for each in bits) or (1,),
            separate=tags.get(TiffImagePlugin.PLANAR_CONFIGURATION) == _SEPARATE,
            tags=tags,
        )
    except DAMAGE:
        return None


def _whole(value: Any) -> int:
    number = int(value)
    if number < 1:
        raise ValueError(f"{number} is no size")
    return number
