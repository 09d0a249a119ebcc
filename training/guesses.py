"""What is guessed of pairs that nobody answered, from the groups that images probably belong to.

Takes soft labels of the training images, gives for the images of a batch how sure it is that two
of them are similar, or that they are not. Nothing is said of pairs in between. Losses that weigh
pairs learn from guesses as much as these are sure; the others from those beyond doubt alone.

Source: ours; pseudo-labels of pairs, from posteriors over must-link groups.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from annealing.components.labels import SoftLabels
from domain.arrays import BoolArray, IntArray

LEAST_KEPT = 0.01  # of an image's probability for a group: the rest counts as unknown
# Of 100 random pairs 5 are similar: a pair is guessed dissimilar only well below that.
LEAST_SIMILAR, MOST_DISSIMILAR = 0.75, 0.01
SURE_SIMILAR, SURE_DISSIMILAR = 0.95, 0.002
_MEMBER = 0.9  # probability from which on an image is drawn as one of its group


@dataclass(frozen=True)
class Guess:
    """What is guessed between B images.

    Attributes:
        sureness: [B, B] symmetric, 0 where nothing is guessed and on the diagonal; above 0 up to 1
            for similar pairs, below 0 down to -1 for dissimilar ones.
        sure: [B, B] bool, where a guess is beyond doubt.
    """

    sureness: NDArray[np.float32]
    sure: BoolArray


@dataclass(frozen=True)
class Guesses:
    """Guesses about N training images.

    Attributes:
        probability: [N, C] of each image for each group; what is improbable is left out.
        alike: [C, C] see `SoftLabels`.
        weight: how much a guess beyond doubt counts beside an answer, above 0.
    """

    probability: csr_array
    alike: NDArray[np.float32]
    weight: float

    def between(self, rows: IntArray) -> Guess:
        """What is guessed between some images.

        The chance that two images are one kind lies between the sum over their groups, and that
        sum with all that was left out: similar pairs are told by the one, dissimilar by the other.
        """
        part = self.probability[rows]
        found = part @ (part @ self.alike).T
        lower = (found + found.T) / 2  # rounding is not symmetric
        kept = part.sum(axis=1)
        upper = lower + (1 - np.outer(kept, kept))
        similar, dissimilar = lower >= LEAST_SIMILAR, upper <= MOST_DISSIMILAR
        sureness = np.where(similar, 2 * lower - 1, np.where(dissimilar, 2 * upper - 1, 0))
        sureness = np.clip(sureness, -1, 1).astype(np.float32)
        sure = (lower >= SURE_SIMILAR) | (upper <= SURE_DISSIMILAR)
        np.fill_diagonal(sureness, 0)
        np.fill_diagonal(sure, False)
        return Guess(sureness, sure)

    def partners(self, rows: IntArray, rng: np.random.Generator) -> IntArray:
        """For each image that is probably of a group, one that probably is, too."""
        groups = self._group[rows]
        first, count = self._first[groups], self._count[groups]
        places = first + np.floor(rng.random(len(rows)) * count).astype(np.int64)
        return np.asarray(self._members[places[(groups >= 0) & (count > 0)]])

    def links(self, answered: IntArray) -> IntArray:
        """[L, 2] the surest answered image of a group, beside an unanswered one surely of it.

        Answered images are never linked with each other, so that answers alone join their groups.

        Args:
            answered: images that somebody was asked about.
        """
        asked = np.isin(self._members, answered)
        known, others = self._members[asked], self._members[~asked]
        known = known[np.argsort(self._surest[known], kind="stable")]
        surest = np.full(self.probability.shape[1], -1)
        surest[self._group[known]] = known  # of several the last
        found = np.stack([surest[self._group[others]], others], axis=1)
        found = found[found[:, 0] >= 0]
        return np.asarray(found[self._surest[found].prod(axis=1) >= SURE_SIMILAR])

    @cached_property
    def digest(self) -> str:
        """Of all that is guessed."""
        found = hashlib.sha256(np.float64(self.weight).tobytes())
        part = self.probability
        for values in (part.indptr, part.indices, part.data, self.alike):
            found.update(np.ascontiguousarray(values).tobytes())
        return found.hexdigest()

    @cached_property
    def _group(self) -> IntArray:
        """[N] the group of each image that is hardly of another, else -1."""
        groups = np.asarray(self.probability.argmax(axis=1)).ravel()
        return np.where(self._surest >= _MEMBER, groups, -1).astype(np.int64)

    @cached_property
    def _surest(self) -> NDArray[np.float32]:
        """[N] the probability of the group that each image is most probably of."""
        return np.asarray(self.probability.max(axis=1).toarray().ravel())

    @cached_property
    def _members(self) -> IntArray:
        """Those images, group by group."""
        inside = np.flatnonzero(self._group >= 0)
        return inside[np.argsort(self._group[inside], kind="stable")]

    @cached_property
    def _count(self) -> IntArray:
        counted = self._group[self._members]
        return np.bincount(counted, minlength=self.probability.shape[1])

    @cached_property
    def _first(self) -> IntArray:
        return np.cumsum(self._count) - self._count


Guessing = Callable[[BoolArray], Guesses | None]
"""What is guessed had nobody answered about the images [N] that are marked; None: nothing."""


def guesses_of(labels: SoftLabels | None, *, weight: float) -> Guesses | None:
    """What soft labels say of pairs; None without labels, or where guesses count for nothing."""
    if labels is None or weight == 0:
        return None
    rows, groups = np.nonzero(labels.probability >= LEAST_KEPT)
    kept = labels.probability[rows, groups].astype(np.float32)
    shape = labels.probability.shape
    alike = np.asarray(labels.alike, dtype=np.float32)
    return Guesses(csr_array((kept, (rows, groups)), shape=shape), alike, weight)
