"""The selection set: answers held out of a training, to decide by, never to report.

A tenth of the answered training images, whole must-link components, so that what is held out is
not implied by what is trained on.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from domain.arrays import BoolArray, FloatArray, IntArray
from retrieval.pair_metrics import roc_auc
from training.head import SelectionScore, TrainedHead, frozen_head

SHARE = 0.1
_FEWEST_PAIRS = 10  # of each kind on each side; with fewer, an AUC says next to nothing
_FEWEST_COMPONENTS = 5  # with fewer, nobody can say how far chance reaches


@dataclass(frozen=True)
class SelectionSet:
    """Which known pairs are held out.

    Attributes:
        held_out: [P] pairs with an image that is held out.
        components: [P, 2] must-link component of each image of a pair; -1 where it is not held out.
    """

    held_out: BoolArray
    components: IntArray


def hold_out(
    pairs: IntArray, similar: BoolArray, *, rng: np.random.Generator, share: float = SHARE
) -> SelectionSet | None:
    """A selection set of known pairs.

    Args:
        pairs: [P, 2] rows of images.
        similar: [P] whether each pair is similar.
        rng: draws the components that are held out.
        share: of the images that have answers.

    Returns:
        None where it would say too little: either side has too few pairs of a kind, or the
        images held out form too few components (a few large groups, once much is known).
    """
    images, place = np.unique(pairs, return_inverse=True)
    ends = place.reshape(-1, 2)
    component = _components(ends[similar], len(images))
    sizes = np.bincount(component)
    order = rng.permutation(len(sizes))
    before = np.cumsum(sizes[order]) - sizes[order]
    chosen = order[before < share * len(images)]
    components = np.where(np.isin(component, chosen), component, -1)[ends]
    held_out = np.asarray((components >= 0).any(axis=1))
    sides = (held_out & similar, held_out & ~similar, ~held_out & similar, ~(held_out | similar))
    if min(side.sum() for side in sides) < _FEWEST_PAIRS or len(chosen) < _FEWEST_COMPONENTS:
        return None
    return SelectionSet(held_out, components)


def compare_with_frozen(
    head: TrainedHead,
    features: FloatArray,
    pairs: IntArray,
    similar: BoolArray,
    *,
    components: IntArray,
) -> SelectionScore:
    """How well a head and the frozen features tell held-out pairs apart (ROC-AUC).

    Args:
        head: trained without these pairs.
        features: [N, D] of the training images.
        pairs: [P, 2] rows, of both kinds.
        similar: [P].
        components: [P, 2] see `SelectionSet`; pairs of one component are not independent, so the
            uncertainty comes from leaving out one component after another (jackknife).
    """
    ours, frozen = (_cosines(each, features, pairs) for each in (head, frozen_head(features)))
    gains = []
    for component in np.unique(components[components >= 0]):
        kept = (components != component).all(axis=1)
        gains.append(_auc(ours[kept], similar[kept]) - _auc(frozen[kept], similar[kept]))
    return SelectionScore(
        head=_auc(ours, similar),
        frozen=_auc(frozen, similar),
        uncertainty=float(np.std(gains) * np.sqrt(len(gains) - 1)),
        pairs=len(pairs),
    )


def _cosines(head: TrainedHead, features: FloatArray, pairs: IntArray) -> FloatArray:
    embeddings = head.embed(features)
    return np.asarray((embeddings[pairs[:, 0]] * embeddings[pairs[:, 1]]).sum(axis=1))


def _auc(cosines: FloatArray, similar: BoolArray) -> float:
    """ROC-AUC; ½ where one kind only is left."""
    auc = roc_auc(cosines, similar)
    return 0.5 if auc is None else auc


def _components(similar_pairs: IntArray, images: int) -> IntArray:
    """[images] number of the must-link component of each."""
    links = coo_array(
        (np.ones(len(similar_pairs)), (similar_pairs[:, 0], similar_pairs[:, 1])),
        shape=(images, images),
    )
    return np.asarray(connected_components(links, directed=False)[1])
