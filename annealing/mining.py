"""The most uncertain pairs among all pairs, exactly, without ever holding all of them.

Takes embeddings and a threshold, gives the P pairs whose similarity is nearest to it. A first
pass in float32 goes over the upper triangle tile by tile and keeps what can be among the first
P given the rounding of float32; a second one ranks those in float64, so that the answer is the
one that float64 brute force gives, on a CPU and on a GPU.

Source: ANNEAL, eq. 8 over the whole pool, and its pre-selection of p = 4 h pairs.
"""

from dataclasses import dataclass

import numpy as np
import torch

from annealing.pool import Keys, pair_similarities, pool_size
from annealing.shortlist import Shortlist
from annealing.tiles import TILE_ROWS, Tiles
from domain.arrays import FloatArray, IntArray
from domain.errors import InputError
from domain.vectors import unit_rows

QUANTILE_ERROR = 1e-4  # half a bin, and the rounding of float32 up to 1,000 dimensions
_BINS = 2**15


@dataclass(frozen=True)
class MinedPairs:
    """Pairs of rows, the most uncertain first.

    Attributes:
        pairs: [P, 2] with a < b; pairs equally uncertain (to 1e-9) in the order of their keys.
        similarity: [P] cosines in float64.
        score: [P] -|similarity - alpha|; higher means ask first.
    """

    pairs: IntArray
    similarity: FloatArray
    score: FloatArray


def most_uncertain_pairs(
    embeddings: FloatArray,
    alpha: float,
    count: int,
    *,
    excluded: Keys | None = None,
    device: str | torch.device = "cpu",
    tile_rows: int = TILE_ROWS,
) -> MinedPairs:
    """The pairs of rows whose cosine is nearest to the threshold.

    Args:
        embeddings: [N, D] rows of any length.
        alpha: the threshold.
        count: P, how many pairs; all that are left if there are fewer.
        excluded: sorted keys (`pool.pair_keys`) of pairs that must not be chosen, such as known
            ones; they are left out before counting, so P pairs come while pairs last.
        device: where the product runs.
        tile_rows: side of a tile; changes speed and memory, never the answer.

    Returns:
        min(P, pairs left) pairs.

    Raises:
        InputError: the embeddings are not finite or not two-dimensional, or count is negative.

    Corner cases: fewer than two rows give no pair. Memory is a few tiles, the embeddings and P,
    also where all similarities are equal.

    Source: ANNEAL, eq. 8.
    """
    if count < 0:
        raise InputError(f"{count} pairs were asked for; must be 0 or more.", "Ask for more.")
    known = np.zeros(0, np.int64) if excluded is None else excluded
    tiles = Tiles(embeddings, alpha, known, device=device, tile_rows=tile_rows)
    wanted = min(count, pool_size(len(embeddings)) - len(known))
    exact = _ToThreshold(embeddings, alpha)
    shortlist = Shortlist(len(embeddings), wanted, exact, excluded=known)
    if wanted > 0:
        for tile in tiles:
            shortlist.offer(tile)
    best = shortlist.best()
    similarity = pair_similarities(embeddings, best.pairs)
    return MinedPairs(best.pairs, similarity, -np.abs(similarity - alpha))


def similarity_quantile(
    embeddings: FloatArray,
    quantile: float,
    *,
    below: float = 1.0,
    excluded: Keys | None = None,
    device: str | torch.device = "cpu",
    tile_rows: int = TILE_ROWS,
) -> float:
    """The similarity that this share of the pool's pairs is below.

    Args:
        embeddings: [N, D] rows of any length.
        quantile: 0…1; 0.95 is the similarity that one pair in twenty reaches.
        below: leaves out pairs that are more alike than this, such as copies; if that leaves
            none, all count.
        excluded: sorted keys of pairs outside the pool.
        device: where the product runs.
        tile_rows: side of a tile; never changes the answer beyond rounding.

    Returns:
        A cosine, right to `QUANTILE_ERROR`.

    Raises:
        InputError: no pair is in the pool, the quantile is out of range, or the embeddings are
            not finite or not two-dimensional.

    Source: the threshold of a start without labels; not in the paper.
    """
    if not 0 <= quantile <= 1:
        raise InputError(f"Quantile {quantile}; must be from 0 to 1.", "Try 0.95.")
    known = np.zeros(0, np.int64) if excluded is None else excluded
    counts = torch.zeros(_BINS, dtype=torch.float64)
    for tile in Tiles(embeddings, -1.0, known, device=device, tile_rows=tile_rows):
        # |similarity + 1| is from 0 to 2; what is outside the pool is infinite and not counted
        counts += torch.histc(tile.distance, bins=_BINS, min=0.0, max=2.0).cpu()
    if not counts.any():
        raise InputError("No pair is left to ask, so there is no quantile.", "Add images.")
    kept = counts[: round((below + 1) / 2 * _BINS)]
    so_far = torch.cumsum(kept if kept.any() else counts, 0)
    reached = int(torch.searchsorted(so_far, max(1.0, quantile * float(so_far[-1]))))
    return (min(reached, len(so_far) - 1) + 0.5) * 2 / _BINS - 1


@dataclass(frozen=True)
class _ToThreshold:
    """|cosine - alpha| of rows of the embeddings, in float64."""

    embeddings: FloatArray
    alpha: float

    def of_pairs(self, pairs: IntArray) -> FloatArray:
        return np.abs(pair_similarities(self.embeddings, pairs) - self.alpha)

    def of_block(self, rows: slice, columns: slice) -> FloatArray:
        product = unit_rows(self.embeddings[rows]) @ unit_rows(self.embeddings[columns]).T
        return np.abs(np.clip(product, -1, 1) - self.alpha)
