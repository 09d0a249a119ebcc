"""Step functions: how much an image counts as standing before another, by their scores' difference.

The rank of an image is one more than the number of images before it. Counting them by the step
itself gives the exact rank, whose gradient is 0 everywhere; the others have a slope to follow. All
take the score of the other image less that of the ranked one: from 0 on the other is before it.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

SRFVariant = Literal["paper", "global", "shift", "half"]


class Step(Protocol):
    """A step and its slope, for differences of any shape."""

    def height(self, differences: Tensor) -> Tensor:
        """How much the other image counts as before the ranked one."""

    def slope(self, differences: Tensor) -> Tensor:
        """The derivative that training follows."""


@dataclass(frozen=True)
class HardStep:
    """1 from 0 on, else 0, so that ties count as before: the pessimistic exact rank.

    Source: OSAP, eqs. 5 and 8; these differ at 0, and the second makes SRF-AP a bound.
    """

    def height(self, differences: Tensor) -> Tensor:
        """See `Step`."""
        return (differences >= 0).to(differences)

    def slope(self, differences: Tensor) -> Tensor:
        """0."""
        return torch.zeros_like(differences)


@dataclass(frozen=True)
class SoftsignStep:
    """½(1 + z/(γ + |z|)), and δ more from 0 on: never below the step where δ ≥ ½.

    Attributes:
        gamma: γ, how wide the step is; its slope is 1/(2γ) at 0 and fades with 1/z² only.
        delta: δ, what is added to reach above the step.
        variant: "paper" as above; "global" adds δ everywhere: a bound too, but every image that
            is rightly behind costs δ; "shift" moves the step by δ to the left; "half" is
            δ + ½z/(γ + |z|). The last two are no bounds.

    Differs from the paper, whose eq. 9 is missing: the formula is derived from what the text says
    of it (an improved softsign, γ scales, δ is an offset that makes a bound, no slope vanishes).

    Source: OSAP, eq. 9 (derived).
    """

    gamma: float = 0.001
    delta: float = 0.65
    variant: SRFVariant = "paper"

    def height(self, differences: Tensor) -> Tensor:
        """See `Step`."""
        moved = self._moved(differences)
        softsign = moved / (self.gamma + moved.abs()) / 2
        if self.variant == "paper":
            return softsign + 0.5 + self.delta * (differences >= 0).to(differences)
        offsets = {"global": 0.5 + self.delta, "shift": 0.5, "half": self.delta}
        return softsign + offsets[self.variant]

    def slope(self, differences: Tensor) -> Tensor:
        """That of the smooth part: the jump at 0 has none."""
        return self.gamma / (2 * (self.gamma + self._moved(differences).abs()).square())

    def _moved(self, differences: Tensor) -> Tensor:
        return differences + self.delta if self.variant == "shift" else differences


@dataclass(frozen=True)
class SigmoidStep:
    """1/(1 + exp(−z/τ)).

    Source: Smooth-AP (Brown and others, 2020), eq. 5.
    """

    tau: float = 0.01

    def height(self, differences: Tensor) -> Tensor:
        """See `Step`."""
        return torch.sigmoid(differences / self.tau)

    def slope(self, differences: Tensor) -> Tensor:
        """See `Step`."""
        height = self.height(differences)
        return height * (1 - height) / self.tau


@dataclass(frozen=True)
class SupStep:
    """A sigmoid below 0, ½ more from 0 on, and a straight line from `margin` on.

    Attributes:
        tau: width of the sigmoid.
        rho: slope of the straight line.
        margin: where it starts.
        offset: its height there.

    Source: ROADMAP (Ramzi and others, 2021), eq. 5, with the constants of its public code.
    """

    tau: float = 0.01
    rho: float = 100.0
    margin: float = 0.05
    offset: float = 1.44

    def height(self, differences: Tensor) -> Tensor:
        """See `Step`."""
        sigmoid = torch.sigmoid(differences / self.tau) + 0.5 * (differences >= 0)
        line = self.rho * (differences - self.margin) + self.offset
        return torch.where(differences > self.margin, line, sigmoid)

    def slope(self, differences: Tensor) -> Tensor:
        """See `Step`; the jumps have none."""
        below = SigmoidStep(self.tau).slope(differences)
        return torch.where(differences > self.margin, self.rho, below)
