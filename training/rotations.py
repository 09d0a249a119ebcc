"""Images turned by right angles: for training, and to see whether a network minds.

Source: PEDC, section on rotation invariance.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from domain.arrays import FloatArray
from domain.vectors import unit_rows
from retrieval.metrics import rank_gallery

QUARTERS = (1, 2, 3)  # turns of 90, 180 and 270 degrees: they lose no pixel


@dataclass(frozen=True)
class RotationScores:
    """How far an embedding stays the same when images are turned, a value a quarter turn.

    Attributes:
        degrees: 90, 180 and 270.
        cosine: mean cosine of an image and itself turned, −1…1; 1: turning changes nothing.
        lowest_cosine: that of the image that changed most.
        found: share of turned images whose nearest upright image is themselves.
        overlap: mean share of common images among the k nearest others, upright and turned.
    """

    degrees: tuple[int, ...]
    cosine: tuple[float, ...]
    lowest_cosine: tuple[float, ...]
    found: tuple[float, ...]
    overlap: tuple[float, ...]


def turned_at_random(images: Tensor, generator: torch.Generator) -> Tensor:
    """[B, C, S, S] images, each turned by 90, 180 or 270 degrees.

    Args:
        images: squares.
        generator: on the CPU; draws one turn an image.
    """
    turns = torch.randint(1, 4, (len(images),), generator=generator).tolist()
    return torch.stack(
        [torch.rot90(image, turn, (1, 2)) for image, turn in zip(images, turns, strict=True)]
    )


def rotation_invariance(
    embed: Callable[[Tensor], Tensor], images: Tensor, *, k: int = 5
) -> RotationScores:
    """How much the embeddings of images, and what they retrieve, change when they are turned.

    Args:
        embed: gives [N, D] embeddings of any length.
        images: [N, C, S, S] squares; two or more.
        k: nearest others that are compared; N − 1 where there are fewer.

    Source: PEDC, section on rotation invariance: images are turned by 90, 180 and 270 degrees and
    compared with themselves; what they retrieve is ours.
    """
    with torch.inference_mode():
        upright = _vectors(embed(images))
        turned = [_vectors(embed(torch.rot90(images, turn, (2, 3)))) for turn in QUARTERS]
    cosines = [(upright * each).sum(axis=1) for each in turned]
    before = _nearest_others(upright, upright, k)
    return RotationScores(
        degrees=tuple(90 * turn for turn in QUARTERS),
        cosine=tuple(float(each.mean()) for each in cosines),
        lowest_cosine=tuple(float(each.min()) for each in cosines),
        found=tuple(
            float((rank_gallery(each, upright)[:, 0] == np.arange(len(upright))).mean())
            for each in turned
        ),
        overlap=tuple(
            float(
                np.mean([len(a & b) / max(len(a), 1) for a, b in zip(before, after, strict=True)])
            )
            for after in (_nearest_others(each, upright, k) for each in turned)
        ),
    )


def _vectors(embeddings: Tensor) -> FloatArray:
    return unit_rows(embeddings.float().cpu().numpy())


def _nearest_others(queries: FloatArray, gallery: FloatArray, k: int) -> list[set[int]]:
    """The rows of the k nearest to each query, without its own row."""
    ranked = rank_gallery(queries, gallery)
    return [set(row[row != own][:k].tolist()) for own, row in enumerate(ranked)]
