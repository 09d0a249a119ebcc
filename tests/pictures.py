"""Small archives for tests: textures of a few kinds, drawn in milliseconds."""

from pathlib import Path

import numpy as np
from PIL import Image

from domain.arrays import IntArray

KINDS = ("stripes", "checks", "dots", "plain")


def texture(kind: str, rng: np.random.Generator, size_px: int = 64) -> IntArray:
    """[H, W, 3] uint8: a pattern of one kind in colours and a phase of its own."""
    y, x = np.mgrid[:size_px, :size_px] + rng.integers(0, 16)
    period = int(rng.integers(6, 12))
    masks = {
        "stripes": (x // period) % 2,
        "checks": (x // period + y // period) % 2,
        "dots": ((x % period - period / 2) ** 2 + (y % period - period / 2) ** 2) < period,
        "plain": np.zeros_like(x),
    }
    mask = masks[kind].astype(bool)[..., None]
    first, second = rng.integers(0, 256, (2, 3))
    noise = rng.normal(0, 12, (size_px, size_px, 3))
    return np.clip(np.where(mask, first, second) + noise, 0, 255).astype(np.uint8)


def write_archive(root: Path, *, each: int = 10, classes: bool = True, seed: int = 0) -> Path:
    """`each` images of every kind below `root`: in a folder a kind, or all in one folder."""
    rng = np.random.default_rng(seed)
    for kind in KINDS:
        folder = root / kind if classes else root
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(each):
            Image.fromarray(texture(kind, rng)).save(folder / f"{kind}{number:02d}.png")
    return root
