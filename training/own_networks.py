"""Networks that torchvision does not have: the fused one of PBFFN, and the shallow S-CNN.

Source: PEDC, section on the network (PBFFN); DAS-RHDIS, experimental setup (S-CNN).
"""

from torch import Tensor, nn

from training.fusion import WIDTH, FeatureFusion
from training.levels import LEVEL_COUNT, level_channels, level_maps

FUSED_WIDTH = LEVEL_COUNT * WIDTH


class FusedNetwork(nn.Module):
    """[B, 3 · 256] of images: the maps of three depths of a network, fused and then averaged.

    What fuses is not pretrained: before it is trained together with the rest (full depth), its
    features are hardly of use. They may be negative.

    Attributes:
        trunk: the network whose maps are fused; weights made for it fit.
        fusion: gives [B, 3 · 256, H / 8, W / 8].

    Source: PEDC, eqs. 1-3; the fully connected layer after it is the head.
    """

    def __init__(self, trunk_name: str, trunk: nn.Module) -> None:
        """Of a backbone's network, without its classifier."""
        super().__init__()
        self._trunk_name = trunk_name
        self.trunk = trunk
        self.fusion = FeatureFusion(level_channels(trunk_name))

    def forward(self, images: Tensor) -> Tensor:
        """[B, 768] features of [B, bands, H, W] images."""
        fused: Tensor = self.fusion(level_maps(self._trunk_name, self.trunk, images))
        return fused.mean((2, 3))


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
        maps: Tensor = self.features(images)
        features: Tensor = self.classifier(maps.mean((2, 3)))
        return features


def _block(channels: int, out: int, kernel: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    ]
