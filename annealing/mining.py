"""The most uncertain pairs among all pairs, exactly, without ever holding all of them.

Takes embeddings and a threshold, gives the P pairs whose similarity is nearest to it. A first
pass over the upper triangle, tile by tile and in half precision where that is fast, keeps what
can be among the first P given a bound of its error; those are ranked in float64, so that the
answer is the one that float64 brute force gives, on a CPU and on a GPU. Ranges of tiles can be
mined apart, on other machines or after an interruption, and merged.

Source: ANNEAL, eq. 8 over the whole pool, and its pre-selection of p = 4 h pairs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from annealing.factors import full_factors
from annealing.lanes import work_through
from annealing.pool import Keys, pair_similarities, pairs_of, pool_size
from annealing.shortlist import Shortlist
from annealing.tiles import Distances, Tiles, tile_corners, tile_count, tile_rows_for
from domain.arrays import FloatArray, IntArray
from domain.errors import InputError
from domain.jobs import Progress, silent
from domain.vectors import quantised, unit_rows

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
    tile_rows: int | None = None,
    tiles: range | None = None,
    halves: bool = True,
    progress: Progress = silent,
) -> MinedPairs:
    """The pairs of rows whose cosine is nearest to the threshold.

    Args:
        embeddings: [N, D] rows of any length.
        alpha: the threshold.
        count: P, how many pairs; all that are left if there are fewer.
        excluded: sorted keys (`pool.pair_keys`) of pairs that must not be chosen, such as known
            ones; they are left out before counting, so P pairs come while pairs last.
        device: where the products run.
        tile_rows: side of a tile; changes speed and memory, never the answer. None is what suits
            the device.
        tiles: numbers of the tiles to look at, of `tiles.tile_count` with the same tile_rows;
            None is all. Answers for ranges that together cover all tiles give the whole answer
            when `merged`.
        halves: whether the first pass may be in half precision; changes speed, never the answer.
        progress: told after each tile; what it raises ends the mining.

    Returns:
        min(P, pairs left) pairs.

    Raises:
        InputError: the embeddings are not finite or not two-dimensional, count is negative, or a
            tile does not exist.

    Corner cases: fewer than two rows give no pair. Memory is a few tiles, one and a half copies
    of the embeddings in float32, and P, also where all similarities are equal.

    Source: ANNEAL, eq. 8.
    """
    if count < 0:
        raise InputError(f"{count} pairs were asked for; must be 0 or more.", "Ask for more.")
    known = np.zeros(0, np.int64) if excluded is None else excluded
    source = Tiles(embeddings, alpha, device=device, tile_rows=tile_rows, halves=halves)
    wanted = min(count, pool_size(len(embeddings)) - len(known))
    numbers = range(source.count) if tiles is None else tiles
    shortlist = Shortlist(len(embeddings), wanted, _ToThreshold(embeddings, alpha), excluded=known)

    def take(shared: Iterator[int]) -> Iterator[None]:
        for block in source.blocks(shared):
            shortlist.offer(block)
            yield

    if wanted > 0:
        work_through(numbers, take, device=device, progress=progress, message="Comparing all pairs")
    pairs = shortlist.best().pairs
    similarity = pair_similarities(embeddings, pairs)
    return MinedPairs(pairs, similarity, -np.abs(similarity - alpha))


def merged(first: MinedPairs, second: MinedPairs, count: int) -> MinedPairs:
    """The best P of the pairs mined from two ranges of tiles; in whatever order they are merged.

    Args:
        first, second: of the same embeddings, threshold and excluded pairs, each with at least
            `count` pairs asked for.
        count: P.

    Returns:
        min(P, different pairs in both) pairs; a pair that is in both comes once.

    Source: ours; exact, as each range's answer has all that can be in the whole one.
    """
    pairs = np.concatenate([first.pairs, second.pairs])
    similarity = np.concatenate([first.similarity, second.similarity])
    score = np.concatenate([first.score, second.score])
    once = np.unique(pairs, axis=0, return_index=True)[1]
    order = once[np.argsort(-quantised(score[once]), kind="stable")[:count]]
    return MinedPairs(pairs[order], similarity[order], score[order])


def similarity_quantile(
    embeddings: FloatArray,
    quantile: float,
    *,
    below: float = 1.0,
    excluded: Keys | None = None,
    device: str | torch.device = "cpu",
    tile_rows: int | None = None,
    progress: Progress = silent,
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
        progress: told after each tile; what it raises ends the work.

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
    side = tile_rows or tile_rows_for(device)
    counts = _histogram(embeddings, known, device, side, progress=progress)
    if not counts.any():
        raise InputError("No pair is left to ask, so there is no quantile.", "Add images.")
    kept = counts[: round((below + 1) / 2 * _BINS)]
    so_far = torch.cumsum(kept if kept.any() else counts, 0)
    reached = int(torch.searchsorted(so_far, max(1.0, quantile * float(so_far[-1]))))
    return (min(reached, len(so_far) - 1) + 0.5) * 2 / _BINS - 1


def _histogram(
    embeddings: FloatArray,
    known: Keys,
    device: str | torch.device,
    tile_rows: int,
    *,
    progress: Progress,
) -> torch.Tensor:
    """How many pairs of the pool have a similarity in each bin of [-1, 1]."""
    # |similarity + 1| is from 0 to 2; what is outside the pool is made infinite and not counted
    distances = Distances(full_factors(embeddings, -1.0, device=device), tile_rows)
    counts = torch.zeros(_BINS, dtype=torch.float64)
    numbers = range(tile_count(len(embeddings), tile_rows))
    corners = tile_corners(len(embeddings), tile_rows, numbers)
    for done, (rows, columns) in enumerate(corners, 1):
        tile = distances.of(rows, columns)
        if rows == columns:
            tile.masked_fill_(torch.ones_like(tile, dtype=torch.bool).tril(), torch.inf)
        outside = torch.from_numpy(_known_in(known, len(embeddings), rows, columns))
        tile[outside[:, 0].to(device), outside[:, 1].to(device)] = torch.inf
        counts += torch.histc(tile, bins=_BINS, min=0.0, max=2.0).cpu()
        progress(done / len(numbers), "Comparing all pairs")
    return counts


def _known_in(known: Keys, count: int, rows: slice, columns: slice) -> IntArray:
    """Known pairs [K, 2] in a tile, counted from its corner."""
    first, last = np.searchsorted(known, [rows.start * count, rows.stop * count])
    pairs = pairs_of(known[first:last], count)
    inside = (pairs[:, 1] >= columns.start) & (pairs[:, 1] < columns.stop)
    within: IntArray = pairs[inside] - np.array([rows.start, columns.start])
    return within


@dataclass(frozen=True)
class _ToThreshold:
    """|cosine - alpha| of rows of the embeddings, in float64."""

    embeddings: FloatArray
    alpha: float

    def of_pairs(self, pairs: IntArray) -> FloatArray:
        return np.abs(pair_similarities(self.embeddings, pairs) - self.alpha)

    def of_block(self, rows: slice, columns: slice) -> FloatArray:
        left = torch.from_numpy(unit_rows(self.embeddings[rows]))
        right = torch.from_numpy(unit_rows(self.embeddings[columns]))
        # By torch, which keeps to the one core of its lane; numpy takes all
        product = torch.mm(left, right.T).clamp_(-1, 1).sub_(self.alpha).abs_()
        return np.asarray(product.numpy())
