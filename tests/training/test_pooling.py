"""Pooling and descriptors of several sizes against the oracle's figures and their limits."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from domain.descriptors import Descriptor, Pooling
from domain.errors import InputError
from training.pooling import MaxPool, MeanPool, PowerPool, multi_scale_descriptors, new_pooling

_ORACLES = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "oracles_fine_tuning.json").read_text()
)
_POOLING, _SCALES = _ORACLES["pooling"], _ORACLES["multi_scale"]


def tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


MAPS = tensor(_POOLING["inputs"]["A(3,2,2)"])[None]


@pytest.mark.parametrize(
    ("name", "pooling"), [("spoc", Pooling.MEAN), ("mac", Pooling.MAX), ("gem", Pooling.GEM)]
)
def test_pooling_agrees_with_the_oracle(name: str, pooling: Pooling) -> None:
    pooled = new_pooling(Descriptor(pooling=pooling)).double()(MAPS)
    expected = _POOLING["expected"]
    assert pooled[0].tolist() == pytest.approx(expected[name], abs=1e-9)
    unit = functional.normalize(pooled, dim=1)
    assert unit[0].tolist() == pytest.approx(expected[f"{name}_l2"], abs=1e-9)


def test_the_power_one_is_the_mean_as_the_oracle_says() -> None:
    found = PowerPool(1.0).double()(MAPS[:, 1:])  # without the 0, which is raised to 1e-6
    assert found[0].tolist() == pytest.approx(_POOLING["expected"]["gem_p1_equals_spoc"], abs=1e-9)


def test_the_power_goes_from_the_mean_to_the_largest_value() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(2, 3, 4, 4, generator=generator, dtype=torch.float64) + 0.1
    torch.testing.assert_close(PowerPool(1.0).double()(maps), MeanPool()(maps))
    torch.testing.assert_close(PowerPool(500.0).double()(maps), MaxPool()(maps), rtol=0.01, atol=0)


def test_the_power_is_learnt_with_a_right_gradient() -> None:
    pool = PowerPool().double()
    maps = MAPS[:, 1:].clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda power, given: given.clamp(min=1e-6).pow(power).mean((2, 3)).pow(1 / power),
        (pool.power, maps),
    )
    pool(maps).sum().backward()
    assert pool.power.grad is not None
    assert pool.power.grad.item() > 0


def test_a_map_of_nothing_has_a_finite_gradient() -> None:
    pool, maps = PowerPool(), torch.zeros(1, 2, 3, 3, requires_grad=True)
    pool(maps).sum().backward()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()


def test_descriptors_of_two_sizes_agree_with_the_oracle() -> None:
    given = {64: tensor(_SCALES["inputs"]["d1"]), 45: tensor(_SCALES["inputs"]["d2"])}
    found = multi_scale_descriptors(
        lambda images: given[images.shape[2]][None], torch.zeros(1, 3, 64, 64)
    )
    assert found[0].tolist() == pytest.approx(_SCALES["expected"]["descriptor"], abs=1e-9)


def test_sizes_below_what_networks_take_are_left_out() -> None:
    sides: list[int] = []

    def network(images: Tensor) -> Tensor:
        sides.append(min(images.shape[2:]))
        return images.mean((2, 3))

    images = torch.rand(2, 3, 128, 100)
    found = multi_scale_descriptors(network, images, scales=(1, 2**-0.5, 0.5, 8**-0.5, 0.25))
    assert sides == [100, 71, 50, 35]
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2))
    with pytest.raises(InputError, match="no scale of at least 32 px"):
        multi_scale_descriptors(network, images, scales=(0.25,))


def test_an_even_image_has_the_same_descriptor_at_every_size() -> None:
    images = torch.tensor([0.2, 0.5, 0.7])[None, :, None, None].expand(1, 3, 64, 64)
    found = multi_scale_descriptors(MeanPool(), images)
    torch.testing.assert_close(found, functional.normalize(images[:, :, 0, 0], dim=1))
