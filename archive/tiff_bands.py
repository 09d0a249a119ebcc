"""The samples of a TIFF file with any number of bands, such as satellites send.

Pillow knows pictures of up to four bands. To its decoders a file whose bands are interleaved is a
grey picture several times as wide, and a band by itself is a grey picture too: so the file gets
another table of tags, behind its last byte, and they decompress it as they do any other.
"""

import io
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from archive.tiff_layout import TiffLayout

_TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _TILE_COUNTS = 322, 323, 324, 325
_ORIENTATION, _FILL_ORDER, _PREDICTOR, _SAMPLE_FORMAT = 274, 266, 317, 339
# None, LZW, Deflate (twice), PackBits. JPEG mixes bands that are interleaved, and has up to four;
# one band by itself is a grey picture to it, too.
_COMPRESSIONS = (1, 5, 8, 32946, 32773)
_JPEG, _JPEG_TABLES = 7, 347
_DICTIONARIES = (5, 8, 32946)  # what a predictor is for
_NO_PREDICTOR, _DIFFERENCES = 1, 2
_LONG, _BYTES = 4, 7  # kinds of values
_COPIED = (257, 259, _FILL_ORDER, 278, _TILE_LENGTH)  # height, compression, rows of a strip …

_UPRIGHT: Mapping[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: np.fliplr,
    3: lambda samples: np.rot90(samples, 2),
    4: np.flipud,
    5: lambda samples: samples.swapaxes(0, 1),
    6: lambda samples: np.rot90(samples, -1),
    7: lambda samples: np.rot90(samples, 2).swapaxes(0, 1),
    8: np.rot90,
}


def tiff_samples(data: bytes, layout: TiffLayout) -> NDArray[Any]:
    """[H, W, C] all samples of a TIFF file, upright, as they are stored.

    Raises:
        ValueError: it is stored in a way that cannot be read; the message says which.
        OSError: the file is truncated.
    """
    tags = layout.tags
    compression = tags.get(TiffImagePlugin.COMPRESSION, 1)
    predictor = tags.get(_PREDICTOR, _NO_PREDICTOR)
    predictor = predictor if compression in _DICTIONARIES else _NO_PREDICTOR
    if len(set(layout.bits)) > 1:
        raise ValueError(f"{layout.bands} bands of different depths; save them in the same")
    if compression not in _COMPRESSIONS and not (compression == _JPEG and layout.separate):
        method = f"by method {compression} (TIFF tag 259)"
        raise ValueError(f"{layout.bands} bands compressed {method}; save it with LZW or Deflate")
    if predictor not in (_NO_PREDICTOR, _DIFFERENCES):
        raise ValueError("a predictor of floating-point numbers; save it without one")
    if layout.separate:
        planes = [_grey(data, layout, 1, band) for band in range(layout.bands)]
        samples = np.stack(planes, axis=2)
    else:
        wide = _grey(data, layout, layout.bands, None)
        samples = wide.reshape(layout.height, layout.width, layout.bands)
    if predictor == _DIFFERENCES:
        samples = _summed(samples, tags.get(_TILE_WIDTH) or layout.width)
    turn = _UPRIGHT.get(tags.get(_ORIENTATION, 1))
    return np.ascontiguousarray(samples if turn is None else turn(samples))


def _grey(data: bytes, layout: TiffLayout, times: int, band: int | None) -> NDArray[Any]:
    """The picture as a grey one so many times as wide; of separate bands one."""
    tags = layout.tags
    own: dict[int, tuple[int, ...] | bytes] = {n: (tags[n],) for n in _COPIED if n in tags}
    if _JPEG_TABLES in tags:
        own[_JPEG_TABLES] = bytes(tags[_JPEG_TABLES])
    own |= {
        TiffImagePlugin.IMAGEWIDTH: (layout.width * times,),
        TiffImagePlugin.BITSPERSAMPLE: (layout.bits[0],),
        TiffImagePlugin.PHOTOMETRIC_INTERPRETATION: (1,),
        TiffImagePlugin.SAMPLESPERPIXEL: (1,),
        _SAMPLE_FORMAT: tuple(tags.get(_SAMPLE_FORMAT) or (1,))[:1],
    }
    places: tuple[int, ...] = (TiffImagePlugin.STRIPOFFSETS, TiffImagePlugin.STRIPBYTECOUNTS)
    if _TILE_WIDTH in tags:
        own[_TILE_WIDTH] = (tags[_TILE_WIDTH] * times,)
        places = (_TILE_OFFSETS, _TILE_COUNTS)
    own |= {number: _of_band(tags[number], layout.bands, band) for number in places}
    with Image.open(io.BytesIO(_with_tags(data, own)), formats=("TIFF",)) as image:
        return np.asarray(image)


def _with_tags(data: bytes, tags: Mapping[int, tuple[int, ...] | bytes]) -> bytes:
    """The TIFF file with these tags in place of its own, numbers as long integers."""
    order = "<" if data[:1] == b"I" else ">"
    start = len(data) + len(data) % 2  # tables of tags begin at even addresses
    lists_at = start + 2 + 12 * len(tags) + 4
    entries, lists = struct.pack(f"{order}H", len(tags)), b""
    for number, values in sorted(tags.items()):
        kind, packed = _BYTES, values
        if not isinstance(values, bytes):
            kind, packed = _LONG, struct.pack(f"{order}{len(values)}I", *values)
        if len(packed) > 4:
            packed, lists = struct.pack(f"{order}I", lists_at + len(lists)), lists + packed
        entries += struct.pack(f"{order}HHI4s", number, kind, len(values), packed)
    body = data[8:].ljust(start - 8, b"\0")
    header = struct.pack(f"{order}2sHI", data[:2], 42, start)  # of a TIFF, also for a BigTIFF
    return header + body + entries + bytes(4) + lists


def _of_band(values: Sequence[int], bands: int, band: int | None) -> tuple[int, ...]:
    """The part of a list of strips or tiles that is one band's; all of it for None."""
    if band is None:
        return tuple(values)
    each = len(values) // bands
    return tuple(values[band * each : (band + 1) * each])


def _summed(samples: NDArray[Any], tile_width: int) -> NDArray[Any]:
    """Undo that each sample is stored as its difference to the one left of it in its tile."""
    for left in range(0, samples.shape[1], tile_width):
        part = samples[:, left : left + tile_width]
        samples = samples if left else samples.copy()
        samples[:, left : left + tile_width] = np.cumsum(part, axis=1, dtype=samples.dtype)
    return samples
