"""Networks take images of any number of bands, and a file brings them back with their bands."""

from pathlib import Path

import numpy as np
import pytest
import torch

from domain.errors import InputError, ModelError
from training.backbones import Backbone, adapt_to_bands, backbone_sha256, build_backbone
from training.preprocessing import IMAGENET, BandStatistics, band_statistics, normalised
from training.views import MultiView, SingleView
from training.weights import WeightsKind, load_backbone, save_backbone


def _bands(count: int) -> BandStatistics:
    return BandStatistics((0.5,) * count, (0.25,) * count)


def _features(backbone: Backbone, images: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        return np.asarray(backbone(images))


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18"])
@pytest.mark.parametrize("count", [1, 2, 4, 13])
def test_an_image_whose_bands_are_alike_gives_what_it_gave(name: str, count: int) -> None:
    grey = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    backbone = build_backbone(name)
    before = _features(backbone, grey.expand(-1, 3, -1, -1))
    adapt_to_bands(backbone, _bands(count))
    after = _features(backbone, grey.expand(-1, count, -1, -1))
    # both are sums of the same products in another order
    np.testing.assert_allclose(after, before, atol=1e-3 * np.abs(before).max())


def test_three_bands_keep_the_weights_and_take_the_statistics() -> None:
    backbone = build_backbone("mobilenet_v2")
    before = backbone_sha256(backbone)
    adapt_to_bands(backbone, IMAGENET)
    assert backbone_sha256(backbone) == before
    adapt_to_bands(backbone, _bands(3))
    assert backbone_sha256(backbone) != before
    assert backbone.bands == _bands(3)


def test_every_band_counts() -> None:
    backbone = build_backbone("mobilenet_v2")
    adapt_to_bands(backbone, _bands(5))
    images = torch.randn(1, 5, 32, 32, generator=torch.Generator().manual_seed(0))
    before = _features(backbone, images)
    for band in range(5):
        changed = images.clone()
        changed[:, band] += 3
        assert not np.allclose(_features(backbone, changed), before, rtol=1e-3, atol=0)


@pytest.mark.parametrize("view", [SingleView, MultiView])
def test_views_normalise_with_the_networks_own_statistics(view: type) -> None:
    pixels = [
        torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, s, s, 4), np.uint8))
        for s in (32, 64)
    ]
    backbone = build_backbone("mobilenet_v2")
    adapt_to_bands(backbone, _bands(4))
    embed = view(backbone, 32)
    with torch.inference_mode():
        first = embed(pixels[: len(embed.sizes_px)])
        backbone.bands = BandStatistics((0.1,) * 4, (0.5,) * 4)
        second = embed(pixels[: len(embed.sizes_px)])
    assert not torch.allclose(first, second, rtol=1e-3, atol=0)


def test_a_file_brings_the_backbone_back_with_its_bands(tmp_path: Path) -> None:
    backbone = build_backbone("mobilenet_v2", seed=3)
    adapt_to_bands(backbone, _bands(6))
    save_backbone(backbone, tmp_path / "kept.safetensors", kind=WeightsKind.RETRAINED)
    read, info = load_backbone(tmp_path / "kept.safetensors")
    assert info.kind is WeightsKind.RETRAINED
    assert read.bands == _bands(6)
    assert backbone_sha256(read) == backbone_sha256(backbone)
    assert not read.training


@pytest.mark.parametrize("content", [b"", b"no file of weights"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"broken\.safetensors"):
        load_backbone(tmp_path / "broken.safetensors")


def test_statistics_are_those_of_all_pixels() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (s, s, 5), np.uint8) for s in (4, 9)]
    every = np.concatenate([image.reshape(-1, 5) for image in images]) / 255
    found = band_statistics(images)
    np.testing.assert_allclose(found.mean, every.mean(axis=0))
    np.testing.assert_allclose(found.std, every.std(axis=0))
    shown = [normalised(torch.from_numpy(image[None]), found).double() for image in images]
    values = torch.cat([each.permute(0, 2, 3, 1).reshape(-1, 5) for each in shown])
    np.testing.assert_allclose(values.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(values.std(0, correction=0), 1, atol=1e-6)


def test_a_band_that_never_varies_is_not_blown_up() -> None:
    found = band_statistics([np.full((4, 4, 2), 51, np.uint8)])
    assert found.mean == pytest.approx((0.2, 0.2))
    assert min(found.std) >= 1e-3


def test_no_image_has_no_statistics() -> None:
    with pytest.raises(InputError, match="no image"):
        band_statistics([])
