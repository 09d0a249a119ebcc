"""The selection set: answered images held out of a training, to decide by, never to report.

A tenth of the answered training images, with everything known about them: nothing that is left
implies a relation of theirs. They are judged by all that the answers imply, because the pairs that
were asked are the very ones that a head found hard: on those alone any head looks worse than the
frozen features, which nobody has asked about.
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
_FEWEST_IMAGES = 5  # held out; with fewer, nobody can say how far chance reaches
_MOST_PAIRS = 5000  # of each kind, drawn from those judged: an AUC to half a percent
_GROUPS = 20  # into which images are drawn to tell chance: as many AUCs are computed


@dataclass(frozen=True)
class SelectionSet:
    """What is held out, and what it is judged by.

    Attributes:
        held_out: [P] known pairs with an image that is held out.
        pairs: [J, 2] judged pairs, the first image held out.
        similar: [J].
        groups: [J] equal for pairs that are not independent: those of a must-link component.
    """

    held_out: BoolArray
    pairs: IntArray
    similar: BoolArray
    groups: IntArray


def hold_out(
    pairs: IntArray, similar: BoolArray, *, rng: np.random.Generator, share: float = SHARE
) -> SelectionSet | None:
    """A selection set of known pairs.

    Args:
        pairs: [P, 2] rows of images.
        similar: [P] whether each pair is similar.
        rng: draws the images that are held out, and the judged pairs where there are many.
        share: of the images that have answers.

    Returns:
        None where it would say too little: too few images, images of one group only, or too few
        pairs of a kind on a side.
    """
    images, place = np.unique(pairs, return_inverse=True)
    ends = place.reshape(-1, 2)
    chosen = rng.random(len(images)) < share
    held_out = np.asarray(chosen[ends].any(axis=1))
    judged, is_similar, component = _judged(ends, similar, np.flatnonzero(chosen), len(images))
    kept = _sample(is_similar, rng)
    judged, is_similar = judged[kept], is_similar[kept]
    left = ~held_out
    counts = (
        is_similar.sum(),
        (~is_similar).sum(),
        (left & similar).sum(),
        (left & ~similar).sum(),
    )
    if chosen.sum() < _FEWEST_IMAGES or min(counts) < _FEWEST_PAIRS:
        return None
    groups = rng.permutation(int(component.max()) + 1)[component[judged[:, 0]]] % _GROUPS
    if len(np.unique(groups)) < 2:  # nothing to compare with: the jackknife would say 0
        return None
    return SelectionSet(held_out, images[judged], is_similar, groups)


def compare_with_frozen(
    head: TrainedHead, features: FloatArray, selection: SelectionSet
) -> SelectionScore:
    """How well a head and the frozen features tell held-out pairs apart (ROC-AUC).

    Args:
        head: trained without the held-out pairs.
        features: [N, D] of the training images.
        selection: its uncertainty comes from leaving out one group after another (jackknife).
    """
    similar, groups = selection.similar, selection.groups
    ours, frozen = (
        _cosines(each, features, selection.pairs) for each in (head, frozen_head(features))
    )
    gains = [
        _auc(ours[kept], similar[kept]) - _auc(frozen[kept], similar[kept])
        for kept in (groups != group for group in np.unique(groups))
    ]
    return SelectionScore(
        head=_auc(ours, similar),
        frozen=_auc(frozen, similar),
        uncertainty=float(np.std(gains) * np.sqrt(len(gains) - 1)),
        pairs=len(similar),
    )


def _judged(
    ends: IntArray, similar: BoolArray, chosen: IntArray, images: int
) -> tuple[IntArray, BoolArray, IntArray]:
    """All that is implied about chosen images: pairs [J, 2], relations [J]; components [images]."""
    component = _components(ends[similar], images)
    links = component[ends[~similar]]
    links = links[links[:, 0] != links[:, 1]]  # a contradiction says nothing
    count = int(component.max(initial=-1)) + 1
    ones = np.ones(2 * len(links), dtype=bool)
    both = np.concatenate([links, links[:, ::-1]])
    apart = coo_array((ones, (both[:, 0], both[:, 1])), shape=(count, count)).tocsr()
    of_chosen = component[chosen]
    alike = of_chosen[:, None] == component
    alike[np.arange(len(chosen)), chosen] = False
    different = apart[of_chosen].toarray()[:, component] > 0
    known = np.argwhere(alike | different)
    pairs = np.stack([chosen[known[:, 0]], known[:, 1]], axis=1)
    return pairs, alike[known[:, 0], known[:, 1]], component


def _sample(similar: BoolArray, rng: np.random.Generator) -> IntArray:
    """Rows of so many pairs of each kind."""
    kinds = (np.flatnonzero(similar), np.flatnonzero(~similar))
    drawn = [rng.choice(each, min(len(each), _MOST_PAIRS), replace=False) for each in kinds]
    return np.sort(np.concatenate(drawn))


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
