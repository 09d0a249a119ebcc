"""Whether a training had enough to learn from: how many images its losses spoke of.

Source: ours; a loss is the mean over the images of a batch that have the partners it needs.
"""

from collections.abc import Iterable, Mapping

import numpy as np

FEWEST = 0.01  # a training in which fewer images are valid anchors learns from chance


def few_anchors(history: Iterable[Mapping[str, float]]) -> str:
    """What is wrong where fewer than 1 % of the images were valid anchors; empty elsewhere.

    Args:
        history: of a training; the lines that have it say `valid_anchors`, a share of the batch.
    """
    shares = [line["valid_anchors"] for line in history if "valid_anchors" in line]
    if not shares or np.mean(shares) >= FEWEST:
        return ""
    return (
        f"Only {np.mean(shares):.1%} of the images that were looked at have the partners that this "
        "loss needs: answer more pairs of both kinds about the same images, or take another loss."
    )
