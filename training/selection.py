"""The selection set: answers held out of a training, to decide by, never to report.

A tenth of the answered training images, whole must-link components, so that what is held out is
not implied by what is trained on.
"""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from domain.arrays import BoolArray, FloatArray, IntArray
from retrieval.pair_metrics import roc_auc
from training.head import SelectionScore, TrainedHead, frozen_head

SHARE = 0.1
_RESAMPLES = 200
_FEWEST_PAIRS = 10  # of each kind on each side; with fewer, an AUC says next to nothing


def hold_out(
    pairs: IntArray, similar: BoolArray, *, rng: np.random.Generator, share: float = SHARE
) -> BoolArray | None:
    """Which known pairs belong to the selection set: those with an image that is held out.

    Args:
        pairs: [P, 2] rows of images.
        similar: [P] whether each pair is similar.
        rng: draws the components that are held out.
        share: of the images that have answers.

    Returns:
        [P] True for held-out pairs; None where either side would have too few pairs of a kind.
    """
    images, place = np.unique(pairs, return_inverse=True)
    component = _components(place.reshape(-1, 2)[similar], len(images))
    sizes = np.bincount(component)
    order = rng.permutation(len(sizes))
    before = np.cumsum(sizes[order]) - sizes[order]
    held = np.isin(component, order[before < share * len(images)])
    chosen = np.asarray(held[place.reshape(-1, 2)].any(axis=1))
    counts = [(chosen == side) & (similar == kind) for side in (True, False) for kind in (1, 0)]
    return chosen if min(count.sum() for count in counts) >= _FEWEST_PAIRS else None


def compare_with_frozen(
    head: TrainedHead,
    features: FloatArray,
    pairs: IntArray,
    similar: BoolArray,
    *,
    rng: np.random.Generator,
) -> SelectionScore:
    """How well a head and the frozen features tell held-out pairs apart (ROC-AUC).

    Args:
        head: trained without these pairs.
        features: [N, D] of the training images.
        pairs: [P, 2] rows, of both kinds.
        similar: [P].
        rng: draws the pairs again and again (bootstrap), for the uncertainty of the difference.
    """
    ours, frozen = (_cosines(each, features, pairs) for each in (head, frozen_head(features)))
    draws = [rng.integers(len(pairs), size=len(pairs)) for _ in range(_RESAMPLES)]
    gains = [_auc(ours[d], similar[d]) - _auc(frozen[d], similar[d]) for d in draws]
    return SelectionScore(
        head=_auc(ours, similar),
        frozen=_auc(frozen, similar),
        uncertainty=float(np.std(gains)),
        pairs=len(pairs),
    )


def _cosines(head: TrainedHead, features: FloatArray, pairs: IntArray) -> FloatArray:
    embeddings = head.embed(features)
    return np.asarray((embeddings[pairs[:, 0]] * embeddings[pairs[:, 1]]).sum(axis=1))


def _auc(cosines: FloatArray, similar: BoolArray) -> float:
    """ROC-AUC; ½ where a draw holds one kind only."""
    auc = roc_auc(cosines, similar)
    return 0.5 if auc is None else auc


def _components(similar_pairs: IntArray, images: int) -> IntArray:
    """[images] number of the must-link component of each."""
    links = coo_array(
        (np.ones(len(similar_pairs)), (similar_pairs[:, 0], similar_pairs[:, 1])),
        shape=(images, images),
    )
    return np.asarray(connected_components(links, directed=False)[1])
