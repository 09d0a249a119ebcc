"""The loss of a classifier of pairs, and its sum with the contrastive loss.

Source: ANNEAL, eqs. 10-11.
"""

from torch import Tensor
from torch.nn import functional


def pair_classification_loss(logits: Tensor, similar: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean binary cross-entropy of pairs, a scalar.

    Args:
        logits: [P].
        similar: [P] bool.
        weights: [P], 0 or more.

    Corner cases: no pair, or only pairs of weight 0, gives 0 with a gradient of zero.

    Differs from the paper, which prints the log-likelihood without its minus sign.

    Source: ANNEAL, eq. 10.
    """
    terms = functional.binary_cross_entropy_with_logits(
        logits, similar.to(logits), reduction="none"
    )
    return (terms * weights).sum() / weights.sum().clamp(min=1e-12)


def joint_loss(contrastive: Tensor, classification: Tensor, *, gamma: float) -> Tensor:
    """(1 − γ) of the contrastive loss and γ of the classification loss.

    Source: ANNEAL, eq. 11.
    """
    return (1 - gamma) * contrastive + gamma * classification
