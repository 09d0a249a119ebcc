"""Makes one descriptor of a network's last map, and of several sizes of an image.

Source: DCL, sections on pooling and on multi-scale descriptors.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from domain.descriptors import SMALLEST_PX, Descriptor, Pooling
from domain.errors import InputError

# The paper's best pair of sizes.
SCALES = (1.0, 2**-0.5)
_LEAST_VALUE = 1e-6  # below it a power has no gradient


class MeanPool(nn.Module):
    """[B, C] the mean of each channel (SPoC): the paper's best."""

    def forward(self, maps: Tensor) -> Tensor:
        """[B, C] of [B, C, H, W]."""
        return maps.mean((2, 3))


class MaxPool(nn.Module):
    """[B, C] the largest value of each channel (MAC)."""

    def forward(self, maps: Tensor) -> Tensor:
        """[B, C] of [B, C, H, W]."""
        return maps.amax((2, 3))


class PowerPool(nn.Module):
    """[B, C] the mean of powers of each channel, and its root (GeM); the power is learnt.

    With power 1 it is the mean, and the larger the power, the nearer to the largest value. Values
    below 1e-6 count as 1e-6.
    """

    def __init__(self, power: float = 3.0) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.tensor(power))

    def forward(self, maps: Tensor) -> Tensor:
        """[B, C] of [B, C, H, W]."""
        return maps.clamp(min=_LEAST_VALUE).pow(self.power).mean((2, 3)).pow(1 / self.power)


def new_pooling(descriptor: Descriptor) -> nn.Module:
    """What pools the last map: [B, C] of [B, C, H, W]."""
    if descriptor.pooling is Pooling.GEM:
        return PowerPool(descriptor.power)
    return MaxPool() if descriptor.pooling is Pooling.MAX else MeanPool()


def multi_scale_descriptors(
    network: Callable[[Tensor], Tensor], images: Tensor, *, scales: Sequence[float] = SCALES
) -> Tensor:
    """[B, D] unit vectors: the mean direction of an image's descriptors at several sizes.

    Args:
        network: gives [B, D] descriptors of images of any size; they are brought to length 1.
        images: [B, bands, H, W].
        scales: of the sides; those at which a side would be below 32 px are left out.

    Raises:
        InputError: no scale is left.

    Source: DCL, section on multi-scale descriptors; for embedding, not for training.
    """
    seen = [network(each) for each in resized(images, scales).values()]
    return mean_direction(seen)


def mean_direction(descriptors: Sequence[Tensor]) -> Tensor:
    """[B, D] unit vectors: the mean of descriptors [B, D], each brought to length 1.

    Source: DCL, section on multi-scale descriptors.
    """
    unit = [functional.normalize(each, dim=1) for each in descriptors]
    return functional.normalize(torch.stack(unit).mean(0), dim=1)


def resized(images: Tensor, scales: Sequence[float]) -> dict[float, Tensor]:
    """The images [B, bands, H, W] at each scale of their sides, but those too small for networks.

    Raises:
        InputError: no scale is left.
    """
    sizes = {scale: [round(side * scale) for side in images.shape[2:]] for scale in scales}
    kept = {scale: size for scale, size in sizes.items() if min(size) >= SMALLEST_PX}
    if not kept:
        raise InputError(
            f"Images of {images.shape[2]} × {images.shape[3]} px have no scale of at least "
            f"{SMALLEST_PX} px among {', '.join(f'{scale:g}' for scale in scales)}.",
            "Take larger images or scales.",
        )
    return {scale: _resized(images, size) for scale, size in kept.items()}


def _resized(images: Tensor, size: Sequence[int]) -> Tensor:
    if list(images.shape[2:]) == list(size):
        return images
    return functional.interpolate(
        images, size=tuple(size), mode="bilinear", align_corners=False, antialias=True
    )
