"""Bytes that stand for projections and weights, and what rounding takes from them."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from annealing.classifier_integers import _balanced, _Grid, _reach


@given(seed=st.integers(0, 999), rows=st.integers(1, 40), scale=st.sampled_from([1e-6, 1.0, 1e6]))
def test_digits_stand_for_projections_to_half_a_step_and_sort_as_they_do(seed, rows, scale):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(scale=scale, size=(2, rows, 3))
    second[:, 2] = first[:, 2] = 7.0  # one that never varies
    grid = _Grid.over(first, second)
    spread = np.maximum(first.max(0), second.max(0)) - np.minimum(first.min(0), second.min(0))
    for values in (first, second):
        digits = grid.digits(values)
        assert -128 <= digits.large.min() <= digits.large.max() <= 127
        assert 0 <= digits.small.min() <= digits.small.max() <= 15
        meant = grid.base + grid.step * (16 * digits.large + digits.small - 8.0)
        assert np.allclose(meant + digits.rest, values, rtol=1e-12, atol=1e-12 * scale)
        assert (np.abs(digits.rest) <= spread / 4095 / 2 * (1 + 1e-6) + 1e-12).all()
        codes = digits.codes()[:rows].numpy().astype(int)
        order = np.argsort(values, axis=0)
        assert (np.diff(np.take_along_axis(codes, order, axis=0), axis=0) >= 0).all()


def test_the_bytes_of_a_code_are_its_digits():
    values = np.linspace(-1, 1, 3000)[:, None]
    digits = _Grid.over(values, values).digits(values)
    parts = digits.codes()[:3000].view(torch.int8).numpy()
    assert np.array_equal(parts, np.concatenate([digits.small, digits.large], axis=1))


def test_errors_of_balanced_weights_add_up_to_less():
    rng = np.random.default_rng(0)
    exact, worth = rng.uniform(-127, 127, size=(32, 128)), rng.normal(size=32)
    plain, balanced = exact - np.rint(exact), exact - _balanced(exact, worth)
    assert np.abs(exact - balanced).max() <= 127
    assert np.abs(balanced).max() < 1
    assert np.abs(worth @ balanced).mean() < np.abs(worth @ plain).mean() / 5
    assert _reach(worth[:, None] * balanced) < 0.85 * _reach(worth[:, None] * plain)


@given(st.integers(0, 999))
def test_a_reach_bounds_what_errors_change_whatever_passes(seed):
    rng = np.random.default_rng(seed)
    errors, vector = rng.normal(size=(6, 9)), rng.normal(size=9)
    vector /= np.linalg.norm(vector)
    passed = errors @ vector
    worst = max(np.maximum(passed, 0).sum(), np.maximum(-passed, 0).sum())
    assert worst <= _reach(errors)
