"""Images as the backbones take them.

The whole image is resized to a square, nothing is cropped: in an aerial tile the edge matters as
much as the middle. An image that is not square is distorted. Values are then normalised with
the ImageNet statistics that torchvision's weights were trained with. Pixels stay uint8 until
they are on the device, a quarter of the memory and traffic.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from archive.decode import COLOUR_BANDS, read_planes
from domain.errors import InputError


@dataclass(frozen=True)
class BandStatistics:
    """What a network takes for the usual values of each band of an image.

    Attributes:
        mean, std: of each band, as shares of full brightness.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.mean)


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
IMAGENET = BandStatistics(IMAGENET_MEAN, IMAGENET_STD)

_SMALLEST_STD = 1e-3  # a band that never varies is centred, not blown up


def preprocessing_name(size_px: int) -> str:
    """Names what is done to an image; features made under different names cannot be compared."""
    return f"square{size_px}-bilinear"


def load_pixels(path: Path, size_px: int, *, bands: int = COLOUR_BANDS) -> NDArray[np.uint8]:
    """[size_px, size_px, bands] uint8 pixels of the whole image, resized to a square.

    Args:
        bands: 3 are red, green and blue.

    Raises:
        ArchiveError: the file cannot be read as an image, or has other bands.
    """
    return load_squares(path, (size_px,), bands=bands)[0]


def load_squares(
    path: Path, sizes_px: Sequence[int], *, bands: int = COLOUR_BANDS
) -> tuple[NDArray[np.uint8], ...]:
    """As `load_pixels`, an array of each size; the file is read and decoded once.

    Raises:
        ArchiveError: see `load_pixels`.
    """
    return squares_of(read_planes(path, bands), sizes_px)


def squares_of(
    planes: Sequence[Image.Image], sizes_px: Sequence[int]
) -> tuple[NDArray[np.uint8], ...]:
    """As `load_squares`, of a picture that is decoded already: in RGB, or a plane each band."""
    return tuple(
        np.dstack([np.asarray(_square(plane, size_px)) for plane in planes]) for size_px in sizes_px
    )


def _square(image: Image.Image, size_px: int) -> Image.Image:
    if image.size == (size_px, size_px):
        return image
    # reducing_gap: photographs many times larger are first shrunk by whole factors, quickly
    return image.resize((size_px, size_px), Image.Resampling.BILINEAR, reducing_gap=3.0)


def band_statistics(images: Iterable[NDArray[np.uint8]]) -> BandStatistics:
    """Mean and standard deviation of each band over all pixels of images [H, W, C].

    Raises:
        InputError: there is no image.
    """
    pixels, total, squares = 0, np.zeros(1), np.zeros(1)
    for image in images:
        values = image.reshape(-1, image.shape[-1]) / 255.0
        pixels += len(values)
        total, squares = total + values.sum(axis=0), squares + (values**2).sum(axis=0)
    if not pixels:
        raise InputError("There is no image to measure bands on.", "Add images.")
    mean = total / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, _SMALLEST_STD**2))
    return BandStatistics(tuple(mean.tolist()), tuple(std.tolist()))


def normalised(pixels: Tensor, bands: BandStatistics = IMAGENET) -> Tensor:
    """[B, C, H, W] float32 network input of [B, H, W, C] pixels 0…255, on the same device."""
    mean = torch.tensor(bands.mean, device=pixels.device).mul_(255)
    std = torch.tensor(bands.std, device=pixels.device).mul_(255)
    # The channels stand last in memory, as decoded, which is also what convolutions like best.
    return ((pixels.float() - mean) / std).permute(0, 3, 1, 2)
