"""From painted scenes to one photographed tile: heading, neighbours, light, haze, grain."""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image

from archive.scenery.palette import Difficulty, draw_palette
from archive.scenery.scene import Scene, View
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
    scene = _painted(painters[0], rng, view, noise, side)
    tile = _turned(scene, rng, size_px)
    if rng.random() < difficulty.mixed_share:
        other = _turned(_painted(painters[1], rng, view, noise, side), rng, size_px)
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
) -> Image.Image:
    scene = Scene(rng, view, noise, side)
    painter(scene)
    return scene.image


def _turned(canvas: Image.Image, rng: np.random.Generator, size_px: int) -> Image.Image:
    """The middle of the canvas, seen in a random heading."""
    angle = rng.uniform(0, 2 * math.pi)
    cos, sin = math.cos(angle), math.sin(angle)
    centre, half = canvas.width / 2, size_px / 2
    offset_x, offset_y = centre - half * (cos + sin), centre - half * (cos - sin)
    return canvas.transform(
        (size_px, size_px),
        Image.Transform.AFFINE,
        (cos, sin, offset_x, -sin, cos, offset_y),
        Image.Resampling.BILINEAR,
    )


def _strip(rng: np.random.Generator, texture: np.ndarray, share: float) -> Image.Image:
    """A mask that covers a share of the tile on one side, with an uneven border."""
    size_px = len(texture)
    angle = rng.uniform(0, 2 * math.pi)
    rows, columns = np.mgrid[0:size_px, 0:size_px] / size_px
    height = rows * math.sin(angle) + columns * math.cos(angle) + 0.02 * texture
    return Image.fromarray(((height < np.quantile(height, share)) * 255).astype(np.uint8))


def _developed(tile: Image.Image, rng: np.random.Generator, difficulty: Difficulty) -> Image.Image:
    """Light, colour cast, haze and the sensor's grain."""
    pixels = np.asarray(tile, np.float32)
    light = np.exp(rng.uniform(-1, 1) * difficulty.light)
    cast = np.exp(rng.uniform(-1, 1, 3) * difficulty.cast)
    haze = rng.uniform(0, difficulty.haze)
    pixels = pixels * (light * cast * (1 - haze)).astype(np.float32) + 150 * haze
    grain = rng.standard_normal(pixels.shape[:2], np.float32)[:, :, None]
    pixels = pixels + grain * np.float32(rng.uniform(1, difficulty.grain))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
