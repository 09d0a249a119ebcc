"""Networks that torchvision does not have: the fused one of PBFFN, and the shallow S-CNN.

Source: PEDC, section on the network (PBFFN); DAS-RHDIS, experimental setup (S-CNN).
"""

from collections.abc import Sequence

from torch import Tensor, nn

from domain.errors import InputError
from training.fusion import FeatureFusion
from training.levels import LEVELS, level_channels, level_maps


class FusedNetwork(nn.Module):
    """[B, L · 256] of images: the maps of L depths of a network, fused and then averaged.

    What fuses is not pretrained: before it is trained together with the rest (full depth), its
    features are hardly of use. They may be negative.

    Attributes:
        trunk: the network whose maps are fused; weights made for it fit.
        fusion: gives [B, L · 256, H / 8, W / 8], if the finest map is among them.

    Source: PEDC, eqs. 1-3, and its ablation; the fully connected layer after it is the head.
    """

    def __init__(
        self,
        trunk_name: str,
        trunk: nn.Module,
        levels: Sequence[int] = LEVELS,
        *,
        update: bool = True,
        fuse_high: bool = False,
    ) -> None:
        """Of a backbone's network, without its classifier.

        Args:
            trunk_name: the backbone.
            trunk: its network.
            levels: of `LEVELS`, two or more, in that order.
            update, fuse_high: see `FeatureFusion`.

        Raises:
            InputError: the backbone names no levels, or fewer than two or others are asked for.
        """
        super().__init__()
        if list(levels) != [each for each in LEVELS if each in levels] or len(levels) < 2:
            raise InputError(
                f"Levels {', '.join(map(str, levels)) or 'none'} cannot be fused.",
                f"Take two or more of {', '.join(map(str, LEVELS))}, in this order.",
            )
        self._trunk_name = trunk_name
        self._places = [LEVELS.index(level) for level in levels]
        self.trunk = trunk
        channels = level_channels(trunk_name)
        self.fusion = FeatureFusion(
            [channels[place] for place in self._places], update=update, fuse_high=fuse_high
        )

    def forward(self, images: Tensor) -> Tensor:
        """[B, L · 256] features of [B, bands, H, W] images."""
        return self.last_map(images).mean((2, 3))

    def last_map(self, images: Tensor) -> Tensor:
        """[B, L · 256, H / 8, W / 8] what is pooled."""
        maps = level_maps(self._trunk_name, self.trunk, images)
        fused: Tensor = self.fusion([maps[place] for place in self._places])
        return fused


class ShallowNetwork(nn.Module):
    """[B, 64] of images: three convolutions, each normalised, rectified and pooled (S-CNN).

    There are no pretrained weights; it is trained from the start. The paper names the network and
    no more; kernels and channels are those usual for it, normalisation is ours.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(*_block(3, 32, 5), *_block(32, 32, 5), *_block(32, 64, 3))
        self.classifier = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """[B, 64] features of [B, bands, H, W] images."""
        features: Tensor = self.classifier(self.last_map(images).mean((2, 3)))
        return features

    def last_map(self, images: Tensor) -> Tensor:
        """[B, 64, H / 8, W / 8] what is pooled."""
        maps: Tensor = self.features(images)
        return maps


def _block(channels: int, out: int, kernel: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    ]
