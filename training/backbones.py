"""The networks that turn an image into one feature vector.

Five torchvision architectures without their classifier: [B, 3, H, W] normalised images in,
[B, D] globally average-pooled, rectified features out (so every value is >= 0). Parameter names
are torchvision's, so that weights files made for it fit. Nothing is downloaded here; see
`training.weights`.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision import models

from domain.errors import InputError


@dataclass(frozen=True)
class _Architecture:
    """How to make a network, how wide its feature is, and what its classifier is called."""

    make: Callable[[], nn.Module]
    feature_dim: int
    classifier: str


_ARCHITECTURES = {
    "resnet18": _Architecture(models.resnet18, 512, "fc"),
    "resnet50": _Architecture(models.resnet50, 2048, "fc"),
    "mobilenet_v2": _Architecture(models.mobilenet_v2, 1280, "classifier"),
    "vgg16": _Architecture(models.vgg16, 512, "classifier"),
    "densenet121": _Architecture(models.densenet121, 1024, "classifier"),
}
BACKBONES = tuple(_ARCHITECTURES)


class Backbone(nn.Module):
    """A network without its classifier: [B, 3, H, W] float images to [B, feature_dim] features.

    Attributes:
        name: of the architecture, one of `BACKBONES`.
        feature_dim: width of the feature.
        classifier: prefix that the removed classifier has in weights files.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        chosen = _architecture(name)
        self.name = name
        self.feature_dim = chosen.feature_dim
        self.classifier = chosen.classifier
        self.network = chosen.make()
        setattr(self.network, chosen.classifier, nn.Identity())
        if name == "vgg16":  # torchvision pools to 7x7 there; the others pool to one value
            self.network.avgpool = nn.AdaptiveAvgPool2d(1)

    def forward(self, images: Tensor) -> Tensor:
        """[B, feature_dim] pooled features of [B, 3, H, W] images; H and W 32 or more."""
        features: Tensor = self.network(images)
        return features


def build_backbone(name: str, *, seed: int = 0) -> Backbone:
    """The named backbone in evaluation mode, with random weights drawn from the seed.

    The same name and seed give the same weights; no other random numbers are disturbed.

    Raises:
        InputError: the name is none of `BACKBONES`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Backbone(name).eval()


def backbone_sha256(backbone: Backbone) -> str:
    """A hash of the architecture and all weights: equal only if the features are equal.

    It is independent of the file the weights came from and of the device they are on.
    """
    digest = hashlib.sha256(backbone.name.encode())
    for key, value in sorted(backbone.network.state_dict().items()):
        digest.update(f"{key} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _architecture(name: str) -> _Architecture:
    if name not in _ARCHITECTURES:
        raise InputError(
            f'backbone = "{name}"; must be one of {", ".join(BACKBONES)}.',
            "Choose one of them in project.toml or with --backbone.",
        )
    return _ARCHITECTURES[name]
