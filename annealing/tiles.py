"""The similarities of all pairs, one tile of the upper triangle at a time.

All pairs of 60,000 images would be 7 GB of float32; a tile is 4 MB, is made in place, and is
gone when the next one comes. Runs on the device it is told to.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from annealing.pool import Keys, pairs_of
from annealing.shortlist import Block
from domain.arrays import FloatArray
from domain.errors import InputError
from domain.vectors import QUANTUM_DECIMALS, SMALLEST_NORM

TILE_ROWS = 1024  # 4 MB: stays in a core's cache between the product and what reads it
_PART_ROWS = 8192
_OUT = torch.inf  # stands where no pair of the pool is
_QUANTUM = 10.0**-QUANTUM_DECIMALS  # distances closer than this are equal


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
        vectors = _unit_vectors(embeddings, -alpha)
        self._rows, self._size = len(embeddings), min(tile_rows, max(1, len(embeddings)))
        self._vectors = vectors.to(device)
        self._tile = torch.empty(self._size**2, device=device)
        below = torch.ones(self._size, self._size, dtype=torch.bool, device=device)
        self._not_upper = below.tril()
        self._excluded = _by_tile(pairs_of(excluded, max(self._rows, 1)), self._size)
        self._rounding = _rounding(embeddings.shape[1], alpha)

    def __iter__(self) -> Iterator[Block]:
        for first_row in range(0, self._rows, self._size):
            left = self._vectors[first_row : first_row + self._size].clone()
            left[:, -1] = 1  # against -alpha: the product is similarity - alpha
            for first_column in range(first_row, self._rows, self._size):
                distance = self._distance(left, first_column)
                if first_row == first_column:
                    distance.masked_fill_(self._not_upper[: len(left), : len(left)], _OUT)
                self._take_out(distance, first_row, first_column)
                yield Block(first_row, first_column, distance, self._rounding)

    def _distance(self, left: Tensor, first_column: int) -> Tensor:
        right = self._vectors[first_column : first_column + self._size]
        distance = self._tile[: len(left) * len(right)].view(len(left), len(right))
        torch.mm(left, right.T, out=distance)
        return distance.abs_()

    def _take_out(self, distance: Tensor, first_row: int, first_column: int) -> None:
        known = self._excluded.get((first_row // self._size, first_column // self._size))
        if known is not None:
            within = torch.from_numpy(known % self._size).to(distance.device)
            distance[within[:, 0], within[:, 1]] = _OUT


def _unit_vectors(embeddings: FloatArray, last: float) -> Tensor:
    """Unit vectors in float32 and one column more; in parts, to hold no float64 copy of all.

    Raises:
        InputError: embeddings that are not [N, D] or hold a value that is not finite.
    """
    if embeddings.ndim != 2:
        raise InputError(
            f"Embeddings of shape {embeddings.shape}; must be [images, dimensions].",
            "Pass one row for each image.",
        )
    precision = np.float64 if embeddings.dtype == np.float64 else np.float32
    vectors = torch.full((len(embeddings), embeddings.shape[1] + 1), last)
    for start in range(0, len(embeddings), _PART_ROWS):
        part = torch.from_numpy(np.array(embeddings[start : start + _PART_ROWS], precision))
        lengths = torch.linalg.vector_norm(part, dim=1, keepdim=True, dtype=torch.float64)
        _check_finite(lengths, start)
        unit = part / lengths.clamp_min_(SMALLEST_NORM).to(part.dtype)
        vectors[start : start + _PART_ROWS, :-1] = unit
    return vectors


def _check_finite(lengths: Tensor, first_row: int) -> None:
    bad = (~lengths.isfinite()).nonzero()
    if len(bad):
        raise InputError(
            f"The embedding in row {first_row + int(bad[0, 0])} is not finite.",
            "Embed that image again, or leave it out.",
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
    """Bound of a product's error: a rounding for each dimension, and a few for scaling."""
    exact = torch.get_float32_matmul_precision() == "highest"
    unit = 2.0**-24 if exact else 2.0**-8  # else factors may be rounded to bfloat16
    return ((dimensions if exact else 2) + 8) * unit * (1 + abs(alpha)) + _QUANTUM
