"""Backbones that pool in other ways and look at several sizes, against maps taken by a hook."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from domain.config import Views
from domain.descriptors import Descriptor, Pooling
from domain.errors import ModelError
from training.backbones import (
    Backbone,
    backbone_sha256,
    build_backbone,
    folded,
    look_at_scales,
)
from training.features import model_key
from training.preprocessing import normalised
from training.views import embedder, view_sizes_px
from training.weights import WeightsKind, load_backbone, load_weights, save_backbone

CPU = torch.device("cpu")
MAX, GEM = Descriptor(pooling=Pooling.MAX), Descriptor(pooling=Pooling.GEM)
TWO_SIZES = (1.0, 0.5)
LAST_MAPS = {
    "resnet18": "layer4",
    "resnet50": "layer4",
    "mobilenet_v2": "features",
    "vgg16": "features",
    "densenet121": "features",
    "mobilenet_v2_pbffn": "fusion",
    "s_cnn": "features",
}


def images(size: int = 64) -> Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def last_map(backbone: Backbone, given: Tensor) -> np.ndarray:
    """What the network itself pools, as NumPy."""
    seen: list[np.ndarray] = []
    module = backbone.network.get_submodule(LAST_MAPS[backbone.name])
    hook = module.register_forward_hook(lambda _, __, out: seen.append(out.double().numpy().copy()))
    with torch.inference_mode():
        backbone.network(given)
    hook.remove()
    return seen[0]


def pooled(pooling: Pooling, maps: np.ndarray, power: float = 3.0) -> np.ndarray:
    found: dict[Pooling, np.ndarray] = {
        Pooling.MEAN: maps.mean(axis=(2, 3)),
        Pooling.MAX: maps.max(axis=(2, 3)),
        Pooling.GEM: (np.maximum(maps, 1e-6) ** power).mean(axis=(2, 3)) ** (1 / power),
    }
    return found[pooling]


@pytest.mark.parametrize("name", LAST_MAPS)
@pytest.mark.parametrize("pooling", [Pooling.MAX, Pooling.GEM])
def test_a_feature_is_the_last_map_pooled_as_the_descriptor_says(
    name: str, pooling: Pooling
) -> None:
    backbone = build_backbone(name, descriptor=Descriptor(pooling=pooling))
    expected = pooled(pooling, last_map(backbone, images()))
    with torch.inference_mode():
        found, stages = backbone(images()), backbone.stages(images())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(stages[0].pooled, expected, rtol=1e-4, atol=1e-6)
    plain = build_backbone(name).stages(images())
    for stage, usual in zip(stages[1:], plain[1:], strict=True):  # earlier maps keep their mean
        torch.testing.assert_close(stage.pooled, usual.pooled)
    torch.testing.assert_close(stages[-1].spread, plain[-1].spread)


@pytest.mark.parametrize("name", LAST_MAPS)
def test_nothing_changes_to_the_last_bit_where_nothing_is_set(name: str) -> None:
    backbone = build_backbone(name, seed=4)
    with torch.inference_mode():
        assert torch.equal(backbone(images()), backbone.network(images()))
    digest = hashlib.sha256(name.encode())
    for key, value in sorted(backbone.network.state_dict().items()):
        digest.update(
            f"{key} {tuple(value.shape)} {value.dtype}".encode() + value.numpy().tobytes()
        )
    assert backbone_sha256(backbone) == digest.hexdigest()
    seen = f"{name}-{digest.hexdigest()[:16]}-square64-bilinear"
    assert model_key(backbone, size_px=64, device=CPU).model == f"{seen}-float32"
    stages = len(backbone.stage_dims)
    key = model_key(backbone, size_px=64, device=CPU, views=Views.MULTI)
    assert key.model == f"{seen}-turns64+96mirrored-{stages}stages-float32"


def test_features_that_differ_are_never_mixed_up_in_the_cache() -> None:
    descriptors = [
        *(Descriptor(), MAX, GEM, Descriptor(pooling=Pooling.GEM, power=4)),
        *(Descriptor(scales=(1.0, 0.7)), Descriptor(scales=(0.7,)), Descriptor(scales=(1.0, 0.75))),
    ]
    keys = {
        model_key(
            build_backbone("s_cnn", descriptor=each), size_px=64, device=CPU, views=views
        ).model
        for each in descriptors
        for views in Views
    }
    assert len(keys) == 2 * len(descriptors)


@pytest.mark.parametrize("pooling", Pooling)
def test_several_sizes_give_the_mean_direction(pooling: Pooling) -> None:
    backbone = build_backbone("resnet18", descriptor=Descriptor(pooling=pooling, scales=TWO_SIZES))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    embed = embedder(backbone, views=Views.SINGLE, size_px=64)
    embed.prepare()
    with torch.inference_mode():
        found = embed([torch.from_numpy(pixels)]).numpy()
    shown = normalised(torch.from_numpy(pixels))
    half = functional.interpolate(
        shown, size=(32, 32), mode="bilinear", align_corners=False, antialias=True
    )
    unit = [_unit(pooled(pooling, last_map(backbone, each))) for each in (shown, half)]
    np.testing.assert_allclose(found, _unit(np.mean(unit, axis=0)), atol=1e-5)


@pytest.mark.parametrize("descriptor", [MAX, GEM])
def test_all_views_are_looked_at_in_each_size(descriptor: Descriptor) -> None:
    backbone = build_backbone("resnet18", descriptor=descriptor)
    rng = np.random.default_rng(0)
    squares = [
        torch.from_numpy(rng.integers(0, 256, (2, size, size, 3), dtype=np.uint8))
        for size in view_sizes_px(64)
    ]
    look_at_scales(backbone, TWO_SIZES)
    embed = embedder(backbone, views=Views.MULTI, size_px=64)
    embed.prepare()
    with torch.inference_mode():
        found = embed(squares)
    seen: list[list[np.ndarray]] = []
    for pixels in (squares[0], squares[1].flip(2)):
        for turn in range(4):
            for scale in TWO_SIZES:
                shown = normalised(torch.rot90(pixels, turn, (1, 2)))
                size = round(pixels.shape[1] * scale)
                small = functional.interpolate(
                    shown, size=(size, size), mode="bilinear", align_corners=False, antialias=True
                )
                with torch.inference_mode():
                    last, earlier = backbone.stages(small)
                seen.append([last.pooled.numpy(), earlier.pooled.numpy(), earlier.spread.numpy()])
    units = [[_unit(part) for part in each] for each in seen]
    parts = [_unit(np.mean(part, axis=0)) for part in zip(*units, strict=True)]
    np.testing.assert_allclose(found, np.concatenate(parts, axis=1), atol=1e-4)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "densenet121"])
def test_folding_keeps_the_pooling(name: str) -> None:
    backbone = build_backbone(name, descriptor=GEM)
    with torch.inference_mode():
        torch.testing.assert_close(
            folded(backbone)(images()), backbone(images()), rtol=1e-3, atol=1e-5
        )


def test_a_file_brings_back_the_pooling_and_the_power_that_was_learnt(tmp_path: Path) -> None:
    backbone = build_backbone("mobilenet_v2", seed=3, descriptor=GEM)
    with torch.no_grad():
        backbone.pool.power += 0.25  # type: ignore[operator]
    path = tmp_path / "kept.safetensors"
    save_backbone(backbone, path, kind=WeightsKind.RETRAINED)
    read, info = load_backbone(path)
    assert read.descriptor == GEM
    assert read.weights()["pool.power"].item() == pytest.approx(3.25)
    assert info.sha256 == backbone_sha256(read) == backbone_sha256(backbone)
    with torch.inference_mode():
        assert torch.equal(read(images()), backbone(images()))
    again = build_backbone("mobilenet_v2", descriptor=GEM)
    load_weights(again, path)
    assert backbone_sha256(again) == backbone_sha256(backbone)
    with pytest.raises(ModelError, match=r"pool\.power"):  # it learnt with another pooling
        load_weights(build_backbone("mobilenet_v2"), path)


def test_a_file_of_an_older_version_is_pooled_by_the_mean(tmp_path: Path) -> None:
    backbone = build_backbone("s_cnn", seed=3)
    save_backbone(backbone, tmp_path / "new.safetensors", kind=WeightsKind.RETRAINED)
    with safe_open(tmp_path / "new.safetensors", "pt") as opened:
        told = {key: value for key, value in opened.metadata().items() if key != "descriptor"}
        state = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    save_file(state, tmp_path / "old.safetensors", told)
    read, _ = load_backbone(tmp_path / "old.safetensors")
    assert read.descriptor == Descriptor()
    assert backbone_sha256(read) == backbone_sha256(backbone)


def test_weights_from_elsewhere_leave_the_power_as_it_is(tmp_path: Path) -> None:
    save_backbone(build_backbone("s_cnn", seed=3), tmp_path / "weights.safetensors")
    backbone = build_backbone("s_cnn", descriptor=Descriptor(pooling=Pooling.GEM, power=4))
    load_weights(backbone, tmp_path / "weights.safetensors")
    assert backbone.weights()["pool.power"].item() == 4


def test_a_file_with_an_unknown_pooling_is_refused(tmp_path: Path) -> None:
    save_file({}, tmp_path / "odd.safetensors", {"descriptor": '{"pooling": "sum"}', "bands": "{}",
              "architecture": "s_cnn"})  # fmt: skip
    with pytest.raises(ModelError, match=r"odd\.safetensors"):
        load_backbone(tmp_path / "odd.safetensors")


def _unit(rows: np.ndarray) -> np.ndarray:
    unit: np.ndarray = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return unit
