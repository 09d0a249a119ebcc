"""The maps inside a network, finest first: an 8th, a 16th and a 32nd of the image's side.

What fuses features of several depths, or pools the last map in another way, needs the maps
themselves, with gradients.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from domain.errors import InputError


@dataclass(frozen=True)
class _Levels:
    """Names and channels of the modules whose outputs are the levels, finest first.

    The modules are children of the network, or of its part called `inside`.
    """

    inside: str
    names: tuple[str, str, str]
    channels: tuple[int, int, int]


_LEVELS = {
    "resnet18": _Levels("", ("layer2", "layer3", "layer4"), (128, 256, 512)),
    "resnet50": _Levels("", ("layer2", "layer3", "layer4"), (512, 1024, 2048)),
    "mobilenet_v2": _Levels("features", ("6", "13", "18"), (32, 96, 1280)),
    "vgg16": _Levels("features", ("16", "23", "30"), (256, 512, 512)),
    "densenet121": _Levels("features", ("denseblock2", "denseblock3", "relu5"), (512, 1024, 1024)),
}
LEVELS = (2, 3, 4)  # as ResNets count their stages


def level_channels(name: str) -> tuple[int, int, int]:
    """Channels of the levels of a backbone, finest first.

    Raises:
        InputError: the backbone names no levels.
    """
    return _levels(name).channels


def level_maps(name: str, network: nn.Module, images: Tensor) -> list[Tensor]:
    """The maps [B, C, H, W] of images, finest first.

    Args:
        name: of the backbone.
        network: its torchvision network, without what it pools and classifies with.
        images: [B, bands, H, W].
    """
    levels, maps = _levels(name), []
    for child, module in _children(network, levels.inside):
        images = module(images)
        if child in levels.names:
            maps.append(images)
        if child == levels.names[-1]:
            break
    return maps


def _children(network: nn.Module, inside: str) -> Iterator[tuple[str, nn.Module]]:
    """The modules that images go through, in order."""
    return (network.get_submodule(inside) if inside else network).named_children()


def _levels(name: str) -> _Levels:
    if name not in _LEVELS:
        raise InputError(
            f"The backbone {name} names no levels to fuse.", f"Take one of {', '.join(_LEVELS)}."
        )
    return _LEVELS[name]
