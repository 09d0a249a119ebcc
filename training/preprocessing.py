"""Images as the backbones take them.

The whole image is resized to a square, nothing is cropped: in an aerial tile the edge matters as
much as the middle. An image that is not square is distorted. Values are then normalised with
the ImageNet statistics that torchvision's weights were trained with. Pixels stay uint8 until
they are on the device, a quarter of the memory and traffic.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from archive.decode import read_image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def preprocessing_name(size_px: int) -> str:
    """Names what is done to an image; features made under different names cannot be compared."""
    return f"square{size_px}-bilinear"


def load_pixels(path: Path, size_px: int) -> NDArray[np.uint8]:
    """[size_px, size_px, 3] uint8 RGB pixels of the whole image, resized to a square.

    Raises:
        ArchiveError: the file cannot be read as an image.
    """
    return load_squares(path, (size_px,))[0]


def load_squares(path: Path, sizes_px: Sequence[int]) -> tuple[NDArray[np.uint8], ...]:
    """As `load_pixels`, an array of each size; the file is read and decoded once.

    Raises:
        ArchiveError: the file cannot be read as an image.
    """
    return squares_of(read_image(path), sizes_px)


def squares_of(image: Image.Image, sizes_px: Sequence[int]) -> tuple[NDArray[np.uint8], ...]:
    """As `load_squares`, of an RGB picture that is decoded already."""
    return tuple(np.asarray(_square(image, size_px)) for size_px in sizes_px)


def _square(image: Image.Image, size_px: int) -> Image.Image:
    if image.size == (size_px, size_px):
        return image
    # reducing_gap: photographs many times larger are first shrunk by whole factors, quickly
    return image.resize((size_px, size_px), Image.Resampling.BILINEAR, reducing_gap=3.0)


def normalised(pixels: Tensor) -> Tensor:
    """[B, 3, H, W] float32 network input of [B, H, W, 3] uint8 pixels, on the same device."""
    mean = torch.tensor(IMAGENET_MEAN, device=pixels.device).mul_(255)
    std = torch.tensor(IMAGENET_STD, device=pixels.device).mul_(255)
    # The channels stand last in memory, as decoded, which is also what convolutions like best.
    return ((pixels.float() - mean) / std).permute(0, 3, 1, 2)
