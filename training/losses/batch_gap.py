"""How far the loss of a batch is from the loss of all images.

An average precision does not decompose: in a small batch few dissimilar images stand before a
similar one, so that the loss of batches is lower than that of the archive, and falls silent before
the ranking is right. How much tells how large the ranking of a training should be.

Source: OSAP, comparison of batch sizes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from domain.errors import InputError
from training.losses.relevance import RelevanceLoss


@dataclass(frozen=True)
class BatchGap:
    """The loss of batches of one size.

    Attributes:
        rows: images in a batch.
        mean: of the batches that have a valid anchor; None where none has.
        gap: the mean less the loss of all images; None likewise.
        valid: how many of the batches have a valid anchor.
    """

    rows: int
    mean: float | None
    gap: float | None
    valid: int


def batch_gaps(
    loss: RelevanceLoss,
    embeddings: Tensor,
    relevance: Tensor,
    *,
    sizes: Sequence[int],
    draws: int,
    rng: np.random.Generator,
) -> tuple[BatchGap, ...]:
    """The gap of each size, over batches drawn at random without replacement.

    Args:
        loss: of a batch.
        embeddings: [N, D] all images.
        relevance: [N, N].
        sizes: images in a batch, each 1…N.
        draws: batches of each size.
        rng: the only source of chance.

    Raises:
        InputError: a size is below 1 or above N, or there are no draws.

    Source: OSAP, comparison of batch sizes.
    """
    images = len(embeddings)
    for wrong in [size for size in sizes if not 1 <= size <= images]:
        raise InputError(f"A batch of {wrong} images; must be from 1 to {images}.")
    if draws < 1:
        raise InputError(f"draws = {draws}; must be 1 or more.")
    with torch.no_grad():
        whole = float(loss(embeddings, relevance).value)
        found = []
        for size in sizes:
            chosen = [rng.choice(images, size, replace=False) for _ in range(draws)]
            rows = [torch.from_numpy(each).to(embeddings.device) for each in chosen]
            losses = [loss(embeddings[each], relevance[each][:, each]) for each in rows]
            values = [float(each.value) for each in losses if each.valid_anchors]
            mean = float(np.mean(values)) if values else None
            gap = None if mean is None else mean - whole
            found.append(BatchGap(size, mean, gap, len(values)))
    return tuple(found)
