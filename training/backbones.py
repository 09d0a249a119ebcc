"""The networks that turn an image into one feature vector.

Five torchvision architectures without their classifier: [B, 3, H, W] normalised images in,
[B, D] globally average-pooled, rectified features out (so every value is >= 0). Parameter names
are torchvision's, so that weights files made for it fit. Nothing is downloaded here; see
`training.weights`.
"""

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision import models

from domain.errors import InputError


@dataclass(frozen=True)
class _Architecture:
    """How to make a network, how wide its feature is, and what its classifier is called.

    The earlier stage is the last one at a sixteenth of the image's resolution, by the name of
    its last module: of a finer grain than the feature, and as cheap to have beside it.
    """

    make: Callable[[], nn.Module]
    feature_dim: int
    classifier: str
    earlier: str
    earlier_dim: int


_ARCHITECTURES = {
    "resnet18": _Architecture(models.resnet18, 512, "fc", "layer3", 256),
    "resnet50": _Architecture(models.resnet50, 2048, "fc", "layer3", 1024),
    "mobilenet_v2": _Architecture(models.mobilenet_v2, 1280, "classifier", "features.13", 96),
    "vgg16": _Architecture(models.vgg16, 512, "classifier", "features.23", 512),
    "densenet121": _Architecture(
        models.densenet121, 1024, "classifier", "features.transition3.relu", 1024
    ),
}
BACKBONES = tuple(_ARCHITECTURES)


@dataclass(frozen=True)
class Stages:
    """Pooled outputs of a network for the same images: [B, feature_dim] and [B, earlier_dim]."""

    feature: Tensor
    earlier: Tensor


class Backbone(nn.Module):
    """A network without its classifier: [B, 3, H, W] float images to [B, feature_dim] features.

    Attributes:
        name: of the architecture, one of `BACKBONES`.
        feature_dim: width of the feature.
        earlier_dim: width of the earlier stage's pooled output.
        classifier: prefix that the removed classifier has in weights files.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        chosen = _architecture(name)
        self.name = name
        self.feature_dim = chosen.feature_dim
        self.earlier_dim = chosen.earlier_dim
        self._earlier = chosen.earlier
        self.classifier = chosen.classifier
        self.network = chosen.make()
        setattr(self.network, chosen.classifier, nn.Identity())
        if name == "vgg16":  # torchvision pools to 7x7 there; the others pool to one value
            self.network.avgpool = nn.AdaptiveAvgPool2d(1)

    def forward(self, images: Tensor) -> Tensor:
        """[B, feature_dim] pooled features of [B, 3, H, W] images; H and W 32 or more."""
        features: Tensor = self.network(images)
        return features

    def stages(self, images: Tensor) -> Stages:
        """The features and the earlier stage's average-pooled output, in one pass."""
        caught: list[Tensor] = []
        stage = self.network.get_submodule(self._earlier)
        # pooled at once: a later module may write into the output itself
        with stage.register_forward_hook(lambda _, __, out: caught.append(out.mean((2, 3)))):
            features = self(images)
        return Stages(features, caught[0])


def folded(backbone: Backbone) -> Backbone:
    """A copy that computes the same, each normalisation folded into the convolution before it.

    For inference only. Features differ by float rounding (about 1e-6 of their size); on a CPU
    MobileNetV2 is twice as fast.
    """
    copied = copy.deepcopy(backbone).eval()
    network = copied.network
    for node in fx.symbolic_trace(network).graph.nodes:
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        convolution = network.get_submodule(str(before.target))
        normalisation = network.get_submodule(str(node.target))
        if isinstance(convolution, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d):
            merged = fuse_conv_bn_eval(convolution, normalisation)
            network.set_submodule(str(before.target), merged)
            network.set_submodule(str(node.target), nn.Identity())
    return copied


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
