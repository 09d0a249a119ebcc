"""Layers in machine code against plain products, whatever the tiles and groups are."""

import numpy as np
import pytest
import torch

from annealing.machine_code import NARROW, WIDE, Shape, compiled


@pytest.mark.parametrize("shape", [WIDE, NARROW, Shape(4, 1, 1)], ids=str)
@pytest.mark.parametrize(
    ("rows", "tiles", "units", "groups"), [(1, 1, 1, 1), (3, 2, 7, 1), (5, 3, 20, 4)]
)
def test_logits_are_those_of_plain_products(shape, rows, tiles, units, groups):
    rng = np.random.default_rng(0)
    height, width = groups * shape.group, tiles * shape.tile
    single, others = rng.normal(size=(rows, units)), rng.normal(size=(units, width))
    start, weights = rng.normal(size=(rows, height)), rng.normal(size=(height, units))
    last = rng.normal(size=height)
    arrays = [
        single,
        start,
        others.reshape(units, tiles, shape.tile).transpose(1, 0, 2),
        weights.reshape(groups, shape.group, units).transpose(0, 2, 1),
        last,
        np.empty((units, shape.tile)),
        np.full((rows, width), np.nan),
    ]
    given = [torch.tensor(np.ascontiguousarray(each), dtype=torch.float32) for each in arrays]
    addresses = [each.data_ptr() for each in given]
    compiled(shape).run(*addresses, rows, tiles, units, groups)
    hidden = np.maximum(single[:, :, None], others)
    sums = np.maximum(start[:, :, None] + weights @ hidden, 0)
    assert given[-1].numpy() == pytest.approx(np.einsum("h,rhw->rw", last, sums), abs=1e-4)


def test_it_is_compiled_once():
    assert compiled(NARROW) is compiled(NARROW)
