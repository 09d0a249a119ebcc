"""Image files for the tests of this package."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def noise(seed: int, width: int = 40, height: int = 30) -> Image.Image:
    """A picture unlike that of any other seed."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(image: Image.Image, fmt: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, fmt, **options)
    return stream.getvalue()


def save(path: Path, seed: int, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise(seed).save(path, **options)
    return path


def png_header(width: int, height: int) -> bytes:
    """A tiny PNG that claims any size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def as_big_tiff(data: bytes) -> bytes:
    """The same TIFF, lowest byte first, as a BigTIFF: its table of tags stands at the end."""
    (table,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, table)
    sizes = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1}
    entries = struct.pack("<Q", count)
    for at in range(table + 2, table + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from("<HHI", data, at)
        size = sizes[kind] * number
        place = at + 8 if size <= 4 else struct.unpack_from("<I", data, at + 8)[0]
        value = data[place : place + size] if size <= 8 else struct.pack("<Q", place)
        entries += struct.pack("<HHQ8s", tag, kind, number, value)
    header = struct.pack("<2sHHHQ", b"II", 43, 8, 0, len(data))
    return header + data[len(header) :] + entries + bytes(8)


def tiff(
    samples: NDArray[np.integer], *, order: str = "<", planar: int = 1, orientation: int = 1
) -> bytes:
    """An uncompressed TIFF of [H, W, C] unsigned samples, written tag by tag (TIFF 6.0)."""
    height, width, bands = samples.shape
    stored = samples if planar == 1 else samples.transpose(2, 0, 1)
    data = stored.astype(samples.dtype.newbyteorder(order)).tobytes()
    tags = {
        256: width, 257: height, 258: None, 259: 1, 262: 2 if bands >= 3 else 1, 273: None,
        274: orientation, 277: bands, 278: height, 279: None, 284: planar,
    }  # fmt: skip
    if bands > 3:
        tags[338] = None
    layers = bands if planar == 2 else 1
    start = 8 + 2 + 12 * len(tags) + 4
    bits = struct.pack(f"{order}{bands}H", *[samples.dtype.itemsize * 8] * bands)
    extra = struct.pack(f"{order}{max(bands - 3, 0)}H", *[0] * max(bands - 3, 0))
    pixels_at = start + len(bits) + len(extra) + 8 * layers
    layer = len(data) // layers
    offsets = struct.pack(f"{order}{layers}I", *(pixels_at + k * layer for k in range(layers)))
    counts = struct.pack(f"{order}{layers}I", *[layer] * layers)
    after = start + len(bits) + len(extra)
    long_tags = {
        258: (3, bits, start),
        338: (3, extra, start + len(bits)),
        273: (4, offsets, after),
        279: (4, counts, after + len(offsets)),
    }
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    for tag, value in sorted(tags.items()):
        if tag in long_tags:
            kind, body, at = long_tags[tag]
            size = len(body) // (2 if kind == 3 else 4)
            place = body.ljust(4, b"\0") if len(body) <= 4 else struct.pack(f"{order}I", at)
            out += struct.pack(f"{order}HHI", tag, kind, size) + place
        else:
            out += struct.pack(f"{order}HHII", tag, 4, 1, value)
    return out + struct.pack(f"{order}I", 0) + bits + extra + offsets + counts + data
