"""The P pairs with the smallest distance among all that are offered, exactly, in little memory.

Takes blocks of approximate distances, each with a bound of its error, and the exact distance of
any pair; gives the pairs that sorting all exact distances gives. What "distance" means is the
caller's: how far a similarity is from the threshold, how far a probability is from one half.
Nothing here makes blocks or knows embeddings.

Source: ANNEAL, the pre-selection of p pairs; the bounds are ours.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from annealing.pool import Keys, pairs_of
from domain.arrays import BoolArray, FloatArray, IntArray
from domain.vectors import QUANTUM_DECIMALS, quantised

_QUANTUM = 10.0**-QUANTUM_DECIMALS  # distances are ranked as multiples of it
_SEGMENT = 128  # distances of which only the least is looked at, until it is small enough
_SPARE = 65_536  # candidates held beyond P before they are ranked exactly: 1.5 MB
_PENDING = 4096  # candidates that wait until the bound is made tighter
_CROWDED = 64  # where more than one in 64 pairs needs its exact distance, a block is cheaper
_SECOND_LOOKS = 16  # where more than one in 16 needs a second look, a better block is cheaper
_FEW_EACH = 4  # candidates for each of P that are few, of however small a block
_STRIP_PAIRS = 2**18  # pairs of a block that are ranked exactly at a time: 2 MB of distances
_FIRST_PAIRS = 2**17  # pairs that the first bound comes from: what 3 blocks take
_FIRST_PAIRS_EACH = 16  # the same for each of P, as the best P of just P pairs bound nothing
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
        distance: from rows [K] and columns [K] inside the block to [K] distances; pairs come by
            ascending rows, then columns.
        error: how far such a distance can be from the exact one.
        block: makes a better block of the same pairs, for where much is left open; None if
            nothing is better than single pairs.
    """

    distance: Callable[[Tensor, Tensor], Tensor]
    error: float
    block: "Callable[[], Block] | None" = None


@dataclass(frozen=True)
class Block:
    """Approximate distances of neighbouring rows with neighbouring columns.

    Attributes:
        first_row, first_column: the pair that stands in its corner.
        distance: [R, C] contiguous, 0 or more, bfloat16, float16 or float32, on any device; pairs
            that are not row < column are ignored. May be overwritten after it was offered.
        error: how far a distance can be from the exact one, before it is rounded to its type.
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
    """The P nearest of the pairs offered so far, and all that errors cannot tell from them.

    Threads may offer blocks at the same time.
    """

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
        self._lock = Lock()  # of those held and waiting; the bound is only read without it
        self._cut = math.inf  # no pair with a larger exact distance can be among the best

    def offer(self, block: Block) -> None:
        """Take what can be among the best P of this and all earlier blocks; each block once."""
        if self._count == 0:
            return
        with self._lock:
            if math.isinf(self._cut):
                self._bound_by(block)
        if math.isinf(self._cut):
            self._take_exactly(block)
            return
        places, look = self._places(block), block.second_look
        if places is None and look is not None and look.block is not None:
            block = look.block()
            places = self._places(block)
        if places is None and block.second_look is None:  # better than all so far, perhaps
            with self._lock:
                self._bound_by(block)
            places = self._places(block)
        candidates = None if places is None else self._candidates(block, places)
        if candidates is None or len(candidates.keys) > self._few(block):
            self._take_exactly(block)
            return
        with self._lock:
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

    def _bound_by(self, block: Block) -> None:
        """Bound the best P by the pairs of a few rows of a block, if those are enough."""
        height, width = block.distance.shape
        pairs = min(max(_FIRST_PAIRS, _FIRST_PAIRS_EACH * self._count), _STRIP_PAIRS)
        height, width = min(height, max(1, pairs // width)), min(width, _STRIP_PAIRS)
        if block.second_look is None:  # nothing is better but the exact distances, which are dear
            corner = replace(block, distance=block.distance[:height, :width].contiguous())
            first = self._candidates(
                corner, torch.arange(height * width, device=block.distance.device)
            )
        else:
            rows = slice(block.first_row, block.first_row + height)
            first = self._strip(rows, slice(block.first_column, block.first_column + width))
        if len(first.keys) >= self._count:
            worst = np.partition(first.upper, self._count - 1)[self._count - 1]
            self._cut = min(self._cut, float(worst))

    def _places(self, block: Block) -> Tensor | None:
        """Places in the flattened block of pairs that can be among the best; None if too many."""
        look, most = block.second_look, self._few(block)
        if look is not None:
            enough = 0 if look.block is not None else self._count
            most = max(enough, block.distance.numel() // _SECOND_LOOKS)
        return _places_up_to(block.distance, self._limit(block.error), most)

    def _few(self, block: Block) -> int:
        """How many pairs of a block are ranked one by one; more are quicker as a block."""
        return max(_FEW_EACH * self._count, block.distance.numel() // _CROWDED)

    def _limit(self, error: float) -> float:
        """The largest approximate distance that a pair of the best can have."""
        return self._cut + error + _QUANTUM

    def _candidates(self, block: Block, places: Tensor) -> "_Held":
        """Those of a block's places that can be among the best after a second look."""
        height, width = block.distance.shape
        rows, columns = places // width, places % width
        if block.first_row + height > block.first_column:
            inside = rows + block.first_row < columns + block.first_column
            places, rows, columns = places[inside], rows[inside], columns[inside]
        if block.second_look is None:
            distance = block.distance.view(-1).index_select(0, places).double()
            error = block.error + distance * torch.finfo(block.distance.dtype).eps
        else:
            distance = block.second_look.distance(rows, columns).double()
            near = (distance <= self._limit(block.second_look.error)).nonzero()[:, 0]
            rows, columns, distance = rows[near], columns[near], distance[near]
            error = torch.full_like(distance, block.second_look.error)
        keys = (rows + block.first_row) * self._rows + columns + block.first_column
        lower, upper = distance - error - _QUANTUM, distance + error + _QUANTUM
        found = _Held(keys.cpu().numpy(), lower.cpu().numpy(), upper.cpu().numpy())
        return self._without_excluded(found)

    def _without_excluded(self, found: "_Held") -> "_Held":
        if not len(self._excluded):
            return found
        place = np.searchsorted(self._excluded, found.keys)
        place[place == len(self._excluded)] = 0
        return found.only(self._excluded[place] != found.keys)

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

    def _take_exactly(self, block: Block) -> None:
        """Rank all pairs of a block exactly: its errors hide too much."""
        height, width = block.distance.shape
        strip = max(1, _STRIP_PAIRS // width)
        for top in range(block.first_row, block.first_row + height, strip):
            bottom = min(top + strip, block.first_row + height)
            for left in range(block.first_column, block.first_column + width, _STRIP_PAIRS):
                right = min(left + _STRIP_PAIRS, block.first_column + width)
                found = self._strip(slice(top, bottom), slice(left, right))
                with self._lock:
                    self._rank()
                    self._keep_best(_joined([self._held, found]))

    def _strip(self, rows: slice, columns: slice) -> "_Held":
        """Those of some rows and columns that are better than the worst held, exactly."""
        distance = self._exact.of_block(rows, columns)
        places = np.flatnonzero(distance <= self._strip_limit(rows, columns))
        row, column = np.divmod(places, distance.shape[1])
        row, column = row + rows.start, column + columns.start
        exact = quantised(distance.ravel()[places])
        found = _Held(row * self._rows + column, exact, exact)
        return self._without_excluded(found.only(row < column))

    def _strip_limit(self, rows: slice, columns: slice) -> float:
        """Up to where distances can be better than the worst held."""
        held, cut = self._held, self._cut
        worst = held.keys[held.upper == cut]
        full = len(held.keys) == self._count and len(worst)
        if full and rows.start * self._rows + columns.start > worst.max():
            return cut - _QUANTUM / 4  # whoever ties, less than half a quantum off, loses
        return self._limit(0.0)


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


def _places_up_to(distance: Tensor, limit: float, most: int) -> Tensor | None:
    """Where a block has distances up to a limit, as ascending places in the flattened block.

    None if they are more than `most`. Floats of 0 or more are in the order of their bits, and the
    least of integers is found many times faster than that of half-precision floats.
    """
    bits, last = distance.view(_BITS[distance.dtype]).view(-1), _bits_of(limit, distance.dtype)
    segments = bits.view(-1, math.gcd(len(bits), _SEGMENT))
    least, width = segments.amin(dim=1), segments.shape[1]
    if distance.device.type == "cpu":  # where numpy is three times as fast
        near = np.flatnonzero(least.numpy() <= last)
        if 2 * len(near) > len(least) and np.count_nonzero(bits.numpy() <= last) > most:
            return None
        inside = np.flatnonzero(segments.numpy()[near] <= last)
        places = torch.from_numpy(near[inside // width] * width + inside % width)
    else:
        close = (least <= last).nonzero()[:, 0]
        within = (segments.index_select(0, close) <= last).nonzero()
        places = close[within[:, 0]] * width + within[:, 1]
    return places if len(places) <= most else None


def _bits_of(limit: float, dtype: torch.dtype) -> int:
    """Bits of the smallest float of this type that is not below the limit.

    However a distance up to the limit was rounded to this type, it is not above that.
    """
    nearest = torch.tensor(limit, dtype=dtype)
    bits = int(nearest.view(_BITS[dtype]))
    return bits + 1 if float(nearest) < limit else bits
