"""Exact search: which images are most alike to one embedding.

A first pass in the embeddings' own precision finds everything that can be among the first k, a
second one in float64 ranks those, so that the answer does not depend on the machine.
"""

import numpy as np

from domain.arrays import FloatArray, IntArray
from domain.errors import InputError
from domain.vectors import quantised, unit_rows

_BLOCK_ROWS = 65_536  # a block of 256 float32 dimensions is 64 MB, also of a memory-mapped file


def nearest(
    query: FloatArray,
    embeddings: FloatArray,
    k: int,
    *,
    exclude: IntArray | int | None = None,
    unit: bool = False,
) -> tuple[IntArray, FloatArray]:
    """The rows most alike to a query, and how alike they are.

    Args:
        query: [D], of any length.
        embeddings: [N, D], rows of any length, float32 or float64, in memory or memory-mapped.
        k: how many, at least 1; all rows if there are fewer.
        exclude: row or rows that must not be found, such as the query's own.
        unit: all rows are known to have length 1, up to rounding, or 0: half the time.

    Returns:
        Rows [min(k, N - excluded)] and their cosines in float64, most similar first; rows whose
        cosines are equal to 1e-9 stand in the order of the rows.

    Raises:
        InputError: k is below 1, the dimensions differ, or a value is not finite.
    """
    _check(query, embeddings, k)
    direction = unit_rows(query)
    rough = _products(direction, embeddings) if unit else _cosines(direction, embeddings)
    if not np.isfinite(rough).all():
        raise InputError("An embedding holds a value that is not a number.", "Embed again.")
    if exclude is not None:
        rough[exclude] = -np.inf
    rows = _possible(rough, k, _rounding_bound(embeddings))
    similarity = _exact_cosines(direction, embeddings, rows)
    order = np.lexsort((rows, -quantised(similarity)))[:k]
    return rows[order], similarity[order]


def _check(query: FloatArray, embeddings: FloatArray, k: int) -> None:
    if k < 1:
        raise InputError(f"{k} results were asked for; must be 1 or more.", "Ask for more.")
    if query.ndim != 1 or embeddings.ndim != 2 or embeddings.shape[1] != len(query):
        raise InputError(
            f"A query of shape {query.shape} cannot be searched in embeddings of shape "
            f"{embeddings.shape}; both need the same number of dimensions.",
            "Embed the query with the model of the archive.",
        )
    if not np.isfinite(query).all():
        raise InputError("The query holds a value that is not a number.", "Embed it again.")


def _cosines(direction: FloatArray, embeddings: FloatArray) -> FloatArray:
    """Cosines [N] in the embeddings' precision; a zero row has cosine 0."""
    cosines = np.empty(len(embeddings), dtype=embeddings.dtype)
    narrow = direction.astype(embeddings.dtype)
    for start in range(0, len(embeddings), _BLOCK_ROWS):
        block = np.asarray(embeddings[start : start + _BLOCK_ROWS])
        lengths = np.sqrt(np.einsum("nd,nd->n", block, block))
        np.divide(
            block @ narrow, np.maximum(lengths, 1e-12), out=cosines[start : start + _BLOCK_ROWS]
        )
    return cosines


def _products(direction: FloatArray, embeddings: FloatArray) -> FloatArray:
    """Cosines [N] with rows of length 1, in the embeddings' precision."""
    products = np.empty(len(embeddings), dtype=embeddings.dtype)
    narrow = direction.astype(embeddings.dtype)
    for start in range(0, len(embeddings), _BLOCK_ROWS):
        part = slice(start, start + _BLOCK_ROWS)
        np.dot(np.asarray(embeddings[part]), narrow, out=products[part])
    return products


def _rounding_bound(embeddings: FloatArray) -> float:
    """How far a rough cosine can be from the exact one: D roundings of product and of length."""
    return float((embeddings.shape[1] + 8) * 2 * np.finfo(embeddings.dtype).eps)


def _possible(rough: FloatArray, k: int, bound: float) -> IntArray:
    """Rows that can be among the first k, given that a cosine is off by at most the bound."""
    allowed = int(np.isfinite(rough).sum())
    if allowed <= k:
        return np.flatnonzero(np.isfinite(rough))
    kth = np.partition(rough, len(rough) - k)[len(rough) - k]
    return np.flatnonzero(rough >= kth - 2 * bound)


def _exact_cosines(direction: FloatArray, embeddings: FloatArray, rows: IntArray) -> FloatArray:
    exact = np.empty(len(rows))
    for start in range(0, len(rows), _BLOCK_ROWS):
        part = slice(start, start + _BLOCK_ROWS)
        exact[part] = unit_rows(embeddings[rows[part]]) @ direction
    return exact
