"""The similarities of all pairs, one tile of the upper triangle at a time.

All pairs of 60,000 images would be 7 GB of float32; a tile is 4 MB, is made in place, and is
gone when the next one comes. Runs on the device it is told to.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from annealing.pool import Keys, pairs_of
from domain.arrays import FloatArray
from domain.errors import InputError
from domain.vectors import unit_rows

TILE_ROWS = 1024  # 4 MB: stays in a core's cache between the product and what reads it
_OUT = torch.inf  # stands where no pair of the pool is


@dataclass(frozen=True)
class Tile:
    """Distances |similarity - alpha| of a block of rows with a later (or the same) block.

    Attributes:
        first_row, first_column: what the tile's corner is in the whole matrix.
        distance: [R, C] float32, infinite where the pair is not in the pool; overwritten by the
            next tile.
        rounding: how far a float32 distance can be from the exact one.
    """

    first_row: int
    first_column: int
    distance: Tensor
    rounding: float


class Tiles:
    """All pairs of the pool as tiles, in the order of the blocks."""

    def __init__(
        self,
        embeddings: FloatArray,
        alpha: float,
        excluded: Keys,
        *,
        device: str | torch.device = "cpu",
        tile_rows: int = TILE_ROWS,
    ) -> None:
        """Make tiles of embeddings [N, D] of any length, without the excluded sorted keys."""
        check_embeddings(embeddings)
        rows, size = len(embeddings), min(tile_rows, max(1, len(embeddings)))
        unit = torch.from_numpy(unit_rows(embeddings).astype(np.float32)).to(device)
        one = torch.ones(rows, 1, device=device)
        self._left = torch.cat([unit, one], dim=1)  # the last column makes the product
        self._right = torch.cat([unit, -alpha * one], dim=1)  # similarity - alpha
        self._rows, self._size = rows, size
        self._tile = torch.empty(size * size, device=device)
        self._not_upper = torch.ones(size, size, dtype=torch.bool, device=device).tril()
        self._excluded = _by_tile(pairs_of(excluded, max(rows, 1)), size)
        self._rounding = _rounding(embeddings.shape[1], alpha)

    def __iter__(self) -> Iterator[Tile]:
        for first_row in range(0, self._rows, self._size):
            for first_column in range(first_row, self._rows, self._size):
                yield self._filled(first_row, first_column)

    def _filled(self, first_row: int, first_column: int) -> Tile:
        left = self._left[first_row : first_row + self._size]
        right = self._right[first_column : first_column + self._size]
        distance = self._tile[: len(left) * len(right)].view(len(left), len(right))
        torch.mm(left, right.T, out=distance)
        distance.abs_()
        if first_row == first_column:
            distance.masked_fill_(self._not_upper[: len(left), : len(right)], _OUT)
        self._take_out(distance, first_row, first_column)
        return Tile(first_row, first_column, distance, self._rounding)

    def _take_out(self, distance: Tensor, first_row: int, first_column: int) -> None:
        known = self._excluded.get((first_row // self._size, first_column // self._size))
        if known is not None:
            within = torch.from_numpy(known % self._size).to(distance.device)
            distance[within[:, 0], within[:, 1]] = _OUT


def check_embeddings(embeddings: FloatArray) -> None:
    """Refuse embeddings that are not [N, D] or hold a value that is not finite.

    Raises:
        InputError: with the rows that are wrong.
    """
    if embeddings.ndim != 2:
        raise InputError(
            f"Embeddings of shape {embeddings.shape}; must be [images, dimensions].",
            "Pass one row for each image.",
        )
    bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if len(bad):
        raise InputError(
            f"{len(bad)} embeddings are not finite, the first in row {bad[0]}.",
            "Embed those images again, or leave them out.",
        )


def _by_tile(pairs: Keys, size: int) -> dict[tuple[int, int], Keys]:
    """Pairs grouped by the tile they lie in."""
    if not len(pairs):
        return {}
    blocks = pairs // size
    order = np.lexsort((blocks[:, 1], blocks[:, 0]))
    tiles, starts = np.unique(blocks[order], axis=0, return_index=True)
    groups = np.split(pairs[order], starts[1:])
    return {(int(i), int(j)): group for (i, j), group in zip(tiles, groups, strict=True)}


def _rounding(dimensions: int, alpha: float) -> float:
    """Bound of the error of a product of unit vectors: one rounding a dimension and a few more."""
    exact = torch.get_float32_matmul_precision() == "highest"
    unit = 2.0**-24 if exact else 2.0**-8  # else factors may be rounded to bfloat16
    return ((dimensions if exact else 2) + 8) * unit * (1 + abs(alpha))
