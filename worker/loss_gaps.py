"""How far the loss of small batches is from that of all training images, for a comparison.

Source: OSAP, comparison of batch sizes.
"""

from collections.abc import Mapping

import numpy as np
import torch

from domain.arrays import FloatArray, IntArray
from training.head import TrainedHead
from training.losses.batch_gap import batch_gaps
from training.losses.relevance import RelevanceLoss
from training.trainer import KnownPairs

_SIZES = (32, 64, 128, 256, 512)  # the paper's batches
_DRAWS = 20
_MOST_IMAGES = 1200  # that stand for all: some losses hold a number for each triple


def gap_figures(
    loss: RelevanceLoss, head: TrainedHead, features: FloatArray, known: KnownPairs, *, seed: int
) -> Mapping[str, float]:
    """The loss of batches of each size less that of all images, by name.

    Args:
        loss: of a batch.
        head: makes embeddings of the features.
        features: [N, D] of the training images.
        known: pairs of them; images without any take no part.
        seed: of the batches, and of the images that stand for all where there are many.

    Corner cases: sizes of which no batch says anything, or with more images than there are, are
    left out.
    """
    rng = np.random.default_rng((seed, 2))
    images = np.unique(known.rows)
    if len(images) > _MOST_IMAGES:
        images = np.sort(rng.choice(images, _MOST_IMAGES, replace=False))
    embeddings = torch.from_numpy(np.asarray(head.embed(features[images]), dtype=np.float32))
    relevance = torch.from_numpy(_relevance(images, known))
    sizes = [size for size in _SIZES if size <= len(images)]
    found = batch_gaps(loss, embeddings, relevance, sizes=sizes, draws=_DRAWS, rng=rng)
    return {f"gap at {each.rows}": each.gap for each in found if each.gap is not None}


def _relevance(images: IntArray, known: KnownPairs) -> FloatArray:
    """[M, M] what is known between these images, which ascend."""
    inside = np.isin(known.rows, images).all(axis=1)
    first, second = np.searchsorted(images, known.rows[inside]).T
    relevance = np.full((len(images), len(images)), np.nan, dtype=np.float32)
    relevance[first, second] = relevance[second, first] = known.similar[inside]
    return relevance
