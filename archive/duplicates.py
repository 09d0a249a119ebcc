"""Which images are copies, or nearly copies, of each other.

Copies must not lie on two sides of a split: a model would be praised for remembering them.
"""

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from archive.fingerprint import HASH_SIDE
from domain.errors import InputError

# Bits that differ, of 768. Measured on UC Merced: the ten known pairs of near-duplicates differ
# in 0, 10, 12, 14, 16, 16, 17, 20, 23 and 24 bits, the nearest other pairs in 26, 26, 26, 29, 30.
# The gap is narrow, but joining two look-alikes only costs that they lie in one part.
NEAR_DUPLICATE = 24

_CHANNELS = 3
_WORDS_PER_CHANNEL = HASH_SIDE**2 // 64
_BLOCK_ROWS = 1024  # some 10 MB at a time

_Words = NDArray[np.uint64]


def duplicate_groups(pixel_sha256s: Sequence[str]) -> list[int]:
    """[N] group numbers, equal for images with identical pixels, counted from 0 in given order."""
    return _numbered(pixel_sha256s)


def split_groups(
    pixel_sha256s: Sequence[str],
    perceptual_hashes: Sequence[str],
    *,
    threshold: int = NEAR_DUPLICATE,
    fewest: int = 3,
) -> list[int]:
    """[N] group numbers, equal for images that must stay in one part.

    Images are joined when their pixels are identical, or when their perceptual hashes differ in
    at most `threshold` bits (Hamming distance); chains of such pairs are one group. Pictures so
    flat that a change within the threshold would make every channel's bits equal are joined only
    when their pixels are identical. Turned, mirrored or shifted copies are not found.

    Args:
        pixel_sha256s: [N] from `archive.fingerprint.pixel_sha256`.
        perceptual_hashes: [N] from `archive.fingerprint.perceptual_hash`.
        threshold: most bits that may differ, of 768.
        fewest: where joining near-duplicates would leave fewer groups, only identical images
            are joined, so that a small archive can still be split.

    Raises:
        InputError: the two lists differ in length.
    """
    if len(pixel_sha256s) != len(perceptual_hashes):
        raise InputError(
            f"{len(pixel_sha256s)} pixel hashes but {len(perceptual_hashes)} perceptual hashes; "
            "there must be one of each per image.",
            "Scan the archive again.",
        )
    exact = _numbered(pixel_sha256s)
    hashes = [perceptual_hashes[row] for row in _first_rows(exact)]
    joined = _joined(hashes, threshold)
    if len(set(joined)) < fewest:
        return exact
    return _numbered([joined[group] for group in exact])


def _joined(hashes: Sequence[str], threshold: int) -> list[int]:
    """For each hash the smallest row it is chained to (union-find)."""
    parent = list(range(len(hashes)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for a, b in _near_pairs(hashes, threshold):
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    return [root(row) for row in range(len(hashes))]


def _near_pairs(hashes: Sequence[str], threshold: int) -> Iterator[tuple[int, int]]:
    """Rows whose hashes differ in at most `threshold` bits; memory stays at some blocks.

    Sorted by the number of ones, the partners of a row end where there are more than `threshold`
    ones more, so that most blocks are never computed.
    """
    if not hashes:
        return
    words = np.stack([np.frombuffer(bytes.fromhex(each), np.uint64) for each in hashes])
    ones = np.bitwise_count(words).sum(axis=1, dtype=np.intp)
    order = np.argsort(ones, kind="stable")
    order = order[_smaller_side(words[order]) > threshold]
    words, ones = words[order], ones[order]
    for start in range(0, len(order), _BLOCK_ROWS):
        end = min(start + _BLOCK_ROWS, len(order))
        reach = int(np.searchsorted(ones, ones[end - 1] + threshold, "right"))
        for left in range(start, reach, _BLOCK_ROWS):
            columns = words[left : min(left + _BLOCK_ROWS, reach)]
            near = _hamming(words[start:end], columns) <= threshold
            for a, b in np.argwhere(near):
                if start + a < left + b:
                    yield int(order[start + a]), int(order[left + b])


def _smaller_side(words: _Words) -> NDArray[np.intp]:
    """[N] bits to change until each channel's bits are equal: 0 for one colour all over."""
    counts = np.bitwise_count(words).reshape(len(words), _CHANNELS, _WORDS_PER_CHANNEL)
    ones = counts.sum(axis=2, dtype=np.intp)
    fewest: NDArray[np.intp] = np.minimum(ones, HASH_SIDE**2 - ones).sum(axis=1)
    return fewest


def _hamming(rows: _Words, columns: _Words) -> NDArray[np.uint16]:
    """[R, C] numbers of bits that differ."""
    total = np.zeros((len(rows), len(columns)), np.uint16)
    for row_words, column_words in zip(rows.T, columns.T, strict=True):
        total += np.bitwise_count(row_words[:, None] ^ column_words[None, :])
    return total


def _numbered(keys: Sequence[Hashable]) -> list[int]:
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def _first_rows(groups: Sequence[int]) -> list[int]:
    """The first row of each group, groups being numbered in order of appearance."""
    first: dict[int, int] = {}
    for row, group in enumerate(groups):
        first.setdefault(group, row)
    return list(first.values())
