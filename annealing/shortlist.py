"""The P pairs with the smallest distance among all that are offered, exactly, in little memory.

Takes blocks of approximate distances, each with a bound of its error, and the exact distance of
any pair; gives the pairs that sorting all exact distances gives. What "distance" means is the
caller's: how far a similarity is from the threshold, how far a probability is from one half.
Nothing here makes blocks or knows embeddings.

Source: ANNEAL, the pre-selection of p pairs; the bounds are ours.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from annealing.pool import Keys, pairs_of
from domain.arrays import BoolArray, FloatArray, IntArray
from domain.vectors import QUANTUM_DECIMALS, quantised

_QUANTUM = 10.0**-QUANTUM_DECIMALS  # distances are ranked as multiples of it
_SEGMENT = 64  # distances of which only the least is looked at, until it is small enough
_SPARE = 65_536  # candidates held beyond P before they are ranked exactly: 1.5 MB
_PENDING = 4096  # candidates that wait until the bound is made tighter
_CROWDED = 64  # where more than one in 64 pairs needs its exact distance, whole blocks are cheaper
_STRIP_PAIRS = 2**18  # pairs of a block that are ranked exactly at a time: 2 MB of distances
_BITS = {torch.bfloat16: torch.int16, torch.float16: torch.int16, torch.float32: torch.int32}


class ExactDistance(Protocol):
    """What pairs are ranked by: the smallest first, ties (to 1e-9) by key."""

    def of_pairs(self, pairs: IntArray) -> FloatArray:
        """[P] float64, finite, of pairs [P, 2] of rows a < b."""

    def of_block(self, rows: slice, columns: slice) -> FloatArray:
        """[R, C] float64 of all pairs of these rows with these columns, 2**18 at most."""


@dataclass(frozen=True)
class SecondLook:
    """Better distances of single pairs of a block, for less than the exact ones cost.

    Attributes:
        distance: from rows [K] and columns [K] inside the block to [K] distances.
        error: how far such a distance can be from the exact one.
    """

    distance: Callable[[Tensor, Tensor], Tensor]
    error: float


@dataclass(frozen=True)
class Block:
    """Approximate distances of neighbouring rows with neighbouring columns.

    Attributes:
        first_row, first_column: the pair that stands in its corner.
        distance: [R, C] contiguous, 0 or more, bfloat16, float16 or float32, on any device; pairs
            that are not row < column are ignored. May be overwritten after it was offered.
        error: how far a distance can be from the exact one.
        second_look: asked for the pairs that the distances leave open; None if nothing is better.
    """

    first_row: int
    first_column: int
    distance: Tensor
    error: float
    second_look: SecondLook | None = None


@dataclass(frozen=True)
class Ranked:
    """The best pairs: [P, 2] rows, a < b, and [P] their exact distances, the smallest first."""

    pairs: IntArray
    distance: FloatArray


class Shortlist:
    """The P nearest of the pairs offered so far, and all that errors cannot tell from them."""

    def __init__(
        self, rows: int, count: int, exact: ExactDistance, *, excluded: Keys | None = None
    ) -> None:
        """An empty list.

        Args:
            rows: N, which pair keys are made with.
            count: P, how many pairs are wanted.
            exact: what pairs are ranked by.
            excluded: sorted keys of pairs that are never taken.
        """
        self._rows, self._count, self._exact = rows, count, exact
        self._excluded = np.zeros(0, np.int64) if excluded is None else excluded
        self._held = _nobody()
        self._pending: list[_Held] = []
        self._cut = math.inf  # no pair with a larger exact distance can be among the best

    def offer(self, block: Block) -> None:
        """Take what can be among the best P of this and all earlier blocks; each block once."""
        if self._count == 0:
            return
        few = block.distance.numel() // _CROWDED
        places = _places_up_to(block.distance, self._limit(block.error))
        if len(places) > 2 * few:
            self._take_block(block)
            return
        candidates = self._candidates(block, places)
        if len(candidates.keys) > few and len(candidates.keys) > self._count:
            self._take_block(block)
            return
        self._pending.append(candidates)
        if sum(len(part.keys) for part in self._pending) > max(_PENDING, self._count // 8):
            self._settle()

    def best(self) -> Ranked:
        """The best min(P, pairs offered) pairs, ranked exactly."""
        self._settle()
        pairs = pairs_of(self._held.keys, max(1, self._rows))
        distance = self._exact.of_pairs(pairs)
        order = np.lexsort((self._held.keys, quantised(distance)))[: self._count]
        return Ranked(pairs[order], distance[order])

    def _limit(self, error: float) -> float:
        """The largest approximate distance that a pair of the best can have."""
        return self._cut + error + _QUANTUM

    def _candidates(self, block: Block, places: Tensor) -> "_Held":
        """Those of a block's places that can be among the best."""
        width = block.distance.shape[1]
        rows, columns = places // width, places % width
        inside = rows + block.first_row < columns + block.first_column
        if not bool(inside.all()):
            places, rows, columns = places[inside], rows[inside], columns[inside]
        distance, error = block.distance.view(-1).index_select(0, places), block.error
        if block.second_look is not None and len(places):
            distance, error = block.second_look.distance(rows, columns), block.second_look.error
            near = distance <= self._limit(error)
            rows, columns, distance = rows[near], columns[near], distance[near]
        keys = (rows + block.first_row) * self._rows + columns + block.first_column
        return self._allowed(keys.cpu().numpy(), distance.double().cpu().numpy(), error + _QUANTUM)

    def _allowed(self, keys: Keys, distance: FloatArray, error: float) -> "_Held":
        """Candidates without the excluded ones."""
        if len(self._excluded):
            place = np.searchsorted(self._excluded, keys)
            place[place == len(self._excluded)] = 0
            allowed = self._excluded[place] != keys
            keys, distance = keys[allowed], distance[allowed]
        return _Held(keys, distance - error, distance + error)

    def _settle(self) -> None:
        """Drop what errors can tell from the best P; rank exactly if too much is left."""
        held = self._gathered()
        if len(held.keys) > self._count:
            worst = np.partition(held.upper, self._count - 1)[self._count - 1]
            self._cut = min(self._cut, float(worst))
            held = held.only(held.lower <= self._cut)
        self._held = held
        if len(held.keys) > self._count + _SPARE:
            self._rank()

    def _rank(self) -> None:
        """Keep the best P of those held, by their exact distances."""
        held = self._gathered()
        exact, unsure = held.lower.copy(), np.flatnonzero(held.lower < held.upper)
        if len(unsure):
            pairs = pairs_of(held.keys[unsure], self._rows)
            exact[unsure] = quantised(self._exact.of_pairs(pairs))
        self._keep_best(_Held(held.keys, exact, exact))

    def _gathered(self) -> "_Held":
        """Those held and those that wait; nothing waits after it."""
        held = _joined([self._held, *self._pending]) if self._pending else self._held
        self._pending = []
        return held

    def _keep_best(self, exact: "_Held") -> None:
        """Hold the best P of these, whose distances are exact."""
        if len(exact.keys) > self._count:
            exact = exact.only(_smallest(exact.lower, exact.keys, self._count))
        self._held = exact
        if len(exact.keys) == self._count:
            self._cut = min(self._cut, float(exact.lower.max()))

    def _take_block(self, block: Block) -> None:
        """Rank all pairs of a block exactly: nothing is known yet, or its errors hide too much."""
        self._rank()
        height, width = block.distance.shape
        strip = max(1, _STRIP_PAIRS // width)
        for top in range(block.first_row, block.first_row + height, strip):
            bottom = min(top + strip, block.first_row + height)
            for left in range(block.first_column, block.first_column + width, _STRIP_PAIRS):
                right = min(left + _STRIP_PAIRS, block.first_column + width)
                self._take_strip(slice(top, bottom), slice(left, right))

    def _take_strip(self, rows: slice, columns: slice) -> None:
        distance = self._exact.of_block(rows, columns)
        near = distance <= self._limit(0.0)
        if rows.stop > columns.start:
            near &= np.arange(rows.start, rows.stop)[:, None] < np.arange(
                columns.start, columns.stop
            )
        places = np.flatnonzero(near)
        exact = quantised(distance.ravel()[places])
        row, column = np.divmod(places, distance.shape[1])
        keys = (row + rows.start) * self._rows + column + columns.start
        if len(self._held.keys) == self._count:
            worst = self._held.lower.max()
            last = self._held.keys[self._held.lower == worst].max()
            better = (exact < worst) | ((exact == worst) & (keys < last))
            keys, exact = keys[better], exact[better]
        self._keep_best(_joined([self._held, self._allowed(keys, exact, 0.0)]))


@dataclass(frozen=True)
class _Held:
    """Keys of pairs, and between which values their exact, quantised distances are."""

    keys: Keys
    lower: FloatArray
    upper: FloatArray

    def only(self, which: IntArray | BoolArray) -> "_Held":
        return _Held(self.keys[which], self.lower[which], self.upper[which])


def _nobody() -> _Held:
    return _Held(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


def _joined(parts: list[_Held]) -> _Held:
    return _Held(
        np.concatenate([part.keys for part in parts]),
        np.concatenate([part.lower for part in parts]),
        np.concatenate([part.upper for part in parts]),
    )


def _smallest(distance: FloatArray, keys: Keys, count: int) -> IntArray:
    """Which are the smallest, ties by key; without sorting, which takes ten times as long."""
    worst = np.partition(distance, count - 1)[count - 1]
    surely, ties = np.flatnonzero(distance < worst), np.flatnonzero(distance == worst)
    wanted = count - len(surely)
    if len(ties) > wanted:
        ties = ties[np.argpartition(keys[ties], wanted - 1)[:wanted]]
    return np.concatenate([surely, ties])


def _places_up_to(distance: Tensor, limit: float) -> Tensor:
    """Where a block has distances up to a limit, as places in the flattened block.

    Floats of 0 or more are in the order of their bits, and the least of integers is found many
    times faster than that of half-precision floats.
    """
    bits = distance.view(_BITS[distance.dtype])
    last = _bits_of(limit, distance.dtype)
    segments = bits.view(-1, math.gcd(bits.numel(), _SEGMENT))
    near = (segments.amin(dim=1) <= last).nonzero()[:, 0]
    inside = (segments.index_select(0, near) <= last).nonzero()
    return near[inside[:, 0]] * segments.shape[1] + inside[:, 1]


def _bits_of(limit: float, dtype: torch.dtype) -> int:
    """Bits of the largest float of this type that is not above the limit."""
    largest = torch.tensor(limit, dtype=dtype)
    bits = int(largest.view(_BITS[dtype]))
    return bits - 1 if float(largest) > limit else bits
