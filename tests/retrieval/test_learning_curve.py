"""Learning curves that are known: lines recovered, intervals that hold, targets out of reach."""

import numpy as np
import pytest
from scipy import stats

from retrieval.learning_curve import fit_learning_curve


def power_law(bits, scale=0.8, exponent=-0.4):
    return 1 - scale * np.asarray(bits, dtype=float) ** exponent


BITS = [30, 60, 120, 240, 480, 960]


def noisy(rng, spread=0.1):
    return 1 - (1 - power_law(BITS)) * np.exp(rng.normal(size=len(BITS)) * spread)


def test_an_exact_power_law_is_recovered():
    curve = fit_learning_curve([0, *BITS], [0.1, *power_law(BITS)])  # 0 bits have no logarithm
    assert curve.slope == pytest.approx(-0.4)
    assert curve.quality(2000) == pytest.approx(power_law(2000))
    reach = curve.reach(float(power_law(2000)))
    assert reach.bits == pytest.approx(2000, rel=0.01)
    assert reach.low == pytest.approx(reach.high, rel=0.01)
    gain = curve.gain(40)
    assert gain.expected == pytest.approx(power_law(1000) - power_law(960))
    assert gain.low == pytest.approx(gain.high, abs=1e-9)


def test_line_and_its_uncertainty_are_those_of_a_regression():
    quality = noisy(np.random.default_rng(1))
    curve = fit_learning_curve(BITS, quality)
    line = stats.linregress(np.log(BITS), np.log(1 - quality))
    assert curve.slope == pytest.approx(line.slope)
    assert curve.intercept == pytest.approx(line.intercept)
    assert np.sqrt(curve.covariance[1, 1]) == pytest.approx(line.stderr)
    assert np.sqrt(curve.covariance[0, 0]) == pytest.approx(line.intercept_stderr)
    assert curve.t == pytest.approx(stats.t.ppf(0.95, len(BITS) - 2), abs=1e-3)


def test_intervals_hold_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    truth = float(power_law(1920) - power_law(960))
    held = 0
    for _ in range(400):
        gain = fit_learning_curve(BITS, noisy(rng)).gain(960)
        held += gain.low <= truth <= gain.high
    assert 0.85 < held / 400 < 0.95


def test_a_target_that_is_not_in_sight_is_not_promised():
    flat = fit_learning_curve(BITS, [0.8, 0.801, 0.799, 0.8, 0.8005, 0.7995])
    assert flat.reach(0.95).bits is None
    assert flat.reach(0.95).low is None
    assert fit_learning_curve(BITS, power_law(BITS)).reach(1.0).bits is None
    falling = fit_learning_curve(BITS, power_law(BITS)[::-1])
    assert falling.gain(100).expected < 0


@pytest.mark.parametrize(
    "bits", [[30, 60, 90], [0, 30, 60, 90], [30, 30, 60, 60], []], ids=["three", "zero", "two", "0"]
)
def test_too_few_points_say_nothing(bits):
    assert fit_learning_curve(bits, [0.5] * len(bits)) is None


def test_a_perfect_model_has_a_curve_too():
    assert fit_learning_curve(BITS, [0.9, 0.95, 0.99, 1.0, 1.0, 1.0]) is not None
