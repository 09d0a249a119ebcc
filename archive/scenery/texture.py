"""Cloud-like noise for grounds: computed once, cut differently for every tile."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Texture = NDArray[np.float32]

_MAPS = 6
_OCTAVES = 6


@dataclass(frozen=True)
class NoiseBank:
    """[M, S, S] maps of fractal noise, mean 0, standard deviation 1."""

    maps: NDArray[np.float32]

    def cut(self, rng: np.random.Generator, side_px: int) -> Texture:
        """A random window [side_px, side_px] of a random map, turned or mirrored at random."""
        side = self.maps.shape[1]
        top, left = rng.integers(side - side_px + 1, size=2)
        chosen = self.maps[rng.integers(len(self.maps))]
        window: Texture = chosen[top : top + side_px, left : left + side_px]
        window = np.rot90(window, int(rng.integers(4)))
        return window.T if rng.random() < 0.5 else window


def noise_bank(rng: np.random.Generator, side_px: int) -> NoiseBank:
    """Maps that are half as large again as the windows of side_px cut from them."""
    side = side_px * 3 // 2
    return NoiseBank(np.stack([_fractal(rng, side) for _ in range(_MAPS)]))


def _fractal(rng: np.random.Generator, side: int) -> Texture:
    total = np.zeros((side, side), np.float32)
    for octave in range(_OCTAVES):
        cells = 4 * 3**octave if 4 * 3**octave < side else side
        grid = Image.fromarray(rng.normal(size=(cells, cells)).astype(np.float32))
        grown = grid.resize((side, side), Image.Resampling.BICUBIC)
        total += np.asarray(grown) * 0.62**octave
    total -= total.mean()
    total /= total.std()
    return total
