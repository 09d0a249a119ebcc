"""From painted scenes to one photographed tile: heading, neighbours, light, haze, grain."""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image

from archive.scenery.palette import Difficulty, draw_palette
from archive.scenery.scene import Frame, Scene, View, plane
from archive.scenery.texture import NoiseBank

Painter = Callable[[Scene], None]

CANVAS_PER_TILE = 1.5  # a square this large still covers the tile when turned by any angle


def photograph(
    painters: tuple[Painter, Painter],
    rng: np.random.Generator,
    noise: NoiseBank,
    *,
    size_px: int,
    difficulty: Difficulty,
) -> Image.Image:
    """A tile of the first painter's kind; at times with a strip of the second's along one side."""
    side = canvas_side(size_px)
    view = _view(rng, difficulty)
    tile = _painted(painters[0], rng, view, noise, side).seen(size_px)
    if rng.random() < difficulty.mixed_share:
        other = _painted(painters[1], rng, view, noise, side).seen(size_px)
        share = rng.uniform(*difficulty.mixed_area)
        tile = Image.composite(other, tile, _strip(rng, noise.cut(rng, size_px), share))
    return _developed(tile, rng, difficulty)


def canvas_side(size_px: int) -> int:
    """Side of the canvas that painters draw on, for a tile of size_px."""
    return math.ceil(size_px * CANVAS_PER_TILE)


def _view(rng: np.random.Generator, difficulty: Difficulty) -> View:
    low, high = np.log(difficulty.scale)
    azimuth = rng.uniform(0, 2 * math.pi)
    return View(
        palette=draw_palette(rng, difficulty),
        sun=(math.cos(azimuth), math.sin(azimuth)),
        scale=float(np.exp(rng.uniform(low, high))),
    )


def _painted(
    painter: Painter, rng: np.random.Generator, view: View, noise: NoiseBank, side: int
) -> Scene:
    frame = Frame(heading=rng.uniform(0, 2 * math.pi), half=side / CANVAS_PER_TILE / 2)
    scene = Scene(rng, view, noise, side, frame=frame)
    painter(scene)
    return scene


def _strip(rng: np.random.Generator, texture: np.ndarray, share: float) -> Image.Image:
    """A mask that covers a share of the tile on one side, with an uneven border."""
    size_px = len(texture)
    angle = rng.uniform(0, 2 * math.pi)
    rows, columns = np.mgrid[0:size_px, 0:size_px] / size_px
    height = rows * math.sin(angle) + columns * math.cos(angle) + 0.02 * texture
    return Image.fromarray(((height < np.quantile(height, share)) * 255).astype(np.uint8))


def _developed(tile: Image.Image, rng: np.random.Generator, difficulty: Difficulty) -> Image.Image:
    """Light, colour cast, haze and the sensor's grain."""
    light = np.exp(rng.uniform(-1, 1) * difficulty.light)
    casts = np.exp(rng.uniform(-1, 1, 3) * difficulty.cast)
    haze = rng.uniform(0, difficulty.haze)
    grain = rng.standard_normal((tile.height, tile.width), np.float32)
    grain *= np.float32(rng.uniform(1, difficulty.grain))
    grain += np.float32(150 * haze)
    return Image.merge(
        "RGB",
        [
            plane(np.asarray(band) * np.float32(light * cast * (1 - haze)) + grain)
            for band, cast in zip(tile.split(), casts, strict=True)
        ],
    )
