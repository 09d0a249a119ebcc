"""Which images are copies, or nearly copies, of each other.

Copies must not lie on two sides of a split: a model would be praised for remembering them.
"""

from collections.abc import Hashable, Iterator, Sequence

import numpy as np

from archive.fingerprint import likeness
from domain.arrays import FloatArray
from domain.errors import InputError

# Measured on UC Merced: known near-duplicates reach 0.17, the first other pair has 0.23.
NEAR_DUPLICATE = 0.20

FLAT = 1.0  # root mean square contrast, of 255, below which a likeness is only rounding

_BLOCK_ROWS = 1024  # 4 MB of distances at a time


def duplicate_groups(pixel_sha256s: Sequence[str]) -> list[int]:
    """[N] group numbers, equal for images with identical pixels, counted from 0 in given order."""
    return _numbered(pixel_sha256s)


def split_groups(
    pixel_sha256s: Sequence[str],
    perceptual_hashes: Sequence[str],
    *,
    threshold: float = NEAR_DUPLICATE,
    fewest: int = 3,
) -> list[int]:
    """[N] group numbers, equal for images that must stay in one part.

    Images are joined when their pixels are identical, or when their likenesses, each without its
    mean colour, differ by at most `threshold` times the contrast of the flatter one; chains of
    such pairs are one group. Turned, mirrored or shifted copies are not found.

    Args:
        pixel_sha256s: [N] from `archive.fingerprint.pixel_sha256`.
        perceptual_hashes: [N] from `archive.fingerprint.perceptual_hash`.
        threshold: largest relative distance, 0…1.
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


def _joined(hashes: Sequence[str], threshold: float) -> list[int]:
    """For each likeness the smallest row it is chained to (union-find)."""
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


def _near_pairs(hashes: Sequence[str], threshold: float) -> Iterator[tuple[int, int]]:
    """Rows whose relative distance is at most the threshold; memory stays at some blocks.

    Sorted by contrast, the partners of a row end where the contrast exceeds (1 + threshold)
    times its own (triangle inequality), so that most blocks are never computed.
    """
    if not hashes:
        return
    vectors = np.stack([likeness(each) for each in hashes])  # [N, 192]
    contrast = np.linalg.norm(vectors, axis=1)
    order = np.argsort(contrast, kind="stable")
    order = order[contrast[order] >= FLAT * vectors.shape[1] ** 0.5]
    vectors, contrast = vectors[order], contrast[order]
    for start in range(0, len(order), _BLOCK_ROWS):
        end = min(start + _BLOCK_ROWS, len(order))
        reach = int(np.searchsorted(contrast, contrast[end - 1] * (1 + threshold), "right"))
        for left in range(start, reach, _BLOCK_ROWS):
            columns = slice(left, min(left + _BLOCK_ROWS, reach))
            limit = threshold * np.minimum.outer(contrast[start:end], contrast[columns])
            near = _distances(vectors[start:end], vectors[columns]) <= limit
            for a, b in np.argwhere(near):
                if start + a < left + b:
                    yield int(order[start + a]), int(order[left + b])


def _distances(rows: FloatArray, columns: FloatArray) -> FloatArray:
    """[R, C] Euclidean distances."""
    squares = (rows**2).sum(axis=1)[:, None] + (columns**2).sum(axis=1)[None, :]
    distances: FloatArray = np.sqrt(np.maximum(squares - 2 * rows @ columns.T, 0))
    return distances


def _numbered(keys: Sequence[Hashable]) -> list[int]:
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def _first_rows(groups: Sequence[int]) -> list[int]:
    """The first row of each group, groups being numbered in order of appearance."""
    first: dict[int, int] = {}
    for row, group in enumerate(groups):
        first.setdefault(group, row)
    return list(first.values())
