"""Images of an archive, copies counted as one, and what people said of them.

Copies have identical pixels: what is said of one holds for all, and nobody is asked about two.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from annealing.components.evidence import Answers
from domain.arrays import IntArray
from domain.images import ImageRecord
from domain.pairs import Pair, pair
from labeling_store import answers
from workflow.project import Project


@dataclass(frozen=True)
class Label:
    """What the answers to a pair come to; `similar` is None where they say nothing, or are tied."""

    rows: Pair
    similar: bool | None


@dataclass(frozen=True)
class Distinct:
    """Images no two of which are copies.

    Attributes:
        records: the first of each set of copies; their places are the rows.
        row: by image id, of copies too.
        copy_of: [M] the row of each of the images that it was made from.
    """

    records: tuple[ImageRecord, ...]
    row: Mapping[int, int]
    copy_of: IntArray

    @cached_property
    def image_ids(self) -> IntArray:
        """[N] of the records."""
        return np.array([record.image_id for record in self.records], dtype=np.int64)

    @cached_property
    def first(self) -> IntArray:
        """[N] the place of each record among the images that it was made from."""
        return np.unique(self.copy_of, return_index=True)[1]

    def rows_of(self, asked: Pair) -> Pair | None:
        """The rows of a pair of images; None for copies, and where an image is not among them."""
        a, b = self.row.get(asked.a), self.row.get(asked.b)
        return None if a is None or b is None or a == b else pair(a, b)

    def rows_of_all(self, asked: Iterable[Pair]) -> set[Pair]:
        """The rows of those pairs that have any."""
        return {rows for rows in map(self.rows_of, asked) if rows is not None}


def distinct(records: Sequence[ImageRecord]) -> Distinct:
    """Of each set of copies the first, in the order of the records."""
    rows: dict[int, int] = {}
    copy_of = [rows.setdefault(record.duplicate_group, len(rows)) for record in records]
    kept = np.unique(np.array(copy_of, dtype=np.int64), return_index=True)[1]
    return Distinct(
        records=tuple(records[place] for place in kept),
        row={record.image_id: row for record, row in zip(records, copy_of, strict=True)},
        copy_of=np.array(copy_of, dtype=np.int64),
    )


def labels_about(project: Project, archive: Distinct) -> list[Label]:
    """The label of each answered pair of these images, oldest first; of copies as well."""
    known = sorted(
        answers.pair_labels(project.store.reader()),
        key=lambda label: (label.answered_at, label.pair),
    )
    labels = ((archive.rows_of(label.pair), label.similar) for label in known)
    return [Label(rows, similar) for rows, similar in labels if rows is not None]


def answers_of(labels: Sequence[Label]) -> Answers:
    """Those labels that say similar or dissimilar."""
    said = [label for label in labels if label.similar is not None]
    pairs = np.array([label.rows for label in said], np.int64).reshape(-1, 2)
    return Answers(pairs, np.array([label.similar for label in said], bool))
