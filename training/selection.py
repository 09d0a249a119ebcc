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
from scipy.special import ndtri, stdtrit

from domain.arrays import BoolArray, FloatArray, IntArray
from retrieval.pair_metrics import roc_auc
from training.head import SelectionScore, TrainedHead, frozen_head

SHARE = 0.1
_FEWEST_PAIRS = 10  # of each kind on each side; with fewer, an AUC says next to nothing
_FEWEST_IMAGES = 5  # held out; with fewer, nobody can say how far chance reaches
_MOST_PAIRS = 5000  # of each kind, drawn from those judged: an AUC to half a percent
_LIKELY = 0.975  # two standard errors reach from 1 - this to this, where there are many groups
_GROUPS = 20  # into which images are drawn to tell chance: as many AUCs are computed


@dataclass(frozen=True)
class SelectionSet:
    """What is held out, and what it is judged by.

    Attributes:
        images: rows of the images that are held out, ascending.
        held_out: [P] known pairs with an image that is held out.
        pairs: [J, 2] judged pairs, the first image held out.
        similar: [J].
        groups: [J] equal for pairs that are not independent: those of a must-link component.
    """

    images: IntArray
    held_out: BoolArray
    pairs: IntArray
    similar: BoolArray
    groups: IntArray


def hold_out(
    pairs: IntArray,
    similar: BoolArray,
    *,
    rng: np.random.Generator,
    share: float = SHARE,
    among: IntArray | None = None,
) -> SelectionSet | None:
    """A selection set of known pairs.

    Args:
        pairs: [P, 2] rows of images.
        similar: [P] whether each pair is similar.
        rng: draws the images that are held out, and the judged pairs where there are many.
        share: of the images that have answers.
        among: only these images are held out; None: any.

    Returns:
        None where it would say too little: too few images, images of one group only, or too few
        pairs of a kind on a side.
    """
    images, place = np.unique(pairs, return_inverse=True)
    ends = place.reshape(-1, 2)
    chosen = rng.random(len(images)) < share
    if among is not None:
        chosen &= np.isin(images, among)
    held_out = np.asarray(chosen[ends].any(axis=1))
    implied = _Implied(ends, similar, len(images))
    rows = np.flatnonzero(chosen)
    alike, different = (implied.drawn(rows, kind, rng) for kind in (True, False))
    judged = np.concatenate([alike, different])
    is_similar = np.arange(len(judged)) < len(alike)
    left = ~held_out
    counts = (
        is_similar.sum(),
        (~is_similar).sum(),
        (left & similar).sum(),
        (left & ~similar).sum(),
    )
    if chosen.sum() < _FEWEST_IMAGES or min(counts) < _FEWEST_PAIRS:
        return None
    component = implied.component
    groups = rng.permutation(int(component.max()) + 1)[component[judged[:, 0]]] % _GROUPS
    if len(np.unique(groups)) < 2:  # nothing to compare with: the jackknife would say 0
        return None
    return SelectionSet(images[chosen], held_out, images[judged], is_similar, groups)


def compare_with_frozen(
    head: TrainedHead, features: FloatArray, selection: SelectionSet
) -> SelectionScore:
    """How well a head and the frozen features tell held-out pairs apart (ROC-AUC).

    Args:
        head: trained without the held-out pairs.
        features: [N, D] of the training images.
        selection: its uncertainty comes from leaving out one group after another (jackknife),
            wider where there are few groups (Student's t).
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
        uncertainty=float(np.std(gains) * np.sqrt(len(gains) - 1)) * _widening(len(gains)),
        pairs=len(similar),
    )


class _Implied:
    """All relations of images that answers imply, of which there may be billions, never listed.

    Attributes:
        component: [images] number of the must-link component of each.
    """

    def __init__(self, ends: IntArray, similar: BoolArray, images: int) -> None:
        self.component = _components(ends[similar], images)
        links = self.component[ends[~similar]]
        links = links[links[:, 0] != links[:, 1]]  # a contradiction says nothing
        both = np.unique(np.concatenate([links, links[:, ::-1]]), axis=0)
        self._sizes = np.bincount(self.component)
        shape = len(self._sizes), len(self._sizes)
        apart = coo_array((np.ones(len(both), np.int64), (both[:, 0], both[:, 1])), shape=shape)
        self._apart = apart.tocsr()

    def drawn(self, rows: IntArray, similar: bool, rng: np.random.Generator) -> IntArray:
        """[≤ 5,000, 2] pairs of this kind whose first image is one of these; each as likely."""
        per_component = self._sizes - 1 if similar else self._apart @ self._sizes
        ends = np.cumsum(per_component[self.component[rows]])
        total = int(ends[-1]) if len(ends) else 0
        ranks = np.sort(rng.choice(total, min(total, _MOST_PAIRS), replace=False))
        place = np.searchsorted(ends, ranks, side="right")
        first = rows[place]
        rank = ranks - ends[place] + per_component[self.component[first]]
        return np.stack([first, self._partners(first, rank, similar)], axis=1)

    def _partners(self, first: IntArray, rank: IntArray, similar: bool) -> IntArray:
        """[P] of each image that many-eth of the images it has a relation of this kind with."""
        partners = np.empty(len(first), dtype=np.int64)
        of_first = self.component[first]
        for component in np.unique(of_first):
            here = of_first == component
            if similar:
                others = np.flatnonzero(self.component == component)
                own = np.searchsorted(others, first[here])
                partners[here] = others[rank[here] + (rank[here] >= own)]
            else:
                apart = self._apart[[component]].indices
                partners[here] = np.flatnonzero(np.isin(self.component, apart))[rank[here]]
        return partners


def _widening(groups: int) -> float:
    """How much further chance reaches where a standard error comes from few groups."""
    return float(stdtrit(groups - 1, _LIKELY) / ndtri(_LIKELY))


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
