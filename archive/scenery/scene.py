"""The canvas of one synthetic tile: grounds with texture, and things that cast shadows."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from archive.scenery.palette import Colour, Palette, shade
from archive.scenery.texture import NoiseBank, Texture

Point = tuple[float, float]

DESIGN_SIDE = 512  # sizes in painters are for a canvas of this side at scale 1


@dataclass(frozen=True)
class View:
    """What all painters of one tile share: colours, the sun, and how large things are."""

    palette: Palette
    sun: Point  # direction of shadows, length 1
    scale: float


@dataclass(frozen=True)
class Frame:
    """The square around the canvas's middle that the camera sees.

    Attributes:
        heading: its turn, in radians.
        half: half its side, in pixels of the canvas.
    """

    heading: float
    half: float


class Scene:
    """A square canvas with its random stream; painters draw on it one after another."""

    def __init__(
        self,
        rng: np.random.Generator,
        view: View,
        noise: NoiseBank,
        side_px: int,
        *,
        frame: Frame,
    ) -> None:
        self.rng = rng
        self.view = view
        self.palette = view.palette
        self.side = side_px
        self.unit = view.scale * side_px / DESIGN_SIDE
        self._noise = noise
        self._frame = frame
        self._axes = math.cos(frame.heading), math.sin(frame.heading)
        self.image = Image.new("RGB", (side_px, side_px))
        self.pen = ImageDraw.Draw(self.image)

    def texture(self) -> Texture:
        """[side, side] noise, mean 0, standard deviation 1."""
        return self._noise.cut(self.rng, self.side)

    def paint(self, image: Image.Image) -> None:
        """Replace the whole canvas by an RGB image of its size."""
        self.image = image
        self.pen = ImageDraw.Draw(image)

    def ground(self, colour: Colour, contrast: float = 0.08, patches: Colour | None = None) -> None:
        """Cover everything with one textured material, with patches of another if given."""
        levels = plane(self.texture() * np.float32(_LEVELS) + np.float32(128))
        covered = _material(levels, colour, contrast)
        if patches is not None:
            edge = np.float32(self.rng.uniform(0.2, 1.5) - 0.5)
            share = plane((self.texture() - edge) * np.float32(255))
            covered = Image.composite(_material(levels, patches, contrast), covered, share)
        self.paint(covered)

    def seen(self, size_px: int) -> Image.Image:
        """What the camera sees, as a square of size_px."""
        cos, sin = self._axes
        centre, half = self.side / 2, self._frame.half
        step = 2 * half / size_px
        left, top = centre - half * (cos + sin), centre - half * (cos - sin)
        return self.image.transform(
            (size_px, size_px),
            Image.Transform.AFFINE,
            (cos * step, sin * step, left, -sin * step, cos * step, top),
            Image.Resampling.BILINEAR,
        )

    def sees(self, centre: Point, reach: float) -> bool:
        """Whether a thing within `reach` of a point may be seen; others need not be drawn."""
        x, y = centre[0] - self.side / 2, centre[1] - self.side / 2
        cos, sin = self._axes
        edge = self._frame.half + reach
        return abs(x * cos - y * sin) < edge and abs(x * sin + y * cos) < edge

    def pick(self, colours: tuple[Colour, ...]) -> Colour:
        return colours[int(self.rng.integers(len(colours)))]

    def near(self, colour: Colour, spread: float = 0.12) -> Colour:
        """The colour, lighter or darker by a random factor."""
        return shade(colour, float(self.rng.uniform(1 - spread, 1 + spread)))

    def jittered(self, x: float, y: float, spread: float) -> Point:
        dx, dy = self.rng.normal(0, spread, 2)
        return x + dx, y + dy

    def box(self, centre: Point, size: Point, angle: float, colour: Colour) -> list[Point]:
        """A filled rectangle, turned by an angle in radians; gives its corners."""
        corners = corners_of(centre, size, angle)
        self.pen.polygon(corners, fill=colour)
        return corners

    def shadow(self, corners: list[Point], height: float) -> None:
        """The shadow of a block on whatever lies there."""
        dx, dy = self.view.sun[0] * height, self.view.sun[1] * height
        self.pen.polygon(hull([*corners, *((x + dx, y + dy) for x, y in corners)]), fill=DARK)

    def crown(self, centre: Point, radius: float, colour: Colour | None = None) -> None:
        """A tree seen from above: shadow, crown, lit side."""
        colour = self.near(colour or self.palette.tree, 0.2)
        if not self.sees(centre, 2 * radius):
            return
        (x, y), (sx, sy) = centre, self.view.sun
        self._disc((x + sx * radius * 0.7, y + sy * radius * 0.7), radius, shade(colour, 0.45))
        self._disc(centre, radius, colour)
        lit = (x - sx * radius * 0.3, y - sy * radius * 0.3)
        self._disc(lit, radius * 0.55, shade(colour, 1.22))

    def car(self, centre: Point, angle: float, length: float = 15.0) -> None:
        """A car or, if longer, a truck: body, shadow, windscreen; length in design units."""
        colour = self.pick(self.palette.cars)
        long, wide = length * self.unit, 6.5 * self.unit
        if not self.sees(centre, long):
            return
        body = corners_of(centre, (long, wide), angle)
        self.shadow(body, 2.5 * self.unit)
        self.pen.polygon(body, fill=colour)
        front = along(centre, angle, long * 0.18)
        self.box(front, (long * 0.16, wide * 0.8), angle, shade(colour, 0.45))

    def house(self, centre: Point, size: Point, angle: float, roof: Colour) -> None:
        """A house with a ridge roof, one half in the light."""
        if not self.sees(centre, sum(size)):
            return
        corners = corners_of(centre, size, angle)
        self.shadow(corners, 0.3 * min(size))
        self.pen.polygon(corners, fill=roof)
        across = (-math.sin(angle), math.cos(angle))
        side = 1 if across[0] * self.view.sun[0] + across[1] * self.view.sun[1] > 0 else -1
        middle = along(centre, angle + math.pi / 2, side * size[1] / 4)
        self.box(middle, (size[0], size[1] / 2), angle, shade(roof, 0.74))

    def line(self, points: list[Point], width: float, colour: Colour) -> None:
        self.pen.line(points, fill=colour, width=max(1, round(width)))

    def band(self, points: list[Point], width: float, colour: Colour) -> None:
        """A broad winding line, round at its bends."""
        self.line(points, width, colour)
        for point in points:
            self._disc(point, width / 2, colour)

    def dashes(self, start: Point, angle: float, length: float, dash: float, gap: float) -> None:
        """A broken white line, such as between two lanes."""
        white = shade(self.palette.concrete, 1.3)
        width = max(1.0, 1.6 * self.unit)
        position = 0.0
        while position < length:
            ends = [along(start, angle, position), along(start, angle, position + dash)]
            self.line(ends, width, white)
            position += dash + gap

    def _disc(self, centre: Point, radius: float, colour: Colour) -> None:
        x, y = centre
        self.pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


_LEVELS = 32  # grey levels a standard deviation of texture


def plane(values: NDArray[np.floating[Any]]) -> Image.Image:
    """[H, W] values as one channel, those outside 0…255 clipped."""
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _material(levels: Image.Image, colour: Colour, contrast: float) -> Image.Image:
    """A colour, lighter or darker by `contrast` for each standard deviation of texture."""
    bright = 1 + contrast * (np.arange(256) - 128) / _LEVELS
    tables = np.clip(np.outer(colour, bright), 0, 255).astype(np.uint8)
    return Image.merge("RGB", [levels.point(table.tolist()) for table in tables])


DARK: Colour = (46, 48, 54)  # a shadow keeps a little skylight


def along(start: Point, angle: float, distance: float) -> Point:
    """The point at a distance from another, in the direction of an angle in radians."""
    return start[0] + math.cos(angle) * distance, start[1] + math.sin(angle) * distance


def corners_of(centre: Point, size: Point, angle: float) -> list[Point]:
    """The four corners of a rectangle, in order."""
    half_x, half_y = size[0] / 2, size[1] / 2
    cos, sin = math.cos(angle), math.sin(angle)
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return [
        (
            centre[0] + a * half_x * cos - b * half_y * sin,
            centre[1] + a * half_x * sin + b * half_y * cos,
        )
        for a, b in signs
    ]


def hull(points: list[Point]) -> list[Point]:
    """The convex hull, in order (monotone chain)."""
    ordered = sorted(points)
    return _half_hull(ordered) + _half_hull(ordered[::-1])


def _half_hull(ordered: list[Point]) -> list[Point]:
    chain: list[Point] = []
    for point in ordered:
        while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    return chain[:-1]


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
