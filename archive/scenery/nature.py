"""Painters of land that grows, flows or lies bare: one function a kind."""

import itertools

import numpy as np
from PIL import Image

from archive.scenery.palette import Colour, shade
from archive.scenery.scene import Point, Scene, plane
from domain.arrays import FloatArray


def forest(scene: Scene) -> None:
    """Crowns of all sizes, close together, with clearings now and then."""
    scene.ground(shade(scene.palette.tree, 0.7), 0.2)
    clearing = scene.texture()
    density = scene.rng.uniform(0.55, 1.0)
    radius = scene.unit * scene.rng.uniform(9, 15)
    for x, y in scene.rng.uniform(0, scene.side, (int(density * (scene.side / radius) ** 2), 2)):
        if clearing[int(y), int(x)] < 1.5:
            scene.crown((x, y), radius * scene.rng.uniform(0.6, 1.25))


def orchard(scene: Scene) -> None:
    """Crowns in straight rows, some missing."""
    palette = scene.palette
    scene.ground(scene.near(palette.soil if scene.rng.random() < 0.5 else palette.grass), 0.1)
    radius = scene.unit * scene.rng.uniform(5, 11)
    in_row, rows = radius * scene.rng.uniform(1.9, 2.6), radius * scene.rng.uniform(2.5, 4.0)
    missing = scene.rng.uniform(0, 0.2)
    for y in np.arange(0, scene.side, rows):
        for x in np.arange(0, scene.side, in_row):
            if scene.rng.random() > missing:
                centre = scene.jittered(x, y, radius * 0.12)
                scene.crown(centre, radius * scene.rng.uniform(0.8, 1.1))


def farmland(scene: Scene) -> None:
    """Parcels of different crops, with the furrows of each, and tracks between."""
    palette = scene.palette
    scene.ground(palette.grass)
    crops = (palette.crop, palette.soil, palette.grass, shade(palette.crop, 1.2), palette.sand)
    edges_x = _cuts(scene, scene.unit * scene.rng.uniform(90, 260))
    for left, right in itertools.pairwise(edges_x):
        edges_y = _cuts(scene, scene.unit * scene.rng.uniform(110, 320))
        for top, bottom in itertools.pairwise(edges_y):
            colour = scene.near(scene.pick(crops), 0.1)
            _parcel(scene, (left, top, right, bottom), colour)
    for _ in range(scene.rng.integers(0, 12)):
        scene.crown(tuple(scene.rng.uniform(0, scene.side, 2)), scene.unit * 8)


def river(scene: Scene) -> None:
    """A winding band of water with banks through grass and trees."""
    palette = scene.palette
    scene.ground(scene.near(palette.grass), 0.12, patches=scene.near(palette.soil))
    wooded = scene.texture()
    for x, y in scene.rng.uniform(0, scene.side, (int(scene.rng.uniform(60, 500)), 2)):
        if wooded[int(y), int(x)] > 0.3:
            scene.crown((x, y), scene.unit * scene.rng.uniform(6, 12))
    width = scene.unit * scene.rng.uniform(35, 110)
    course = _meander(scene)
    scene.band(course, width * scene.rng.uniform(1.15, 1.5), scene.near(palette.sand))
    scene.band(course, width, scene.near(palette.water))


def beach(scene: Scene) -> None:
    """Water, foam, sand, and what grows behind."""
    palette, texture = scene.palette, scene.texture()
    rows, columns = np.mgrid[0 : scene.side, 0 : scene.side] / scene.side
    bays = scene.rng.uniform(0.02, 0.08) * np.sin(
        columns * scene.rng.uniform(2, 9) + scene.rng.uniform(0, 6)
    )
    depth = (rows + bays + 0.02 * texture).astype(np.float32)
    shore = scene.rng.uniform(0.35, 0.6)
    dune = shore + scene.rng.uniform(0.12, 0.4)
    image = _banded(
        depth,
        (shore - 0.02, shore, dune),
        (palette.water, (226, 230, 228), palette.sand, palette.grass),
    )
    bright = np.float32(0.06) * scene.texture() + 1
    scene.paint(Image.merge("RGB", [plane(np.asarray(band) * bright) for band in image.split()]))
    for x, y in scene.rng.uniform(0, scene.side, (int(scene.rng.integers(0, 120)), 2)):
        if depth[int(y), int(x)] > dune:
            scene.crown((x, y), scene.unit * scene.rng.uniform(4, 9))


def _banded(
    depth: FloatArray, edges: tuple[float, ...], colours: tuple[Colour, ...]
) -> Image.Image:
    """Colours by [S, S] depth, bands meeting softly."""
    image = Image.new("RGB", depth.shape, colours[0])
    for edge, colour in zip(edges, colours[1:], strict=True):
        share = plane(255 * (np.float32(60) * (depth - np.float32(edge)) + np.float32(0.5)))
        image.paste(colour, mask=share)
    return image


def _cuts(scene: Scene, step: float) -> list[float]:
    edges = [0.0]
    while edges[-1] < scene.side:
        edges.append(edges[-1] + step * scene.rng.uniform(0.7, 1.3))
    return edges


def _parcel(scene: Scene, box: tuple[float, float, float, float], colour: Colour) -> None:
    left, top, right, bottom = box
    gap = scene.unit * scene.rng.uniform(1, 4)
    scene.pen.rectangle((left + gap, top + gap, right - gap, bottom - gap), fill=colour)
    furrow = scene.unit * scene.rng.uniform(4, 12)
    dark = shade(colour, scene.rng.uniform(0.82, 0.97))
    if scene.rng.random() < 0.5:
        for x in np.arange(left + gap + furrow, right - gap, furrow):
            scene.line([(x, top + gap), (x, bottom - gap)], furrow / 3, dark)
    else:
        for y in np.arange(top + gap + furrow, bottom - gap, furrow):
            scene.line([(left + gap, y), (right - gap, y)], furrow / 3, dark)


def _meander(scene: Scene) -> list[Point]:
    """A smooth course across the whole canvas."""
    swing, waves, phase = scene.rng.uniform((20, 3, 0), (90, 9, 6))
    middle = scene.side * scene.rng.uniform(0.35, 0.65)
    steps = np.linspace(-0.1, 1.1, 60)
    sideways = middle + swing * scene.unit * (
        np.sin(steps * waves + phase) + 0.4 * np.sin(steps * waves * 2.3)
    )
    return list(zip(steps * scene.side, sideways, strict=True))
