"""The networks that turn an image into one feature vector.

Torchvision architectures without their classifier: [B, C, H, W] normalised images in, [B, D]
globally pooled, rectified features out (so every value is >= 0); each of them also with the maps of
three depths fused (PBFFN), and a shallow network that is trained from the start (S-CNN). C is 3, or
what `adapt_to_bands` made of it. Parameter names are torchvision's, so that weights files made for
it fit. Nothing is downloaded here; see `training.weights`.
"""

import copy
import hashlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from domain.descriptors import FUSED_SUFFIX, PLAIN, Descriptor, Pooling, check_pooling
from domain.errors import InputError
from training.fusion import WIDTH
from training.levels import LEVELS, level_maps
from training.own_networks import FusedNetwork, ShallowNetwork
from training.pooling import new_pooling
from training.preprocessing import IMAGENET, BandStatistics


@dataclass(frozen=True)
class _Architecture:
    """How to make a network, how wide its feature is, and what its classifier is called.

    Pretrained is the name of torchvision's weights for it, or for the trunk of a fused network;
    empty where there are none.

    The stages are the last maps at a 32nd and at a 16th of the image's resolution, by module and
    channels; of MobileNetV2 the last block's too, which a 1x1 convolution then blows up to 1280
    for ImageNet's classes.
    """

    make: Callable[[], nn.Module]
    feature_dim: int
    classifier: str
    stages: tuple[tuple[str, int], ...]
    pretrained: str = ""


def _of_torchvision(
    name: str, feature_dim: int, classifier: str, *stages: tuple[str, int]
) -> _Architecture:
    def make() -> nn.Module:
        from torchvision.models import get_model  # takes seconds: not for every start of a worker

        network: nn.Module = get_model(name)
        return network

    return _Architecture(make, feature_dim, classifier, stages, pretrained=name)


_TORCHVISION = {
    each.pretrained: each
    for each in (
        _of_torchvision("resnet18", 512, "fc", ("layer4", 512), ("layer3", 256)),
        _of_torchvision("resnet50", 2048, "fc", ("layer4", 2048), ("layer3", 1024)),
        _of_torchvision(
            "mobilenet_v2",
            1280,
            "classifier",
            ("features.18", 1280),
            ("features.17", 320),
            ("features.13", 96),
        ),
        _of_torchvision("vgg16", 512, "classifier", ("features.30", 512), ("features.23", 512)),
        _of_torchvision(
            "densenet121",
            1024,
            "classifier",
            ("features.relu5", 1024),
            ("features.transition3.relu", 1024),
        ),
    )
}


def _fused(
    name: str, levels: Sequence[int] = LEVELS, *, update: bool = True, fuse_high: bool = False
) -> _Architecture:
    """The maps of some depths fused; the stages are the fused map and the trunk's earlier one."""
    trunk, width = _TORCHVISION[name], len(levels) * WIDTH
    earlier, channels = trunk.stages[-1]
    return _Architecture(
        lambda: FusedNetwork(
            name, Backbone(name).network, levels, update=update, fuse_high=fuse_high
        ),
        width,
        f"trunk.{trunk.classifier}",
        (("fusion", width), (f"trunk.{earlier}", channels)),
        pretrained=name,
    )


_ARCHITECTURES = {
    **_TORCHVISION,
    **{f"{name}{FUSED_SUFFIX}": _fused(name) for name in _TORCHVISION},
    "s_cnn": _Architecture(
        ShallowNetwork, 64, "classifier", (("features.11", 64), ("features.7", 32))
    ),
}
BACKBONES = tuple(_ARCHITECTURES)


@dataclass(frozen=True)
class Stage:
    """A map of a network, pooled, for B images.

    Attributes:
        pooled: [B, C] over the positions: the last as the descriptor says, others their mean.
        spread: [B, C] standard deviation over the positions: what changes within the image.
    """

    pooled: Tensor
    spread: Tensor


class Backbone(nn.Module):
    """A network without its classifier: [B, C, H, W] float images to [B, feature_dim] features.

    Attributes:
        name: of the architecture, one of `BACKBONES`.
        feature_dim: width of the feature.
        stage_dims: channels of the stages, the last first.
        classifier: prefix that the removed classifier has in weights files.
        pretrained: what torchvision calls the weights of the trunk; empty where it has none.
        bands: what its images are normalised with; C is their number.
        descriptor: how the last map is pooled, and at which scales images are embedded.
        pool: pools the last map; has parameters where it learns.
    """

    def __init__(
        self,
        name: str,
        descriptor: Descriptor = PLAIN,
        *,
        architecture: _Architecture | None = None,
    ) -> None:
        super().__init__()
        chosen = architecture or _architecture(name)
        self.name = name
        self.feature_dim = chosen.feature_dim
        self.stage_dims = tuple(channels for _, channels in chosen.stages)
        self._stages = tuple(module for module, _ in chosen.stages)
        self.classifier = chosen.classifier
        self.pretrained = chosen.pretrained
        self.bands = IMAGENET
        self.descriptor = descriptor
        self.pool = new_pooling(descriptor)
        self.network = chosen.make()
        self.network.set_submodule(chosen.classifier, nn.Identity())
        if name == "vgg16":  # torchvision pools to 7x7 there; the others pool to one value
            self.network.avgpool = nn.AdaptiveAvgPool2d(1)
        if name == "densenet121":  # torchvision rectifies by a function; only modules have hooks
            self.network.get_submodule("features").add_module("relu5", nn.ReLU(inplace=True))

    @property
    def trunk(self) -> nn.Module:
        """What pretrained weights are for: the network, or the part of it that feeds the fusion."""
        return self.network.trunk if isinstance(self.network, FusedNetwork) else self.network

    def forward(self, images: Tensor) -> Tensor:
        """[B, feature_dim] pooled features of [B, C, H, W] images; H and W 32 or more.

        Of the images as they are: scales are for whoever embeds.
        """
        features: Tensor
        if self._pools_itself:  # as the network does, to the last bit
            features = self.network(images)
        else:
            features = self.pool(self._last_map(images).float())
        return features

    @property
    def _pools_itself(self) -> bool:
        return self.descriptor.pooling is Pooling.MEAN

    def _last_map(self, images: Tensor) -> Tensor:
        if isinstance(self.network, FusedNetwork | ShallowNetwork):
            return self.network.last_map(images)
        return level_maps(self.name, self.network, images)[-1]

    def weights(self) -> dict[str, Tensor]:
        """All that it has learnt, by name: the network's, and the pooling's after `pool.`."""
        pooling = {f"pool.{key}": value for key, value in self.pool.state_dict().items()}
        return {**self.network.state_dict(), **pooling}

    def stages(self, images: Tensor) -> tuple[Stage, ...]:
        """The stages of [B, C, H, W] images in one pass, the last first, as float32."""
        pooled: dict[str, Stage] = {}

        def pool(name: str) -> Callable[[nn.Module, object, Tensor], None]:
            def hook(_: nn.Module, __: object, out: Tensor) -> None:
                # at once: a later module may write into the map itself
                spread, mean = torch.std_mean(out.float(), (2, 3), correction=0)
                last = name == self._stages[0] and not self._pools_itself
                pooled[name] = Stage(self.pool(out.float()) if last else mean, spread)

            return hook

        with ExitStack() as hooks:
            for name in self._stages:
                module = self.network.get_submodule(name)
                hooks.enter_context(module.register_forward_hook(pool(name)))
            self.network(images)
        return tuple(pooled[name] for name in self._stages)


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


def build_backbone(name: str, *, seed: int = 0, descriptor: Descriptor = PLAIN) -> Backbone:
    """The named backbone in evaluation mode, with random weights drawn from the seed.

    The same name and seed give the same weights; no other random numbers are disturbed.

    Args:
        descriptor: how the last map is pooled, and at which scales images are embedded.

    Raises:
        InputError: the name is none of `BACKBONES`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Backbone(name, descriptor).eval()


def build_fused(
    name: str,
    levels: Sequence[int],
    *,
    update: bool = True,
    fuse_high: bool = False,
    seed: int = 0,
    descriptor: Descriptor = PLAIN,
) -> Backbone:
    """The trunk of the named backbone with the maps of these depths fused, and random weights.

    Args:
        name: one of `BACKBONES` that names levels, fused or not.
        levels: of `training.levels.LEVELS`, two or more, finest first; none: only the trunk.
        update, fuse_high: see `training.fusion.FeatureFusion`.
        seed: of the weights; where nothing else differs, they are those of `build_backbone`.
        descriptor: as in `build_backbone`.

    Raises:
        InputError: there is no such trunk, other levels are asked for, or roots of fused maps.

    Source: PEDC, ablation.
    """
    trunk = name.removesuffix(FUSED_SUFFIX)
    if not levels:
        return build_backbone(trunk, seed=seed, descriptor=descriptor)
    fused = f"{trunk}{FUSED_SUFFIX}"
    check_pooling(descriptor, fused)
    chosen = _architecture(fused)
    if trunk in _TORCHVISION:
        chosen = _fused(trunk, levels, update=update, fuse_high=fuse_high)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Backbone(fused, descriptor, architecture=chosen).eval()


def adapt_to_bands(backbone: Backbone, bands: BandStatistics) -> None:
    """Let the backbone take images of so many bands, normalised with these statistics.

    The first convolution keeps what it has learnt: its filters of red, green and blue are taken in
    turn for the bands and scaled, so that an image whose bands are all the same gives what it gave.
    """
    name, old = next(
        (name, module)
        for name, module in backbone.network.named_modules()
        if isinstance(module, nn.Conv2d)
    )
    if len(bands) != old.in_channels:
        wider = copy.deepcopy(old)
        wider.in_channels = len(bands)
        wider.weight = nn.Parameter(_spread(old.weight.detach(), len(bands)))
        backbone.network.set_submodule(name, wider)
    backbone.bands = bands


def look_at_scales(backbone: Backbone, scales: tuple[float, ...]) -> None:
    """Let images be embedded at these scales of their sides from now on."""
    backbone.descriptor = backbone.descriptor.model_copy(update={"scales": scales})


def _spread(weight: Tensor, bands: int) -> Tensor:
    """[O, bands, k, k] of [O, C, k, k]; each filter's sum over its bands stays."""
    repeated = weight[:, torch.arange(bands) % weight.shape[1]]
    total = weight.sum(1, keepdim=True)
    if bands < weight.shape[1]:
        return total.expand(-1, bands, -1, -1) / bands
    return repeated + (total - repeated.sum(1, keepdim=True)) / bands


def backbone_sha256(backbone: Backbone) -> str:
    """A hash of architecture, pooling and all weights: equal only if the features are equal.

    Those of an image as it is; scales do not matter. It is independent of the file the weights came
    from and of the device they are on.
    """
    digest = hashlib.sha256(backbone.name.encode())
    if backbone.bands != IMAGENET:
        digest.update(repr(backbone.bands).encode())
    if backbone.descriptor.pooling is not Pooling.MEAN:
        digest.update(backbone.descriptor.pooling.value.encode())
    for key, value in sorted(backbone.weights().items()):
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
