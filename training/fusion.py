"""Fuses the maps of several depths of a network: details of early ones, meaning of late ones.

Every map is split into a part that agrees with what all depths have in common and the rest; from
the coarsest map to the finest, both parts are weighed anew, the rest with what the coarser map left
over, and the parts that agree are put together.

Source: PEDC, section on the feature fusion module (PBFFN), eqs. 1-3.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 256  # channels of every level; the paper is silent
_SQUEEZED = 16  # the weighing layer is narrower by this


class FeatureFusion(nn.Module):
    """[B, L · width, H, W] of L maps, H and W those of the finest.

    Attributes:
        width: channels of each level.
        levels: L.
    """

    def __init__(
        self,
        channels: Sequence[int],
        *,
        width: int = WIDTH,
        update: bool = True,
        fuse_high: bool = False,
    ) -> None:
        """Of maps with these channels, finest first; two or more.

        Args:
            channels: of each map.
            width: channels that each is brought to.
            update: weigh the parts anew; without it they are put together as they are.
            fuse_high: give the parts that agree what the coarser map's left over, too.
        """
        super().__init__()
        self.width, self.levels = width, len(channels)
        self.lateral = nn.ModuleList(nn.Conv2d(each, width, 1) for each in channels)
        self.split = nn.ModuleList(_Split(width) for _ in channels)
        self.update = nn.ModuleList(
            _Update(width, coarsest=place == len(channels) - 1, fuse_high=fuse_high)
            for place in range(len(channels) if update else 0)
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """The fused map.

        Args:
            maps: [B, channels, H, W] each, finest first.
        """
        brought = [lateral(each) for lateral, each in zip(self.lateral, maps, strict=True)]
        common = correlation_vector(brought)
        parts = [split(each, common) for split, each in zip(self.split, brought, strict=True)]
        coarsest, *finer = self._agreeing(parts)
        fused = coarsest
        for high in finer:
            fused = torch.cat([high, enlarged(fused, high)], 1)
        return fused

    def _agreeing(self, parts: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
        """What agrees of each level, weighed, coarsest first."""
        found: list[Tensor] = []
        coarser: tuple[Tensor, Tensor] | None = None
        for place in reversed(range(self.levels)):
            high, low = parts[place]
            coarser = self.update[place](high, low, coarser) if len(self.update) else (high, low)
            found.append(coarser[0])
        return found


def correlation_vector(maps: Sequence[Tensor]) -> Tensor:
    """[B, C] what maps of several sizes have in common: the mean of their sum over all positions.

    Args:
        maps: [B, C, H, W] each, finest first; the coarser are enlarged step by step.

    Differs from the paper: eq. 1 prints no sum over positions, but its figure pools.

    Source: PEDC, eq. 1.
    """
    total = maps[-1]
    for finer in reversed(maps[:-1]):
        total = finer + enlarged(total, finer)
    return total.mean((2, 3)) / len(maps)


def enlarged(coarse: Tensor, like: Tensor) -> Tensor:
    """The map [B, C, h, w] at the size of another, between its values along straight lines."""
    return functional.interpolate(coarse, size=like.shape[2:], mode="bilinear", align_corners=False)


class _Split(nn.Module):
    """Splits a map in two parts that add up to it.

    Source: PEDC, eq. 2.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Conv2d(2 * width, width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, level: Tensor, common: Tensor) -> tuple[Tensor, Tensor]:
        """[B, C, H, W] what agrees with the common vector [B, C], and the rest."""
        everywhere = common[:, :, None, None].expand_as(level)
        share = torch.sigmoid(self.norm(self.gate(torch.cat([level, everywhere], 1))))
        return share * level, level - share * level


class _Update(nn.Module):
    """Weighs the channels of both parts by what both hold, the rest with the coarser map's.

    Source: PEDC, section on the feature update; halves of one weight vector are ours.
    """

    def __init__(self, width: int, *, coarsest: bool, fuse_high: bool) -> None:
        super().__init__()
        self.join_low = None if coarsest else nn.Conv2d(2 * width, width, 1)
        joins_high = fuse_high and not coarsest
        self.join_high = nn.Conv2d(2 * width, width, 1) if joins_high else None
        self.of_high, self.of_low = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        squeezed = max(2 * width // _SQUEEZED, 1)
        self.squeeze, self.excite = nn.Linear(2 * width, squeezed), nn.Linear(squeezed, 2 * width)

    def forward(
        self, high: Tensor, low: Tensor, coarser: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        """Both parts [B, C, H, W] of a level, given those of the next coarser one."""
        if coarser is not None and self.join_low is not None:
            low = self.join_low(torch.cat([low, enlarged(coarser[1], low)], 1))
        if coarser is not None and self.join_high is not None:
            high = self.join_high(torch.cat([high, enlarged(coarser[0], high)], 1))
        seen = torch.cat([self.of_high(high).relu(), self.of_low(low).relu()], 1).mean((2, 3))
        weights = torch.sigmoid(self.excite(self.squeeze(seen).relu()))[:, :, None, None]
        for_high, for_low = weights.chunk(2, 1)
        return for_high * high, for_low * low
