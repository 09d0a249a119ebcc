"""ROADMAP: a bound of the average precision, and cosines that mean the same for every query.

Source: ROADMAP (Ramzi and others, 2021), eqs. 7-8.
"""

from dataclasses import dataclass

from torch import Tensor

from training.losses.average_precision import SupAP
from training.losses.relevance import LossValue, cosines, known_partners


@dataclass(frozen=True)
class Calibration:
    """How far similar pairs are below a cosine, and dissimilar ones above another.

    Attributes:
        alpha: the cosine that similar pairs should reach.
        beta: the cosine that dissimilar pairs should stay below.

    The mean over known similar pairs and the mean over known dissimilar pairs are added. An anchor
    is valid with a partner of any kind.

    Corner cases: a kind without pairs adds 0.

    Source: ROADMAP (Ramzi and others, 2021), eq. 7, with the constants of its public code.
    """

    alpha: float = 0.9
    beta: float = 0.6

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """See `RelevanceLoss`."""
        partners, scores = known_partners(relevance), cosines(embeddings)
        below = ((self.alpha - scores).relu() * partners.similar).sum()
        above = ((scores - self.beta).relu() * partners.dissimilar).sum()
        value = below / partners.similar.sum().clamp(min=1)
        value = value + above / partners.dissimilar.sum().clamp(min=1)
        return LossValue(value, int((partners.with_similar | partners.with_dissimilar).sum()))


@dataclass(frozen=True)
class Roadmap:
    """(1 − λ) of SupAP and λ of the calibration.

    Attributes:
        calibration: λ.
        alpha, beta: see `Calibration`.
        tau, rho, margin, offset: see `SupAP`.

    The valid anchors of the calibration are counted.

    Source: ROADMAP (Ramzi and others, 2021), eq. 8.
    """

    calibration: float = 0.5
    alpha: float = 0.9
    beta: float = 0.6
    tau: float = 0.01
    rho: float = 100.0
    margin: float = 0.05
    offset: float = 1.44

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """See `RelevanceLoss`."""
        ranking = SupAP(self.tau, self.rho, self.margin, self.offset)(embeddings, relevance)
        bounds = Calibration(self.alpha, self.beta)(embeddings, relevance)
        value = (1 - self.calibration) * ranking.value + self.calibration * bounds.value
        return LossValue(value, bounds.valid_anchors)
