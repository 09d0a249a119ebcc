"""What a pair classifier is unsure of, over all pairs, one block of the upper triangle at a time.

Source: ANNEAL, eq. 9 over the whole pool.
"""

from collections.abc import Iterable, Iterator

import torch

from annealing.classifier_floats import FloatClassifier
from annealing.classifier_fused import FusedClassifier
from annealing.pair_classifier import PairClassifier
from annealing.shortlist import Block
from annealing.tiles import tile_corners, tile_count
from domain.arrays import FloatArray

# On a CPU enough blocks for all cores, large enough that handing them out costs nothing
_BLOCK_ROWS = {"cpu": 512, "cuda": 2048}


class ClassifierBlocks:
    """|P - 0.5| of all pairs as blocks for a shortlist."""

    def __init__(
        self,
        classifier: PairClassifier,
        embeddings: FloatArray,
        *,
        device: str | torch.device = "cpu",
        block_rows: int | None = None,
    ) -> None:
        """Blocks of embeddings [N, D], used as they are."""
        device = torch.device(device)
        self._rows, self._size = len(embeddings), block_rows or _BLOCK_ROWS[device.type]
        sides = classifier.projections(embeddings)
        self._layers = (
            FusedClassifier(classifier, *sides)
            if device.type == "cpu"
            else FloatClassifier(classifier, *sides, device=device)
        )

    @property
    def count(self) -> int:
        """How many blocks there are."""
        return tile_count(self._rows, self._size)

    def blocks(self, numbers: Iterable[int]) -> Iterator[Block]:
        """Blocks with these numbers, each to be offered before the next is taken.

        Threads may take some each, with an iterator of their own.
        """
        lane = self._layers.lane()
        for rows, columns in tile_corners(self._rows, self._size, numbers):
            distance = lane.distance(rows, columns)
            yield Block(rows.start, columns.start, distance, self._layers.error)
