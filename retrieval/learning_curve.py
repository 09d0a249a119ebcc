"""What a few measured models say of the next ones: error against effort as a power law.

Takes points (bits, quality) of a learning curve; gives how many bits a target may need and how
much a further round may bring, each with a 90 % interval. Few points say little, and the intervals
say so. It extrapolates what was seen: it knows nothing of a change of strategy.

Source: the power law of learning curves, Hestness et al. (2017), Deep Learning Scaling Is
Predictable, Empirically, eq. of section 2; a straight line through log error against log effort,
with the usual confidence band of a regression line.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from domain.arrays import FloatArray

FEWEST_POINTS = 4  # three fit a line with one degree of freedom: an interval of no use
FARTHEST = 10.0  # times the present effort; what lies beyond was not seen
BEST = 1.0 - 1e-4  # a quality of 1 has no logarithm of its error
_STEPS = 2000
# 95 % quantiles of Student's t for 1, 2, … degrees of freedom; beyond, the normal's.
_T_95 = (
    6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812, 1.796, 1.782, 1.771,
    1.761, 1.753, 1.746, 1.740, 1.734, 1.729, 1.725, 1.721, 1.717, 1.714, 1.711, 1.708, 1.706,
)  # fmt: skip
_NORMAL_95 = 1.645


@dataclass(frozen=True)
class Reach:
    """Bits at which a target quality is expected; None: not within `FARTHEST` times the present.

    Attributes:
        low, high: ends of the 90 % interval.
    """

    bits: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Gain:
    """What further bits are expected to bring, as a difference of qualities, with its interval."""

    expected: float
    low: float
    high: float


@dataclass(frozen=True)
class LearningCurve:
    """A fitted line: log(1 − quality) = intercept + slope · log(bits).

    Attributes:
        covariance: [2, 2] of intercept and slope.
        t: quantile for a 90 % interval.
        present: the most bits that were seen.
    """

    intercept: float
    slope: float
    covariance: FloatArray
    t: float
    present: float

    def quality(self, bits: float) -> float:
        """The quality expected at so many bits."""
        return float(1 - np.exp(self.intercept + self.slope * np.log(bits)))

    def reach(self, target: float) -> Reach:
        """How many bits a target quality needs; bits before the present count as the present."""
        grid = np.geomspace(self.present, FARTHEST * self.present, _STEPS)
        wanted = np.log(1 - min(target, BEST))
        middle, half = self._band(np.log(grid))
        return Reach(
            bits=_first(grid, middle <= wanted),
            low=_first(grid, middle - half <= wanted),
            high=_first(grid, middle + half <= wanted),
        )

    def gain(self, bits: float) -> Gain:
        """What so many bits more than the present are expected to bring."""
        before, after = np.log(self.present), np.log(self.present + bits)
        error_before, error_after = (
            np.exp(self.intercept + self.slope * each) for each in (before, after)
        )
        expected = float(error_before - error_after)
        gradient = np.array([expected, before * error_before - after * error_after])
        half = self.t * float(np.sqrt(max(gradient @ self.covariance @ gradient, 0.0)))
        return Gain(expected, expected - half, expected + half)

    def _band(self, log_bits: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Log error, and half the width of its interval."""
        design = np.stack([np.ones_like(log_bits), log_bits], axis=1)
        variance = np.einsum("nd,de,ne->n", design, self.covariance, design)
        return design @ [self.intercept, self.slope], self.t * np.sqrt(np.maximum(variance, 0.0))


def fit_learning_curve(bits: Sequence[float], quality: Sequence[float]) -> LearningCurve | None:
    """The line through the points with bits; None where fewer than `FEWEST_POINTS` tell it.

    Args:
        bits: of each model; those of 0 bits are left out, as they have no logarithm.
        quality: of each model, 0…1.
    """
    kept = [(x, y) for x, y in zip(bits, quality, strict=True) if x > 0]
    if len(kept) < FEWEST_POINTS or len({x for x, _ in kept}) < FEWEST_POINTS - 1:
        return None
    x = np.log([each for each, _ in kept])
    y = np.log1p(-np.minimum([each for _, each in kept], BEST))
    design = np.stack([np.ones_like(x), x], axis=1)
    inverse = np.linalg.inv(design.T @ design)
    intercept, slope = inverse @ design.T @ y
    freedom = len(kept) - 2
    residual = y - design @ [intercept, slope]
    return LearningCurve(
        intercept=float(intercept),
        slope=float(slope),
        covariance=inverse * float(residual @ residual) / freedom,
        t=_T_95[freedom - 1] if freedom <= len(_T_95) else _NORMAL_95,
        present=max(each for each, _ in kept),
    )


def _first(grid: FloatArray, there: FloatArray) -> float | None:
    return float(grid[int(np.argmax(there))]) if there.any() else None
