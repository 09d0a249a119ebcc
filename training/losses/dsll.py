"""The loss that distribution consistency grew out of: one similar image for each anchor.

Source: DSLL (derived); see `training.losses.distribution` for what is derived of it.
"""

from dataclasses import dataclass

from torch import Tensor

from training.losses.distribution import DistributionConsistency
from training.losses.relevance import LossValue


@dataclass(frozen=True)
class DSLL:
    """Distribution consistency with the farthest similar image only, at weight 1.

    Attributes:
        tau, margin, negatives, sharpness, relaxation: see `DistributionConsistency`.

    Source: DSLL (derived): no formula of it was to be had; it is what DCL extends.
    """

    tau: float = 1.25
    margin: float = 1.2
    negatives: int = 5
    sharpness: float = 50.0
    relaxation: float = 0.2

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        """See `RelevanceLoss`."""
        loss = DistributionConsistency(
            tau=self.tau,
            margin=self.margin,
            positives=1,
            negatives=self.negatives,
            hardness=0.0,
            sharpness=self.sharpness,
            relaxation=self.relaxation,
        )
        return loss(embeddings, relevance)
