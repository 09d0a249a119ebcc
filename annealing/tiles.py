"""How far the similarities of all pairs are from a threshold, one tile of pairs at a time.

All pairs of 60,000 images would be 7 GB of float32; a tile is 8 MB, is made in place, and is
gone when the next one comes. Where the machine has fast products in half precision, a tile comes
in that, with a bound of its error and a second look in float32 for what it leaves open. Runs on
the device it is told to.

Source: ANNEAL, eq. 8; the order of precisions is ours.
"""

import math
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from annealing.factors import (
    LARGEST_HALF_ALPHA,
    Factors,
    fast_half,
    full_factors,
    half_factors,
    single_error,
)
from annealing.shortlist import Block, SecondLook
from domain.arrays import FloatArray
from domain.errors import InputError

# On a CPU, halves of 1,024 rows take a fifth longer and of 4,096 rows too, which leave the cache
# before they are read; a GPU wants few large works
_TILE_ROWS = {"cpu": 2048, "cuda": 8192}
_GATHERED = 65_536  # pairs of a GPU's second look at a time: 130 MB at 256 dimensions
_GIVE_UP = 3  # tiles one after another that halves were no help for, until float32 takes over
_RETRY = 32  # until so many tiles later, when the bound is tighter


def tile_rows_for(device: str | torch.device) -> int:
    """Side of a tile that suits a device."""
    return _TILE_ROWS[torch.device(device).type]


def tile_count(rows: int, tile_rows: int) -> int:
    """How many tiles cover the pairs of N rows: numbers 0…count-1, in the order of their rows."""
    side = -(-rows // tile_rows)
    return side * (side + 1) // 2


def tile_corners(
    rows: int, tile_rows: int, numbers: Iterable[int]
) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of tiles, given their numbers.

    Raises:
        InputError: a number is not one of a tile.
    """
    count, side = tile_count(rows, tile_rows), -(-rows // tile_rows)
    for number in numbers:
        if not 0 <= number < count:
            raise InputError(
                f"Tile {number}; there are tiles 0 to {count - 1}.",
                "Ask for those; their number depends on the rows and on the side of a tile.",
            )
        # Counted from the end, tile rows have 1, 2, 3 … tiles
        from_end = count - 1 - number
        row_from_end = (math.isqrt(8 * from_end + 1) - 1) // 2
        row = side - 1 - row_from_end
        column = side - 1 - (from_end - row_from_end * (row_from_end + 1) // 2)
        yield _span(row, tile_rows, rows), _span(column, tile_rows, rows)


class Distances:
    """Products of factors, tile by tile, in memory that each tile overwrites."""

    def __init__(self, factors: Factors, tile_rows: int) -> None:
        """Make tiles of at most this many rows and columns."""
        self.factors = factors
        self._size = min(tile_rows, len(factors.vectors))
        self._tile = factors.vectors.new_empty(0)  # made for the first tile, if there is one
        self._rows, self._left = slice(0, 0), factors.vectors[:0]

    def of(self, rows: slice, columns: slice) -> Tensor:
        """[R, C] |similarity - alpha|; overwritten by the next tile."""
        left, right = self.left(rows), self.factors.vectors[columns]
        if not len(self._tile):
            self._tile = right.new_empty(self._size**2)
        distance = self._tile[: len(left) * len(right)].view(len(left), len(right))
        _multiply(left, right.T, distance)
        return distance.abs_()

    def left(self, rows: slice) -> Tensor:
        """Left sides of the products; made once for all tiles of the same rows."""
        if rows != self._rows:
            self._rows, self._left = rows, self.factors.left(rows)
        return self._left


class Tiles:
    """Tiles of |similarity - alpha| for a shortlist, in the best precision for each."""

    def __init__(
        self,
        embeddings: FloatArray,
        alpha: float,
        *,
        device: str | torch.device = "cpu",
        tile_rows: int | None = None,
        halves: bool = True,
    ) -> None:
        """Make tiles of embeddings [N, D] of any length, in halves where that is fast.

        Raises:
            InputError: embeddings that are not [N, D] or hold a value that is not finite.
        """
        device = torch.device(device)
        self._rows, self._size = len(embeddings), tile_rows or tile_rows_for(device)
        self._full = full_factors(embeddings, alpha, device=device)
        half = fast_half(device) if halves and abs(alpha) <= LARGEST_HALF_ALPHA else None
        self._half = None if half is None else half_factors(self._full, alpha, half)
        # Single pairs of a GPU are as quick in float64; of a CPU they are as good as products
        self._single = torch.float64 if device.type == "cuda" else torch.float32
        self._single_error = single_error(embeddings.shape[1], alpha, self._single)
        _quieten_sparse()

    @property
    def count(self) -> int:
        """How many tiles there are."""
        return tile_count(self._rows, self._size)

    def blocks(self, numbers: Iterable[int]) -> Iterator[Block]:
        """Tiles with these numbers, each to be offered before the next is taken.

        Threads may take tiles from one `Tiles` if each has its own iterator.

        Raises:
            InputError: a number is not one of a tile.
        """
        full = Distances(self._full, self._size)
        half = None if self._half is None else Distances(self._half, self._size)
        turns = Turns()
        for rows, columns in tile_corners(self._rows, self._size, numbers):
            if half is None or turns.is_float32():
                yield self._full_block(full, rows, columns)
            else:
                yield self._half_block(half, full, turns, rows, columns)

    def _half_block(
        self, half: Distances, full: Distances, turns: "Turns", rows: slice, columns: slice
    ) -> Block:
        def in_float32() -> Block:
            turns.fast_was_in_vain()
            return self._full_block(full, rows, columns)

        error = half.factors.error(rows, columns)
        look = replace(self._single_pairs(full, rows, columns), block=in_float32)
        return Block(rows.start, columns.start, half.of(rows, columns), error, look)

    def _full_block(self, full: Distances, rows: slice, columns: slice) -> Block:
        error, look = full.factors.error(rows, columns), None
        if self._single_error < error:
            look = self._single_pairs(full, rows, columns)
        return Block(rows.start, columns.start, full.of(rows, columns), error, look)

    def _single_pairs(self, full: Distances, rows: slice, columns: slice) -> SecondLook:
        def distance(row: Tensor, column: Tensor) -> Tensor:
            left, right = full.left(rows), full.factors.vectors[columns]
            if self._single == torch.float32:
                return _sampled_products(left, right, row, column).abs_()
            return _gathered_products(left, right, row, column, self._single).abs_()

        return SecondLook(distance, self._single_error)


class Turns:
    """Whose turn it is: the fast pass, or float32 for a while after that was no help."""

    def __init__(self) -> None:
        self._in_vain = 0  # tiles one after another
        self._last_in_vain = False
        self._float32_left = 0

    def is_float32(self) -> bool:
        """Whether the next tile comes in float32."""
        self._in_vain = self._in_vain + 1 if self._last_in_vain else 0
        self._last_in_vain = False
        if self._in_vain == _GIVE_UP:
            self._in_vain, self._float32_left = 0, _RETRY
        taken, self._float32_left = self._float32_left, max(0, self._float32_left - 1)
        return taken > 0

    def fast_was_in_vain(self) -> None:
        """The last tile's fast pass left too much open."""
        self._last_in_vain = True


def _span(number: int, size: int, rows: int) -> slice:
    return slice(number * size, min((number + 1) * size, rows))


def _sampled_products(left: Tensor, right: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """[K] elements of a product, given by ascending rows; nothing is copied to make them."""
    counts = torch.bincount(row, minlength=len(left))
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    size, nothing = (len(left), len(right)), left.new_zeros(len(row))
    where = torch.sparse_csr_tensor(starts, column, nothing, size, check_invariants=False)
    products: Tensor = torch.sparse.sampled_addmm(where, left, right.T, beta=0.0)
    return products.values()


def _quieten_sparse() -> None:
    """Let torch say once that its sparse tensors are new, to nobody."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        _sampled_products(torch.ones(1, 1), torch.ones(1, 1), *torch.zeros(2, 1, dtype=torch.int64))


def _gathered_products(
    left: Tensor, right: Tensor, row: Tensor, column: Tensor, summed_in: torch.dtype
) -> Tensor:
    """[K] elements of a product, each float32 product exact enough to be summed in float64."""
    products = torch.empty(len(row), dtype=summed_in, device=left.device)
    for start in range(0, len(row), _GATHERED):
        part = slice(start, start + _GATHERED)
        factors = left.index_select(0, row[part]).mul_(right.index_select(0, column[part]))
        torch.sum(factors, dim=1, dtype=summed_in, out=products[part])
    return products


def _multiply(left: Tensor, right: Tensor, out: Tensor) -> None:
    """The product, summed in float32 also where torch allows a GPU to sum halves as halves."""
    if left.device.type != "cuda" or left.dtype == torch.float32:
        torch.mm(left, right, out=out)
        return
    matmul = torch.backends.cuda.matmul
    allowed = matmul.allow_fp16_accumulation, matmul.allow_fp16_reduced_precision_reduction
    matmul.allow_fp16_accumulation = matmul.allow_fp16_reduced_precision_reduction = False
    try:
        torch.mm(left, right, out=out)
    finally:
        matmul.allow_fp16_accumulation, matmul.allow_fp16_reduced_precision_reduction = allowed
