"""Pixels of more than 8 bit, such as satellites send, brought to 8 bit.

Sensors often fill 10 to 12 of 16 bits; cutting off the low byte would leave them black. So the
range that the picture really uses is stretched: its 2nd percentile becomes 0, its 98th 255, the
same for all bands, which keeps colours.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from archive.pixel_depth import GREY_MODES
from archive.tiff_bands import tiff_samples
from archive.tiff_layout import TiffLayout

LOW_PERCENT, HIGH_PERCENT = 2.0, 98.0

_SWAPPED = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}


def deep_to_8bit(
    image: ImageFile.ImageFile, reopen: Callable[[], ImageFile.ImageFile]
) -> Image.Image:
    """The upright RGB picture of a deep image; `reopen` gives the same file afresh.

    Raises:
        OSError: the file is truncated.
    """
    if image.mode in GREY_MODES:
        grey = np.asarray(ImageOps.exif_transpose(image))
        return Image.fromarray(stretched(grey)).convert("RGB")
    high = np.asarray(ImageOps.exif_transpose(image))[:, :, :3]
    with reopen() as again:
        again.tile = [tile._replace(args=_low_bytes(tile.args)) for tile in again.tile]
        low = np.asarray(ImageOps.exif_transpose(again))[:, :, :3]
    return Image.fromarray(stretched(high.astype(np.uint16) << 8 | low))


def shown_bands(data: bytes, layout: TiffLayout) -> Image.Image:
    """The RGB picture of a TIFF file that Pillow cannot show: its first three bands.

    Corner cases: of two bands, the first in grey.

    Raises:
        ValueError, OSError: see `tiff_samples`.
    """
    samples = tiff_samples(data, layout)
    return Image.fromarray(_shallow(samples[:, :, : 3 if layout.bands > 2 else 1])).convert("RGB")


def grey_planes(data: bytes, layout: TiffLayout) -> tuple[Image.Image, ...]:
    """A grey picture of each band of a TIFF file.

    Raises:
        ValueError, OSError: see `tiff_samples`.
    """
    samples = _shallow(tiff_samples(data, layout))
    bands = np.ascontiguousarray(samples.transpose(2, 0, 1))
    return tuple(Image.fromarray(each) for each in bands)


def _shallow(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """[H, W, C] in 8 bit; of one band [H, W]."""
    eight = samples if samples.dtype == np.uint8 else stretched(samples)
    return eight[:, :, 0] if eight.shape[2] == 1 else eight


def stretched(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """The samples as 0…255, from their 2nd to their 98th percentile.

    Corner cases: a picture of one value becomes black; NaN and infinities count as 0.
    """
    if samples.dtype.kind == "u" and samples.dtype.itemsize == 2:
        shallow: NDArray[np.uint8] = _table(samples.astype(np.uint16, copy=False))[samples]
        return shallow
    finite = np.nan_to_num(samples.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = np.percentile(finite, (LOW_PERCENT, HIGH_PERCENT))
    return _scaled(finite, float(low), float(high))


def _table(samples: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """The 8-bit value of each 16-bit one: needs no copy of a large picture as floats."""
    share = np.cumsum(np.bincount(samples.ravel(), minlength=1 << 16)) / samples.size
    low, high = np.searchsorted(share, (LOW_PERCENT / 100, HIGH_PERCENT / 100))
    return _scaled(np.arange(1 << 16, dtype=np.float32), float(low), float(high))


def _scaled(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    span = high - low if high > low else 1.0
    shares: NDArray[np.float32] = np.clip((values - low) / span, 0, 1)
    return (shares * 255 + 0.5).astype(np.uint8)


def _low_bytes(args: Any) -> tuple[Any, ...]:
    """The decoder's arguments with the byte order swapped.

    Pillow keeps the high byte of a 16-bit colour sample only; told the other byte order, it
    keeps the low one.
    """
    raw_mode, *rest = args
    return (raw_mode[:-1] + _SWAPPED[raw_mode[-1]], *rest)
