"""Levels of networks and their fusion against the oracle's figures and what the paper says."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from domain.errors import InputError
from training.backbones import build_backbone
from training.fusion import FeatureFusion, correlation_vector, enlarged
from training.levels import level_channels, level_maps

_ORACLE = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "oracles_fine_tuning.json").read_text()
)["ffm_map"]
CHANNELS = (6, 8, 10)


def tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def maps(*, levels: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(2, channels, side, side, generator=generator)
        for channels, side in list(zip(CHANNELS, (8, 4, 2), strict=True))[:levels]
    ]


def test_what_levels_have_in_common_agrees_with_the_oracle() -> None:
    levels = [tensor(_ORACLE["inputs"][name])[None] for name in ("L2", "L3", "L4")]
    expected = _ORACLE["expected"]
    common, wider = correlation_vector(levels)[0], enlarged(levels[1], levels[0])[0]
    torch.testing.assert_close(common, tensor(expected["M"]), rtol=0, atol=1e-9)
    torch.testing.assert_close(wider, tensor(expected["up_L3_to_4"]), rtol=0, atol=1e-9)


def test_the_two_parts_of_a_level_add_up_to_it() -> None:
    fusion = FeatureFusion(CHANNELS, width=4).eval()
    level, common = torch.randn(2, 4, 5, 5), torch.randn(2, 4)
    high, low = fusion.split[0](level, common)
    torch.testing.assert_close(high + low, level)
    assert ((high / level > 0) & (high / level < 1)).all()


@pytest.mark.parametrize("levels", [2, 3])
@pytest.mark.parametrize("fuse_high", [False, True])
def test_fusion_has_the_finest_size_and_every_parameter_learns(
    levels: int, fuse_high: bool
) -> None:
    fusion = FeatureFusion(CHANNELS[:levels], width=32, fuse_high=fuse_high)
    fused = fusion(maps(levels=levels))
    assert fused.shape == (2, 32 * levels, 8, 8)
    fused.square().mean().backward()
    unmoved = [
        name for name, each in fusion.named_parameters() if each.grad is None or not each.grad.any()
    ]
    assert unmoved == []


def test_without_the_update_what_agrees_is_put_together_as_it_is() -> None:
    fusion = FeatureFusion(CHANNELS, width=4, update=False).eval()
    given = maps()
    brought = [lateral(each) for lateral, each in zip(fusion.lateral, given, strict=True)]
    common = correlation_vector(brought)
    agreeing = [fusion.split[place](brought[place], common)[0] for place in range(3)]
    inner = torch.cat([agreeing[1], enlarged(agreeing[2], agreeing[1])], 1)
    torch.testing.assert_close(
        fusion(given), torch.cat([agreeing[0], enlarged(inner, agreeing[0])], 1)
    )


def test_the_coarsest_level_reaches_the_finest_through_what_is_left_over() -> None:
    given = maps()
    fusion = FeatureFusion(CHANNELS, width=32).eval()
    with torch.no_grad():
        before = fusion(given)[:, :32]
        for gate in fusion.split:  # what is common changes with the coarsest level, too
            gate.gate.weight.zero_()
        without_common = fusion(given)[:, :32]
        changed = fusion([*given[:2], given[2] + 1])[:, :32]
    assert not torch.equal(before, without_common)
    assert not torch.equal(changed, without_common)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenet_v2", "vgg16", "densenet121"])
def test_levels_are_what_the_network_computes(name: str) -> None:
    backbone = build_backbone(name)
    images = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found = level_maps(name, backbone.network, images)
        expected = backbone(images)
    assert [each.shape[1] for each in found] == list(level_channels(name))
    assert [tuple(each.shape[2:]) for each in found] == [(8, 12), (4, 6), (2, 3)]
    torch.testing.assert_close(found[-1].mean((2, 3)), expected, rtol=1e-4, atol=1e-5)


def test_a_network_without_levels_is_told() -> None:
    with pytest.raises(InputError, match="names no levels"):
        level_channels("s_cnn")
