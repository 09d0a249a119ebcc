"""The pool: all pairs of rows that may still be asked.

A pair of N rows has a key, a * N + b with a < b, so that sets of pairs are sorted arrays of
integers. Nothing here ever holds the whole pool.
"""

import numpy as np
from numpy.typing import NDArray

from domain.arrays import FloatArray, IntArray
from domain.errors import InputError
from domain.vectors import unit_rows

Keys = NDArray[np.int64]

_CHUNK_PAIRS = 256  # pairs compared at a time: stay in a core's cache, which is 3 times as fast


def pair_keys(pairs: IntArray, rows: int) -> Keys:
    """Keys of pairs in any order of a and b; sorted, each once.

    Args:
        pairs: [P, 2] row numbers.
        rows: N, of which rows 0…N-1 are allowed.

    Returns:
        [≤ P] int64.

    Raises:
        InputError: a row is out of range, or a pair is twice the same row.
    """
    pairs = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    low, high = pairs.min(axis=1), pairs.max(axis=1)
    wrong = (low < 0) | (high >= rows) | (low == high)
    if wrong.any():
        a, b = pairs[np.argmax(wrong)]
        raise InputError(
            f"({a}, {b}) is no pair of rows; both must be different and from 0 to {rows - 1}.",
            "Pass the pairs as row numbers of the embeddings.",
        )
    return np.unique(low * rows + high)


def pairs_of(keys: IntArray, rows: int) -> Keys:
    """The pairs [P, 2] that have these keys, a < b."""
    return np.stack(np.divmod(np.asarray(keys, dtype=np.int64), rows), axis=-1)


def pool_size(rows: int) -> int:
    """How many pairs N rows have: N (N - 1) / 2."""
    return rows * (rows - 1) // 2


def keys_within(keys: IntArray, rows: int, subset: IntArray) -> Keys:
    """The keys of pairs that lie in a subset of the rows, in the subset's own numbers; sorted.

    Args:
        keys: of pairs of N rows.
        rows: N.
        subset: [M] sorted rows; pair (subset[0], subset[1]) becomes (0, 1).
    """
    place = np.full(rows, -1, dtype=np.int64)
    place[subset] = np.arange(len(subset))
    pairs = place[pairs_of(keys, max(1, rows))]
    inside = pairs[(pairs >= 0).all(axis=1)]
    return np.sort(inside[:, 0] * len(subset) + inside[:, 1])


def joined(first: IntArray | None, second: IntArray | None) -> Keys:
    """Sorted keys that are in one or both of two sets; None is the empty set."""
    sets = [np.asarray(keys, np.int64) for keys in (first, second) if keys is not None]
    return np.unique(np.concatenate(sets)) if sets else np.zeros(0, np.int64)


def keys_within_groups(groups: IntArray) -> Keys:
    """The keys of all pairs of rows in one group, such as images with identical pixels; sorted.

    Args:
        groups: [N] equal for rows of one group.

    Corner cases: there are as many keys as pairs; a group of 10,000 has 50 million, 400 MB.
    """
    order = np.argsort(groups, kind="stable").astype(np.int64)
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    keys = np.empty(sum(pool_size(len(rows)) for rows in members), dtype=np.int64)
    end = 0
    for rows in members:  # which ascend
        for place in range(len(rows) - 1):
            start, end = end, end + len(rows) - 1 - place
            np.add(rows[place] * len(groups), rows[place + 1 :], out=keys[start:end])
    keys.sort()
    return keys


def draw_pairs(rows: int, count: int, excluded: Keys, rng: np.random.Generator) -> Keys:
    """Random pairs of the pool, each pair with the same chance, none twice.

    Args:
        rows: N.
        count: how many; all that are left if there are fewer.
        excluded: sorted keys of pairs that must not be drawn.
        rng: decides the pairs and their order.

    Returns:
        [min(count, left), 2] pairs in random order.

    Corner cases: memory does not depend on the size of the pool while the count is below one in
    50 of it.
    """
    left = pool_size(rows) - len(excluded)
    ranks = np.sort(rng.choice(left, size=min(count, left), replace=False))
    taken = np.sort(_to_positions(pairs_of(excluded, rows), rows))
    gaps = taken - np.arange(len(taken))  # free positions before each taken one
    positions = ranks + np.searchsorted(gaps, ranks, side="right")
    return rng.permutation(_from_positions(positions, rows))


def pair_similarities(embeddings: FloatArray, pairs: IntArray) -> NDArray[np.float64]:
    """Cosine of each pair in float64.

    Args:
        embeddings: [N, D] of any length; a zero row has cosine 0 with everything.
        pairs: [P, 2] row numbers.

    Returns:
        [P] in [-1, 1].
    """
    pairs = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    similarity = np.empty(len(pairs))
    for start in range(0, len(pairs), _CHUNK_PAIRS):
        part = pairs[start : start + _CHUNK_PAIRS]
        left, right = unit_rows(embeddings[part[:, 0]]), unit_rows(embeddings[part[:, 1]])
        similarity[start : start + _CHUNK_PAIRS] = np.einsum("pd,pd->p", left, right)
    return np.clip(similarity, -1.0, 1.0)


def _row_starts(rows: int) -> Keys:
    """Position of each row's first pair when pairs are counted (0, 1), (0, 2) … (1, 2) …."""
    a = np.arange(rows, dtype=np.int64)
    return a * (rows - 1) - a * (a - 1) // 2


def _to_positions(pairs: Keys, rows: int) -> Keys:
    return _row_starts(rows)[pairs[:, 0]] + pairs[:, 1] - pairs[:, 0] - 1


def _from_positions(positions: Keys, rows: int) -> Keys:
    starts = _row_starts(rows)
    a = np.searchsorted(starts[:-1], positions, side="right") - 1
    return np.stack([a, positions - starts[a] + a + 1], axis=-1)
