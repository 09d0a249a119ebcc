"""Painters of places where people live and work: one function a kind."""

import math

import numpy as np

from archive.scenery.palette import Colour, shade
from archive.scenery.scene import Point, Scene, along, corners_of


def dense_houses(scene: Scene) -> None:
    """Rows of houses wall to wall along parallel streets."""
    palette = scene.palette
    scene.ground(scene.near(palette.grass), 0.1, patches=palette.concrete)
    depth, width = scene.unit * scene.rng.uniform(26, 36), scene.unit * scene.rng.uniform(30, 44)
    street = scene.unit * scene.rng.uniform(18, 28)
    yard = scene.unit * scene.rng.uniform(8, 24)
    y = -scene.rng.uniform(0, depth)
    while y < scene.side + depth:
        middle = y + street / 2
        scene.line([(0, middle), (scene.side, middle)], street, scene.near(palette.asphalt))
        _parked(scene, middle - street * 0.32, 0.12)
        first = y + street + depth * 0.6
        for row in (first, first + depth + yard):
            _row_of_houses(scene, row, (width, depth))
        y = first + depth * 1.7 + yard
    _street_across(scene, street)


def sparse_houses(scene: Scene) -> None:
    """A few houses far apart among lawns and trees, each with its drive."""
    palette = scene.palette
    scene.ground(scene.near(palette.grass), 0.12, patches=scene.near(palette.soil))
    road_y = scene.side * scene.rng.uniform(0.3, 0.7)
    scene.line([(0, road_y), (scene.side, road_y)], scene.unit * 18, scene.near(palette.asphalt))
    _scatter_trees(scene, int(scene.rng.uniform(30, 160)))
    step = scene.unit * scene.rng.uniform(110, 190)
    for side in (-1, 1):
        for x in np.arange(step / 3, scene.side, step):
            centre = scene.jittered(x, road_y + side * step * 0.55, step * 0.1)
            drive = [centre, (centre[0], road_y)]
            scene.line(drive, scene.unit * 7, scene.near(palette.concrete))
            size = tuple(scene.unit * scene.rng.uniform((36, 24), (60, 38)))
            scene.house(centre, size, scene.rng.normal(0, 0.25), scene.pick(palette.roofs))
    _scatter_trees(scene, int(scene.rng.uniform(5, 30)))


def industry(scene: Scene) -> None:
    """Large flat roofs with skylights and vents, yards and trucks."""
    palette = scene.palette
    scene.ground(scene.near(palette.concrete), 0.07, patches=palette.asphalt)
    step = scene.unit * scene.rng.uniform(150, 230)
    for y in np.arange(step / 2, scene.side + step / 2, step):
        for x in np.arange(step / 2, scene.side + step / 2, step):
            if scene.rng.random() < 0.8:
                size = tuple(step * scene.rng.uniform((0.55, 0.4), (0.92, 0.8)))
                _hall(scene, scene.jittered(x, y, step * 0.05), size)
            else:
                _truck_yard(scene, (x, y), step)


def parking(scene: Scene) -> None:
    """Rows of stalls, most of them taken."""
    palette = scene.palette
    scene.ground(scene.near(palette.asphalt), 0.06)
    stall, depth = scene.unit * 9.5, scene.unit * 19
    aisle = scene.unit * scene.rng.uniform(18, 26)
    taken = scene.rng.uniform(0.3, 0.95)
    y = scene.rng.uniform(0, depth)
    while y < scene.side + depth:
        for row in (y, y + depth):
            _row_of_cars(scene, row, (stall, depth), taken)
        if scene.rng.random() < 0.3:
            _trees_in_row(scene, y + depth / 2, stall * 6)
        y += 2 * depth + aisle


def crossing(scene: Scene) -> None:
    """Two wide roads that meet, lane markings, some traffic, and what lies at the corners."""
    palette = scene.palette
    corners = (palette.grass, palette.soil, palette.concrete)
    scene.ground(scene.near(scene.pick(corners)), 0.1, patches=scene.near(palette.grass))
    _scatter_trees(scene, int(scene.rng.uniform(0, 90)))
    _scatter_houses(scene, int(scene.rng.integers(0, 14)))
    centre = scene.jittered(scene.side / 2, scene.side / 2, scene.side * 0.06)
    skew = scene.rng.uniform(math.pi / 3, 2 * math.pi / 3)
    for angle in (0.0, skew):
        _road(scene, centre, angle, scene.unit * scene.rng.uniform(40, 80))
    hub = scene.unit * 34
    scene.box(centre, (hub, hub), skew / 2, scene.near(palette.asphalt, 0.04))


def runway(scene: Scene) -> None:
    """A broad straight strip with its centre line and threshold bars, in short grass."""
    palette = scene.palette
    scene.ground(scene.near(palette.grass), 0.08, patches=scene.near(palette.soil))
    width = scene.unit * scene.rng.uniform(80, 140)
    y = scene.side * scene.rng.uniform(0.35, 0.65)
    surface = scene.near(scene.pick((palette.asphalt, palette.concrete)))
    taxiway = y + scene.rng.choice((-1, 1)) * width * scene.rng.uniform(1.1, 1.6)
    scene.line([(0, taxiway), (scene.side, taxiway)], width * 0.35, scene.near(surface))
    link = scene.side * scene.rng.uniform(0.2, 0.8)
    scene.line([(link, y), (link + width * 0.4, taxiway)], width * 0.3, scene.near(surface))
    scene.line([(0, y), (scene.side, y)], width, surface)
    scene.dashes((0, y), 0.0, scene.side, scene.unit * 34, scene.unit * 24)
    for edge in (-0.46, 0.46):
        scene.dashes((0, y + edge * width), 0.0, scene.side, scene.side, 1.0)
    if scene.rng.random() < 0.6:
        _threshold(scene, scene.side * scene.rng.uniform(0.25, 0.7), y, width)


def harbour(scene: Scene) -> None:
    """Jetties in the water with boats on both sides, and a quay."""
    palette = scene.palette
    scene.ground(scene.near(palette.water), 0.07)
    quay = scene.side * scene.rng.uniform(0.12, 0.3)
    scene.box((scene.side / 2, quay / 2), (scene.side, quay), 0.0, scene.near(palette.concrete))
    for x in np.arange(0, scene.side, scene.unit * 24):
        if scene.rng.random() < 0.5:
            scene.car((x, quay * 0.6), scene.rng.choice((0.0, math.pi / 2)))
    boat = scene.unit * scene.rng.uniform(26, 48)
    for x in np.arange(boat, scene.side, boat * scene.rng.uniform(2.6, 3.4)):
        end = scene.side * scene.rng.uniform(0.8, 1.0)
        scene.line([(x, quay), (x, end)], scene.unit * 6, scene.near(palette.concrete))
        for y in np.arange(quay + boat * 0.5, end, boat * 0.42):
            for side in (-1, 1):
                if scene.rng.random() < 0.75:
                    _boat(scene, (x + side * boat * 0.62, y), boat, math.pi * (side > 0))


def courts(scene: Scene) -> None:
    """Tennis courts side by side, fenced, among lawns or car parks."""
    palette = scene.palette
    scene.ground(scene.near(palette.grass), 0.1, patches=palette.concrete)
    _scatter_trees(scene, int(scene.rng.uniform(10, 90)))
    long, wide = scene.unit * 120, scene.unit * 60
    surface = scene.near(
        scene.pick(((70, 110, 90), (160, 98, 74), (88, 108, 138), palette.asphalt))
    )
    columns, rows = scene.rng.integers(1, 4), scene.rng.integers(1, 3)
    middle = scene.jittered(scene.side / 2, scene.side / 2, scene.side * 0.07)
    for column in range(columns):
        for row in range(rows):
            x = middle[0] + (column - (columns - 1) / 2) * wide
            y = middle[1] + (row - (rows - 1) / 2) * long * 1.1
            _court(scene, (x, y), (wide, long), surface)


def _row_of_houses(scene: Scene, y: float, lot: Point) -> None:
    for x in np.arange(-scene.rng.uniform(0, lot[0]), scene.side + lot[0], lot[0]):
        if scene.rng.random() < 0.92:
            size = tuple(np.asarray(lot) * scene.rng.uniform((0.72, 0.8), (0.96, 1.0)))
            scene.house((x, y), size, 0.0, scene.near(scene.pick(scene.palette.roofs)))
        if scene.rng.random() < 0.25:
            scene.crown(scene.jittered(x, y + lot[1] * 0.8, 3), scene.unit * 7)


def _street_across(scene: Scene, street: float) -> None:
    if scene.rng.random() < 0.7:
        x = scene.side * scene.rng.uniform(0.2, 0.8)
        scene.line([(x, 0), (x, scene.side)], street, scene.near(scene.palette.asphalt, 0.05))


def _parked(scene: Scene, y: float, share: float) -> None:
    for x in np.arange(0, scene.side, scene.unit * 20):
        if scene.rng.random() < share:
            scene.car((x, y), 0.0)


def _scatter_trees(scene: Scene, count: int) -> None:
    for x, y in scene.rng.uniform(0, scene.side, (count, 2)):
        scene.crown((x, y), scene.unit * scene.rng.uniform(5, 13))


def _scatter_houses(scene: Scene, count: int) -> None:
    for x, y in scene.rng.uniform(0, scene.side, (count, 2)):
        size = tuple(scene.unit * scene.rng.uniform((28, 20), (60, 44)))
        scene.house((x, y), size, scene.rng.normal(0, 0.2), scene.pick(scene.palette.roofs))


def _hall(scene: Scene, centre: Point, size: Point) -> None:
    roof = scene.near(scene.pick(scene.palette.roofs))
    scene.shadow(corners_of(centre, size, 0.0), scene.unit * 14)
    scene.box(centre, size, 0.0, roof)
    light = shade(roof, scene.rng.uniform(0.8, 1.2))
    strips = int(scene.rng.integers(0, 9))
    for strip in range(1, strips):
        x = centre[0] + size[0] * (strip / strips - 0.5)
        scene.box((x, centre[1]), (scene.unit * 3, size[1] * 0.84), 0.0, light)
    for _ in range(int(scene.rng.integers(0, 7))):
        spot = np.asarray(centre) + np.asarray(size) * scene.rng.uniform(-0.4, 0.4, 2)
        scene.house(tuple(spot), (scene.unit * 7, scene.unit * 6), 0.0, shade(roof, 1.15))


def _truck_yard(scene: Scene, centre: Point, step: float) -> None:
    for x in np.arange(-0.35, 0.4, 0.12):
        for y in (-0.2, 0.2):
            if scene.rng.random() < 0.6:
                spot = (centre[0] + x * step, centre[1] + y * step)
                scene.car(spot, math.pi / 2, length=30.0)


def _row_of_cars(scene: Scene, y: float, stall: Point, taken: float) -> None:
    white = shade(scene.palette.concrete, 1.2)
    for x in np.arange(0, scene.side + stall[0], stall[0]):
        ends = [(x - stall[0] / 2, y - stall[1] / 2), (x - stall[0] / 2, y + stall[1] / 2)]
        scene.line(ends, 1, white)
        if scene.rng.random() < taken:
            scene.car(scene.jittered(x, y, scene.unit * 0.5), math.pi / 2)


def _trees_in_row(scene: Scene, y: float, step: float) -> None:
    for x in np.arange(step / 2, scene.side, step):
        scene.crown((x, y), scene.unit * scene.rng.uniform(5, 9))


def _road(scene: Scene, centre: Point, angle: float, width: float) -> None:
    reach = scene.side * 1.2
    start = along(centre, angle, -reach)
    asphalt = scene.near(scene.palette.asphalt)
    scene.line([start, along(centre, angle, reach)], width, asphalt)
    scene.dashes(start, angle, 2 * reach, scene.unit * 12, scene.unit * 12)
    for lane in (-0.3, -0.12, 0.12, 0.3):
        for position in scene.rng.uniform(-reach, reach, int(scene.rng.integers(1, 9))):
            spot = along(along(centre, angle, position), angle + math.pi / 2, lane * width)
            scene.car(spot, angle + math.pi * (lane > 0))


def _threshold(scene: Scene, x: float, y: float, width: float) -> None:
    white = shade(scene.palette.concrete, 1.3)
    for bar in np.linspace(-0.38, 0.38, 8):
        scene.box((x, y + bar * width), (scene.unit * 44, width * 0.05), 0.0, white)


def _boat(scene: Scene, centre: Point, length: float, angle: float) -> None:
    hull_colour = scene.near((226, 226, 222), 0.08)
    wide = length * 0.3
    bow = along(centre, angle, length * 0.5)
    body = corners_of(along(centre, angle, -length * 0.1), (length * 0.7, wide), angle)
    scene.pen.polygon([body[0], body[1], bow, body[2], body[3]], fill=hull_colour)
    deck: Colour = scene.pick(scene.palette.cars)
    scene.box(along(centre, angle, -length * 0.12), (length * 0.3, wide * 0.6), angle, deck)


def _court(scene: Scene, centre: Point, size: Point, surface: Colour) -> None:
    wide, long = size
    white = shade(scene.palette.concrete, 1.3)
    scene.box(centre, (wide * 0.98, long), 0.0, shade(surface, 0.85))
    scene.box(centre, (wide * 0.6, long * 0.66), 0.0, surface)
    for share in (0.6, 0.46):
        corners = corners_of(centre, (wide * share, long * 0.66), 0.0)
        scene.line([*corners, corners[0]], 1.4 * scene.unit, white)
    for offset in (-0.18, 0.0, 0.18):
        ends = [(centre[0] + sign * wide * 0.23, centre[1] + offset * long) for sign in (-1, 1)]
        scene.line(ends, 1.4 * scene.unit, white)
