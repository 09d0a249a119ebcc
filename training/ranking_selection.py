"""Whether one head ranks held-out answered images better than another.

Takes heads that were trained without the held-out answers. Each held-out image ranks the images
that answers relate it to; what nobody judged takes no part. It is what losses of rankings are made
for, and tells heads apart where their ROC-AUC is near 1.

Source: OSAP-Loss, eq. 18 on judged images only ("condensed" average precision); the error is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from domain.arrays import BoolArray, FloatArray, IntArray
from training.head import TrainedHead
from training.selection import SelectionSet


@dataclass(frozen=True)
class RankingGain:
    """Mean average precision of held-out images, before and after.

    Attributes:
        before, after: fractions; higher is better.
        uncertainty: standard error of the difference, over groups of must-link components; or what
            a single group adds to it, where that is more: few images that are ranked better, among
            many that nothing was done to, are about a standard error whatever their number.
        images: over how many held-out images the means go.
    """

    before: float
    after: float
    uncertainty: float
    images: int

    @property
    def gain(self) -> float:
        """How much better it ranks."""
        return self.after - self.before

    @property
    def is_better(self) -> bool:
        """Whether it ranks better by more than a standard error: else nothing is changed."""
        return self.gain > max(self.uncertainty, 0.0)


class RankingJudge:
    """Held-out images with a similar and a dissimilar partner, ready to judge heads."""

    def __init__(self, features: FloatArray, selection: SelectionSet) -> None:
        """Features [N, D] of the training images, and what is held out of them."""
        self._rows, ends = np.unique(selection.pairs, return_inverse=True)
        self._features = features[self._rows]
        self._ends = ends.reshape(-1, 2)
        self._similar = selection.similar
        queries, place = np.unique(selection.pairs[:, 0], return_inverse=True)
        alike = np.bincount(place, weights=selection.similar, minlength=len(queries))
        different = np.bincount(place, weights=~selection.similar, minlength=len(queries))
        self._place = place
        self._judged = (alike > 0) & (different > 0)
        group = np.zeros(len(queries), dtype=np.int64)
        group[place] = selection.groups
        self._group = group[self._judged]

    @property
    def images(self) -> int:
        """How many held-out images can be ranked for."""
        return int(self._judged.sum())

    @property
    def rows(self) -> IntArray:
        """[R] of the features, of the images that are ranked or ranked for."""
        return self._rows

    def average_precision(self, head: TrainedHead) -> FloatArray:
        """[images] of each held-out image; at equal similarity dissimilar images stand first."""
        return self.average_precision_of(head.embed(self._features))

    def average_precision_of(self, vectors: FloatArray) -> FloatArray:
        """The same of unit vectors [R, D] of the `rows`, made in any way."""
        cosines = (vectors[self._ends[:, 0]] * vectors[self._ends[:, 1]]).sum(axis=1)
        order = np.lexsort((self._similar, -cosines.astype(np.float64), self._place))
        precision = _average_precision(self._place[order], self._similar[order])
        return np.asarray(precision[self._judged])

    def gain(self, before: FloatArray, after: FloatArray) -> RankingGain:
        """What the difference of two heads' average precisions [images] comes to.

        Its uncertainty comes from leaving out one group of components after another.
        """
        difference, groups = after - before, np.unique(self._group)
        left = [difference[self._group != group].mean() for group in groups if len(groups) > 1]
        means = float(before.mean()), float(after.mean())
        uncertainty = _uncertainty(means[1] - means[0], left)
        return RankingGain(*means, uncertainty=uncertainty, images=self.images)


def _uncertainty(gain: float, left: Sequence[float]) -> float:
    """Standard error of a gain that is so much without each group, or what one group adds to it."""
    if not left:
        return float("inf")
    spread = np.std(left) * np.sqrt(len(left) - 1)
    return float(max(spread, gain - min(left)))


def _average_precision(query: IntArray, similar: BoolArray) -> FloatArray:
    """[Q] of rankings that stand one behind the other, each from its best."""
    starts = np.flatnonzero(np.r_[True, query[1:] != query[:-1]])
    rank = np.arange(len(query)) - starts[query] + 1
    hits = np.cumsum(similar)
    before: FloatArray = (hits - similar)[starts]
    precision = (hits - before[query]) / rank
    total = np.bincount(query, weights=precision * similar)
    return np.asarray(total / np.maximum(np.bincount(query, weights=similar), 1))
