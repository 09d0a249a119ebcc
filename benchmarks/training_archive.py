"""An archive to train on, and what 1,845 answers make known of it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from domain.arrays import BoolArray, FloatArray, IntArray
from domain.vectors import unit_rows
from training.features import ImageFile

SIDE_PX = 256  # of the drawn images, as UC Merced's
_KINDS = 21


@dataclass(frozen=True)
class Files:
    """Image files with the number of their kind."""

    files: list[ImageFile]
    kinds: IntArray


def files_below(folder: Path, images: int, *, seed: int = 0) -> Files:
    """So many images of an archive whose folders are kinds, drawn from the seed."""
    paths = sorted(path for path in folder.glob("*/*") if path.is_file())
    order = np.random.default_rng(seed).permutation(len(paths))[:images]
    names = sorted({path.parent.name for path in paths})
    chosen = [paths[row] for row in sorted(order)]
    return Files(
        [(hashlib.sha256(path.read_bytes()).hexdigest(), path) for path in chosen],
        np.array([names.index(path.parent.name) for path in chosen]),
    )


def drawn_archive(folder: Path, images: int, *, seed: int = 0) -> Files:
    """JPEG files of stripes of `_KINDS` directions and widths in random colours."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    for number in range(images):
        kind = number % _KINDS
        angle, period = np.pi * (kind % 7) / 7, (8, 20, 48)[kind // 7]
        phase = x * np.cos(angle) + y * np.sin(angle) + rng.uniform(0, period)
        shares = 0.5 + 0.5 * np.sin(2 * np.pi * phase / period)[..., None]
        colours = rng.integers(0, 256, (2, 3))
        noisy = colours[0] * shares + colours[1] * (1 - shares) + rng.normal(0, 20, (*y.shape, 1))
        target = folder / f"kind{kind:02}" / f"{number:04}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(target, quality=90)
    return files_below(folder, images, seed=seed)


def implied_pairs(
    features: FloatArray, kinds: IntArray, answers: int, *, seed: int = 0
) -> tuple[IntArray, BoolArray]:
    """All pairs [P, 2] that so many answers imply, and whether each is similar.

    One image after another is compared with the groups there are, the likeliest by the features
    first, until it is similar to one or to none.
    """
    rng = np.random.default_rng(seed)
    unit = unit_rows(features - features.mean(axis=0))
    groups: list[list[int]] = []
    apart: set[tuple[int, int]] = set()
    asked = 0
    for row in rng.permutation(len(kinds)):
        likeness = [float(unit[row] @ unit[group].mean(axis=0)) for group in groups]
        refused: list[int] = []
        home = len(groups)
        for place in np.argsort(likeness)[::-1]:
            if asked == answers:
                return _all_pairs(groups, apart)
            asked += 1
            if kinds[groups[place][0]] == kinds[row]:
                home = int(place)
                break
            refused.append(int(place))
        if home == len(groups):
            groups.append([])
        groups[home].append(int(row))
        apart |= {(min(home, other), max(home, other)) for other in refused}
    return _all_pairs(groups, apart)


def _all_pairs(groups: list[list[int]], apart: set[tuple[int, int]]) -> tuple[IntArray, BoolArray]:
    """Within groups, and between groups that were told apart."""
    rows, group = np.concatenate(groups), np.repeat(np.arange(len(groups)), [*map(len, groups)])
    told = np.zeros((len(groups), len(groups)), dtype=bool)
    for a, b in apart:
        told[a, b] = told[b, a] = True
    first, second = np.triu_indices(len(rows), 1)
    same = group[first] == group[second]
    known = same | told[group[first], group[second]]
    return np.stack([rows[first], rows[second]], axis=1)[known], same[known]
