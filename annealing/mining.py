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

from annealing.pool import Keys, pair_similarities, pairs_of, pool_size
from annealing.tiles import TILE_ROWS, Tile, Tiles
from domain.arrays import FloatArray, IntArray
from domain.errors import InputError
from domain.vectors import quantised, unit_rows

QUANTILE_ERROR = 1e-4  # half a bin, and the rounding of float32 up to 1,000 dimensions
_BINS = 2**15
_LARGEST = torch.finfo(torch.float32).max
_SPARE = 65_536  # candidates held beyond P before they are ranked exactly: a megabyte
_FIRST_CUT = 64  # the first bound comes from 64 P distances: a tile's P-th takes as long as 3 tiles
_SEGMENT = 128  # distances of which only the least is looked at, until it is small enough
_CROWDED = 16  # where more than one in 16 pairs of a tile is a candidate, a product is cheaper


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
    best = _Best(embeddings, alpha, min(count, pool_size(len(embeddings)) - len(known)))
    if best.count > 0:
        for tile in tiles:
            best.take(tile)
    return best.result()


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


class _Best:
    """The best P pairs of the tiles seen so far, and all that rounding cannot tell from them."""

    def __init__(self, embeddings: FloatArray, alpha: float, count: int) -> None:
        self._embeddings, self._alpha, self.count = embeddings, alpha, count
        self._distance = np.zeros(0)  # of each pair held, off by float32's rounding or exact
        self._keys = np.zeros(0, np.int64)
        self._cut = _LARGEST  # no pair with a larger float32 distance can be among the best

    def take(self, tile: Tile) -> None:
        """Keep what can be among the best P of this and all earlier tiles."""
        self._first_cut(tile)
        width = tile.distance.shape[1]
        segments = tile.distance.view(-1, width if width % _SEGMENT else _SEGMENT)
        near_segments = (segments.amin(dim=1) <= self._cut).nonzero()[:, 0]
        near = segments.index_select(0, near_segments)
        places = (near <= self._cut).nonzero()
        flat = near_segments[places[:, 0]] * segments.shape[1] + places[:, 1]
        rows, columns = np.divmod(flat.cpu().numpy(), width)
        keys = (rows + tile.first_row) * len(self._embeddings) + columns + tile.first_column
        if len(keys) > tile.distance.numel() // _CROWDED and len(keys) > self.count:
            self._merge_exactly(self._tile_distances(tile)[rows, columns], keys, tile.rounding)
            return
        distance = near[places[:, 0], places[:, 1]].cpu().numpy().astype(np.float64)
        self._keys = np.concatenate([self._keys, keys])
        self._distance = np.concatenate([self._distance, distance])
        self._compact(tile.rounding)

    def result(self) -> MinedPairs:
        """The best P pairs, ranked exactly."""
        pairs, similarity = self._exact()
        score = -np.abs(similarity - self._alpha)
        order = np.lexsort((self._keys, -quantised(score)))[: self.count]
        return MinedPairs(pairs[order], similarity[order], score[order])

    def _exact(self) -> tuple[Keys, FloatArray]:
        """The pairs held, and their cosines in float64."""
        pairs = pairs_of(self._keys, max(1, len(self._embeddings)))
        return pairs, pair_similarities(self._embeddings, pairs)

    def _first_cut(self, tile: Tile) -> None:
        """Before anything else: the P best of some rows bound all that follows."""
        width = tile.distance.shape[1]
        first = tile.distance[: _FIRST_CUT * self.count // width + 1]
        if self._cut == _LARGEST and first.numel() > self.count:
            kth = float(first.flatten().kthvalue(self.count).values)
            self._cut = min(_LARGEST, kth + 2 * tile.rounding)

    def _compact(self, rounding: float) -> None:
        """Drop what rounding can tell from the best P; rank exactly if too much is left."""
        if len(self._keys) <= self.count:
            return
        kth = np.partition(self._distance, self.count - 1)[self.count - 1]
        self._cut = min(self._cut, float(kth) + 2 * rounding)
        held = self._distance <= self._cut
        self._keys, self._distance = self._keys[held], self._distance[held]
        if len(self._keys) > self.count + _SPARE:
            self._rank()

    def _rank(self) -> None:
        """Keep exactly the best P of those held, with their exact distances."""
        self._distance = quantised(np.abs(self._exact()[1] - self._alpha))
        self._keep_best()

    def _keep_best(self) -> None:
        order = np.lexsort((self._keys, self._distance))[: self.count]
        self._keys, self._distance = self._keys[order], self._distance[order]

    def _merge_exactly(self, distance: FloatArray, keys: Keys, rounding: float) -> None:
        """Take a tile in which float32 cannot tell most pairs from the best, as with copies."""
        self._rank()
        if len(self._keys) == self.count:
            worst, last = self._distance[-1], self._keys[-1]
            better = (distance < worst) | ((distance == worst) & (keys < last))
            distance, keys = distance[better], keys[better]
        self._keys = np.concatenate([self._keys, keys])
        self._distance = np.concatenate([self._distance, distance])
        self._keep_best()
        if len(self._keys) == self.count:
            self._cut = min(self._cut, float(self._distance[-1]) + 2 * rounding)

    def _tile_distances(self, tile: Tile) -> FloatArray:
        height, width = tile.distance.shape
        left = unit_rows(self._embeddings[tile.first_row : tile.first_row + height])
        right = unit_rows(self._embeddings[tile.first_column : tile.first_column + width])
        return quantised(np.abs(np.clip(left @ right.T, -1, 1) - self._alpha))
