"""Random views of images, a whole batch at a time on the device.

A view is a random square part of the image at a random scale, mirrored, turned by a right angle
(seen from above, up has no meaning) and with its colours shifted a little. Only a little: in
aerial images colour tells water from fields. A share of the views is blurred, another noisy. Used
to learn without labels and to retrain a backbone from answers.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from domain.config import FullDepthSettings
from training.preprocessing import IMAGENET, BandStatistics, normalised

_BLUR_PX = 5  # kernel; a Gaussian of the sigma below reaches no further
_BLUR_SIGMA_PX = (0.5, 1.5)


@dataclass(frozen=True)
class ViewSettings:
    """How much two views of an image may differ.

    Attributes:
        size_px: side of a view.
        smallest_area, largest_area: share of the image that a view shows.
        jitter: brightness, contrast and saturation are multiplied by 1 ± jitter.
        tint: share of full brightness that each colour channel may shift by.
        turned: whether views are turned by right angles; mirrored they are in any case.
        blurred, noisy: the shares of views that are blurred, and that get noise.
        noise: its standard deviation, as a share of full brightness.
    """

    size_px: int = 64
    smallest_area: float = 0.1
    largest_area: float = 0.5
    jitter: float = 0.2
    tint: float = 0.03
    turned: bool = True
    blurred: float = 0.0
    noisy: float = 0.0
    noise: float = 0.03

    @classmethod
    def at_full_depth(
        cls, full: FullDepthSettings, *, size_px: int, turned: bool = True
    ) -> "ViewSettings":
        """What a backbone learns from: most of an image, changed as the settings say."""
        return cls(
            size_px=size_px,
            smallest_area=full.smallest_area,
            largest_area=1.0,
            jitter=full.colour,
            turned=turned,
            blurred=full.blurred,
            noisy=full.noisy,
        )


def random_views(
    pixels: Tensor,
    settings: ViewSettings,
    generator: torch.Generator,
    *,
    bands: BandStatistics = IMAGENET,
) -> Tensor:
    """[B, C, size_px, size_px] network inputs, one random view of each of [B, H, W, C] uint8.

    The random numbers are drawn on the CPU, so that every device sees the same views.
    """
    images = pixels.permute(0, 3, 1, 2).float()  # channels stand last in memory
    side = settings.size_px
    grid = F.affine_grid(
        _placements(len(pixels), settings, generator).to(pixels.device),
        [*images.shape[:2], side, side],
        align_corners=False,
    )
    views = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    views = _recoloured(views, settings, generator)
    views = _disturbed(_softened(views, settings, generator), settings, generator)
    return normalised(views.permute(0, 2, 3, 1), bands)


def _placements(count: int, settings: ViewSettings, generator: torch.Generator) -> Tensor:
    """[B, 2, 3] affine maps from a view's coordinates to the image's, both -1…1."""
    side = _uniform(count, settings.smallest_area, settings.largest_area, generator).sqrt()
    x = _uniform(count, -1, 1, generator) * (1 - side)
    y = _uniform(count, -1, 1, generator) * (1 - side)
    angle = torch.randint(4, (count,), generator=generator) * (math.pi / 2)
    if not settings.turned:
        angle = torch.zeros(count)
    mirror = torch.randint(2, (count,), generator=generator) * 2.0 - 1
    cos, sin = side * angle.cos(), side * angle.sin()
    rows = [torch.stack([cos * mirror, -sin, x], 1), torch.stack([sin * mirror, cos, y], 1)]
    return torch.stack(rows, 1)


def _recoloured(views: Tensor, settings: ViewSettings, generator: torch.Generator) -> Tensor:
    """The [B, C, H, W] views, 0…255, with other brightness, contrast, saturation and tint."""
    count, bands = views.shape[:2]

    def factor() -> Tensor:
        drawn = _uniform(count, 1 - settings.jitter, 1 + settings.jitter, generator)
        return drawn.view(count, 1, 1, 1).to(views.device)

    views = views * factor()
    mean = views.mean((1, 2, 3), keepdim=True)
    views = (views - mean) * factor() + mean
    grey = views.mean(1, keepdim=True)
    views = (views - grey) * factor() + grey
    tint = _uniform(bands * count, -settings.tint, settings.tint, generator) * 255
    return (views + tint.view(count, bands, 1, 1).to(views.device)).clamp(0, 255)


def _softened(views: Tensor, settings: ViewSettings, generator: torch.Generator) -> Tensor:
    """The views, a share of them blurred, all alike: as with haze, or another sensor."""
    if not settings.blurred:
        return views
    chosen = torch.rand(len(views), generator=generator) < settings.blurred
    sigma = float(_uniform(1, *_BLUR_SIGMA_PX, generator))
    rows = torch.nonzero(chosen)[:, 0].to(views.device)
    if not len(rows):
        return views
    from torchvision.transforms.v2.functional import gaussian_blur  # takes seconds to import

    return views.index_copy(0, rows, gaussian_blur(views[rows], [_BLUR_PX, _BLUR_PX], [sigma]))


def _disturbed(views: Tensor, settings: ViewSettings, generator: torch.Generator) -> Tensor:
    """The views, a share of them with noise on every value."""
    if not settings.noisy:
        return views
    rows = torch.nonzero(torch.rand(len(views), generator=generator) < settings.noisy)[:, 0]
    noise = torch.randn((len(rows), *views.shape[1:]), generator=generator)
    noisy = views[rows.to(views.device)] + (255 * settings.noise * noise).to(views.device)
    return views.index_copy(0, rows.to(views.device), noisy.clamp(0, 255))


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low
