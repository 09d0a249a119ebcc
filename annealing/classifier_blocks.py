"""What a pair classifier is unsure of, over all pairs, one block of the upper triangle at a time.

Where the machine multiplies bytes fast, a block comes from integers first, with a bound of its
error; single pairs that leaves open are looked at again in float32, and whole blocks of which it
leaves too much open.

Source: ANNEAL, eq. 9 over the whole pool.
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from annealing.classifier_floats import FloatClassifier, FloatLane, FloatPairs
from annealing.classifier_integers import IntegerClassifier, IntegerLane, fast_integers
from annealing.pair_classifier import PairClassifier
from annealing.shortlist import Block, SecondLook
from annealing.tiles import Turns, tile_corners, tile_count
from domain.arrays import FloatArray

BLOCK_ROWS = 256  # enough blocks for all cores, large enough that handing them out costs nothing
_WORTH_LOOKING = 0.4  # of a block's pairs; of more, the whole block is quicker in float32

_Certainty = Callable[[slice, slice], Tensor]  # 2 P - 1: first images in rows, second in columns


class ClassifierBlocks:
    """|P - 0.5| of all pairs as blocks for a shortlist."""

    def __init__(
        self,
        classifier: PairClassifier,
        embeddings: FloatArray,
        *,
        device: str | torch.device = "cpu",
        block_rows: int = BLOCK_ROWS,
        integers: bool = True,
    ) -> None:
        """Blocks of embeddings [N, D], used as they are; in integers where that is fast."""
        self._rows, self._size = len(embeddings), block_rows
        self._symmetric, device = classifier.symmetric, torch.device(device)
        sides = classifier.projections(embeddings)
        self._floats = FloatClassifier(classifier, *sides, device=device)
        fast = integers and self._rows and fast_integers(device)
        self._integers = IntegerClassifier(classifier, *sides) if fast else None

    @property
    def count(self) -> int:
        """How many blocks there are."""
        return tile_count(self._rows, self._size)

    def blocks(self, numbers: Iterable[int]) -> Iterator[Block]:
        """Blocks with these numbers; threads may take some each, with an iterator of their own."""
        lane = _Lane(self._floats, self._integers, symmetric=self._symmetric)
        for rows, columns in tile_corners(self._rows, self._size, numbers):
            yield lane.block(rows, columns)


class _Lane:
    """Makes blocks with buffers of its own."""

    def __init__(
        self, floats: FloatClassifier, integers: IntegerClassifier | None, *, symmetric: bool
    ) -> None:
        self._symmetric, self._error = symmetric, floats.error
        self._floats = FloatLane(floats)
        self._fast = None if integers is None else (IntegerLane(integers), FloatPairs(floats))
        self._turns = Turns()

    def block(self, rows: slice, columns: slice) -> Block:
        """A block in integers, or in float32 where those are slow or have been no help."""
        if self._fast is None or self._turns.is_float32():
            return self._float_block(rows, columns)
        integers, pairs = self._fast

        def in_floats() -> Block:
            self._turns.fast_was_in_vain()
            return self._float_block(rows, columns)

        def single(row: Tensor, column: Tensor) -> Tensor:
            return self._single(pairs, row + rows.start, column + columns.start)

        look = SecondLook(single, self._error, in_floats, worth=_WORTH_LOOKING)
        distance = self._distance(integers.certainty, rows, columns)
        error = self._bound(integers, rows, columns)
        return Block(rows.start, columns.start, distance, error, look)

    def _bound(self, integers: IntegerLane, rows: slice, columns: slice) -> float:
        forth = integers.error(rows, columns)
        return (forth + integers.error(columns, rows)) / 2 if self._symmetric else forth

    def _float_block(self, rows: slice, columns: slice) -> Block:
        distance = self._distance(self._floats.certainty, rows, columns)
        return Block(rows.start, columns.start, distance, self._error)

    def _distance(self, certainty: _Certainty, rows: slice, columns: slice) -> Tensor:
        """[R, C] |P - 0.5|."""
        forth = certainty(rows, columns)
        if not self._symmetric:
            return forth.abs().mul_(0.5)
        back = forth if rows == columns else certainty(columns, rows)
        return (forth + back.T).abs_().mul_(0.25)

    def _single(self, pairs: FloatPairs, first: Tensor, second: Tensor) -> Tensor:
        """[K] |P - 0.5| of pairs of rows."""
        forth = pairs.certainty(first, second)
        if not self._symmetric:
            return forth.abs_().mul_(0.5)
        return forth.add_(pairs.certainty(second, first)).abs_().mul_(0.25)
