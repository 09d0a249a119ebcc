"""Groups of images that answers call alike, when some answers may be wrong.

Takes answered pairs, gives the group of every image that was in one. With answers beyond doubt
these are the connected components of the similar pairs; where errors are expected, a group's
answers are counted against one another, and two large groups are joined by two answers, not one.

Source: ours, after the union of must-link components.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from domain.arrays import BoolArray, IntArray
from domain.pairs import pair

NO_GROUP = -1
_LARGE = 4  # images; joining two such groups by mistake spoils more than an answer costs


@dataclass(frozen=True)
class Answers:
    """What people said, one row a pair, in the order of the answers.

    Attributes:
        pairs: [A, 2] rows of images.
        similar: [A].
    """

    pairs: IntArray
    similar: BoolArray

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[tuple[int, int, bool]]:
        for (a, b), similar in zip(self.pairs.tolist(), self.similar.tolist(), strict=True):
            yield a, b, similar

    @property
    def keys(self) -> set[tuple[int, int]]:
        """The pairs of rows."""
        return {pair(a, b) for a, b, _ in self}

    def without(self, images: BoolArray) -> "Answers":
        """Those about none of the images [N] that are marked."""
        kept = ~images[self.pairs].any(axis=1)
        return Answers(self.pairs[kept], self.similar[kept])


def groups_of(answers: Answers, rows: int, *, doubtful: bool) -> IntArray:
    """The group of each image.

    Args:
        answers: see there.
        rows: N, how many images there are.
        doubtful: whether answers may be wrong. Otherwise one similar answer joins two groups
            between which there is no contradiction so far.

    Returns:
        [N] group numbers 0…C-1 in the order of each group's lowest row, `NO_GROUP` for images
        that no answer is about. An image with only dissimilar answers is a group of its own.

    Corner cases: a pair answered both ways counts for nothing; answers that contradict what
    earlier ones made a group of do not split it (see `beliefs`).
    """
    merging = _Merging(answers)
    merging.run(two_for_large=doubtful)
    group = np.full(rows, NO_GROUP, dtype=np.int64)
    number: dict[int, int] = {}
    for image in sorted(merging.parent):
        group[image] = number.setdefault(merging.root(image), len(number))
    return group


def evidence_between(answers: Answers, group: IntArray) -> dict[tuple[int, int], int]:
    """Similar minus dissimilar answers between each two groups, lower number first.

    Answers about images without a group are left out.
    """
    counts: dict[tuple[int, int], int] = {}
    for a, b, similar in answers:
        first, second = int(group[a]), int(group[b])
        if first != second and NO_GROUP not in (first, second):
            both = pair(first, second)
            counts[both] = counts.get(both, 0) + (1 if similar else -1)
    return counts


class _Merging:
    """Union-find that keeps the balance of answers between groups."""

    def __init__(self, answers: Answers) -> None:
        self._links = [(a, b) for a, b, similar in answers if similar]
        self.parent = {image: image for a, b, _ in answers for image in (a, b)}
        self._size = dict.fromkeys(self.parent, 1)
        self._balance: dict[int, dict[int, int]] = {image: {} for image in self.parent}
        for a, b, similar in answers:
            value = self._balance[a].get(b, 0) + (1 if similar else -1)
            self._balance[a][b] = self._balance[b][a] = value

    def root(self, image: int) -> int:
        while (above := self.parent[image]) != image:
            self.parent[image] = image = self.parent[above]
        return image

    def run(self, *, two_for_large: bool) -> None:
        """Join what answers join, until nothing changes: a later join can settle an earlier tie."""
        joined = True
        while joined:
            joined = False
            for a, b in self._links:
                first, second = self.root(a), self.root(b)
                if first != second and self._holds(first, second, two_for_large):
                    self._join(first, second)
                    joined = True

    def _holds(self, first: int, second: int, two_for_large: bool) -> bool:
        large = min(self._size[first], self._size[second]) >= _LARGE
        return self._balance[first].get(second, 0) >= (2 if large and two_for_large else 1)

    def _join(self, first: int, second: int) -> None:
        if self._size[first] < self._size[second]:
            first, second = second, first
        self.parent[second] = first
        self._size[first] += self._size[second]
        self._balance[first].pop(second, None)
        for other, value in self._balance.pop(second).items():
            if other != first:
                self._balance[other].pop(second)
                total = self._balance[first].get(other, 0) + value
                self._balance[first][other] = self._balance[other][first] = total
