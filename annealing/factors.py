"""Factors whose product is "similarity minus threshold", and how far such a product can be off.

Takes embeddings of any length and a threshold, gives unit vectors with a few columns more, in
float32 or in half precision. Machines multiply halves up to ten times faster; what halving loses
is measured row by row, which makes the bound a few times smaller than the worst case of rounding.

Source: ours; Cauchy-Schwarz on the residuals of halving, and Higham, Accuracy and Stability of
Numerical Algorithms, section 3.1, for the sums.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from annealing.lanes import work_through
from domain.arrays import FloatArray
from domain.errors import InputError
from domain.vectors import SMALLEST_NORM

LARGEST_HALF_ALPHA = 2.0  # of a larger threshold, halves would lose more than they tell
_PART_ROWS = 512  # rows scaled at a time: stay in a core's cache
_HALF_PARTS = 3  # three bfloat16 hold a threshold as well as one float32 does
_HALF_COLUMNS = 16  # rows of other lengths than multiples of it are slow, on a GPU several times
_UNIT = 2.0**-24  # unit roundoff of float32
_LOOSE_UNIT = 2.0**-8  # where float32 products may round their factors to bfloat16
# A sum of halves' products may be cut instead of rounded, and rounded more than once a term
_SUM_UNIT = {"cpu": 4 * _UNIT, "cuda": 8 * _UNIT}
_MARGIN = 1.01  # over first-order bounds: vectors not quite of length 1, errors of errors


@dataclass(frozen=True)
class Factors:
    """Unit vectors of all rows, each followed by minus the threshold in one or more parts.

    Attributes:
        vectors: [N, D + parts], the right sides of products.
        parts: how many columns the threshold takes; left sides have ones there.
        product_error: of any product, beside what halving the vectors lost.
        residual: [N] length of what halving took from each vector; None in float32.
    """

    vectors: Tensor
    parts: int
    product_error: float
    residual: FloatArray | None = None

    def left(self, rows: slice) -> Tensor:
        """Left sides [R, D + parts] of products with the right sides."""
        left = self.vectors[rows].clone()
        left[:, -self.parts :] = 1
        return left

    def error(self, rows: slice, columns: slice) -> float:
        """How far products of these rows and columns can be off, beside rounding the result."""
        if self.residual is None:
            return self.product_error
        left, right = float(self.residual[rows].max()), float(self.residual[columns].max())
        # |u v - u' v'| <= |u - u'| |v| + |u'| |v - v'|, where u' is at most |u| + |u - u'| long
        return _MARGIN * (left + right + left * right) + self.product_error


def full_factors(embeddings: FloatArray, alpha: float, *, device: str | torch.device) -> Factors:
    """Factors in float32.

    Args:
        embeddings: [N, D] rows of any length.
        alpha: the threshold.
        device: where the products are to run.

    Raises:
        InputError: embeddings that are not [N, D] or hold a value that is not finite.
    """
    vectors = _unit_vectors(embeddings, -alpha).to(device)
    error = single_error(embeddings.shape[1], alpha, torch.float32)
    if not _exact_products(torch.device(device)):
        error += 4 * _LOOSE_UNIT * (1 + abs(alpha))  # both factors may be rounded to bfloat16
    return Factors(vectors, 1, error)


def half_factors(full: Factors, alpha: float, dtype: torch.dtype) -> Factors:
    """The same factors in a half precision.

    Args:
        full: factors in float32.
        alpha: the threshold, `LARGEST_HALF_ALPHA` at most either way.
        dtype: torch.bfloat16 or torch.float16.
    """
    exact, device = full.vectors[:, : -full.parts], full.vectors.device
    dimensions = exact.shape[1]
    parts = _HALF_PARTS + -(dimensions + _HALF_PARTS) % _HALF_COLUMNS
    vectors = torch.empty(len(exact), dimensions + parts, dtype=dtype, device=device)
    residual = _halved(exact, vectors[:, :dimensions])
    left_over = -alpha
    for column in range(dimensions, dimensions + parts):
        vectors[:, column] = left_over
        left_over -= float(torch.tensor(left_over, dtype=dtype))
    sums = _MARGIN * vectors.shape[1] * _SUM_UNIT[device.type] * (1 + abs(alpha))
    scaling = 4 * _UNIT  # of both float32 vectors
    error = sums + scaling + abs(left_over)
    return Factors(vectors, parts, error, residual)


def fast_half(device: torch.device) -> torch.dtype | None:
    """The half precision that a device multiplies faster than float32; None if it has none.

    float16 keeps eight times more of a unit vector than bfloat16, but no CPU has fast products
    of it that are summed in float32.
    """
    if device.type == "cuda":
        return torch.float16
    abilities = torch.cpu.get_capabilities()
    fast = any(abilities.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))
    return torch.bfloat16 if fast else None


def single_error(dimensions: int, alpha: float, summed_in: torch.dtype) -> float:
    """How far the product of two rows of full factors can be off if it is made by itself.

    Args:
        dimensions: D.
        alpha: the threshold.
        summed_in: torch.float32 or torch.float64, of the sum; products are float32.
    """
    terms = 0 if summed_in == torch.float64 else dimensions
    # 8: four for scaling both vectors, one for the threshold, one for each product, two to spare
    return _MARGIN * (terms + 8) * _UNIT * (1 + abs(alpha))


def _exact_products(device: torch.device) -> bool:
    """Whether float32 products keep all bits of their factors, as they do unless told otherwise."""
    if device.type == "cuda":
        precision = torch.backends.cuda.matmul.fp32_precision
    else:
        precision = torch.backends.mkldnn.matmul.fp32_precision  # type: ignore[attr-defined]  # made at import
    return precision in ("none", "ieee")


def _unit_vectors(embeddings: FloatArray, last: float) -> Tensor:
    """Unit vectors in float32 and one column more; in parts, to hold no float64 copy of all."""
    if embeddings.ndim != 2:
        raise InputError(
            f"Embeddings of shape {embeddings.shape}; must be [images, dimensions].",
            "Pass one row for each image.",
        )
    vectors = torch.full((len(embeddings), embeddings.shape[1] + 1), last)
    units = vectors.numpy()[:, :-1]
    lengths = np.empty(len(embeddings))

    def scale(parts: Iterator[int]) -> Iterator[None]:
        for rows in map(_part, parts):
            exact = np.asarray(embeddings[rows], dtype=np.float64)
            with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is told below
                lengths[rows] = np.sqrt(np.einsum("nd,nd->n", exact, exact))
                units[rows] = exact / np.maximum(lengths[rows, None], SMALLEST_NORM)
            yield

    work_through(_parts(len(embeddings)), scale)
    _check_finite(lengths)
    return vectors


def _check_finite(lengths: FloatArray) -> None:
    bad = np.flatnonzero(~np.isfinite(lengths))
    if len(bad):
        raise InputError(
            f"The embedding in row {bad[0]} is not finite.",
            "Embed that image again, or leave it out.",
        )


def _halved(exact: Tensor, halves: Tensor) -> FloatArray:
    """Write the halves of [N, D], and give [N] lengths of what that took, which float32 holds."""
    lost = torch.empty(len(exact), dtype=torch.float64, device=exact.device)

    def halve(parts: Iterator[int]) -> Iterator[None]:
        for rows in map(_part, parts):
            halves[rows] = exact[rows]
            difference = exact[rows] - halves[rows]
            torch.linalg.vector_norm(difference, dim=1, dtype=torch.float64, out=lost[rows])
            yield

    work_through(_parts(len(exact)), halve, device=exact.device)
    return lost.cpu().numpy()


def _parts(rows: int) -> range:
    return range(-(-rows // _PART_ROWS))


def _part(number: int) -> slice:
    return slice(number * _PART_ROWS, (number + 1) * _PART_ROWS)
