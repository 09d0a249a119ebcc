"""Colours of one synthetic aerial tile, and how much tiles of one kind may differ.

Every kind draws from the same palettes, so that colour alone does not tell the kinds apart.
"""

from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Difficulty:
    """How much tiles of one kind differ, and how much they share with other kinds.

    Attributes:
        scale: smallest and largest size of things, relative to the usual.
        colour_jitter: standard deviation of a material's brightness, of 255; of its tint half.
        light: largest change of brightness, as a factor either way.
        cast: largest change of one channel, as a factor either way.
        haze: largest share of grey mixed in.
        grain: largest standard deviation of the sensor's noise, of 255.
        mixed_share: share of tiles that show a strip of another kind.
        mixed_area: smallest and largest share of such a tile that the strip covers.
    """

    scale: tuple[float, float] = (0.75, 1.4)
    colour_jitter: float = 9.0
    light: float = 0.3
    cast: float = 0.07
    haze: float = 0.3
    grain: float = 7.0
    mixed_share: float = 0.4
    mixed_area: tuple[float, float] = (0.1, 0.35)


@dataclass(frozen=True)
class Palette:
    """One colour a material; `roofs` and `cars` are choices."""

    grass: Colour
    tree: Colour
    soil: Colour
    crop: Colour
    water: Colour
    sand: Colour
    asphalt: Colour
    concrete: Colour
    roofs: tuple[Colour, ...]
    cars: tuple[Colour, ...]


_SEASONS = (
    Palette(  # early summer
        (104, 128, 72), (52, 84, 44), (142, 116, 86), (122, 146, 70), (58, 92, 104),
        (206, 190, 152), (112, 112, 112), (176, 172, 164),
        ((150, 92, 76), (128, 124, 120), (176, 160, 140), (96, 96, 104), (186, 182, 176)),
        ((228, 228, 228), (60, 62, 66), (150, 40, 40), (64, 84, 130), (170, 172, 174)),
    ),
    Palette(  # drought
        (156, 144, 98), (86, 94, 58), (168, 142, 104), (180, 160, 104), (74, 100, 96),
        (214, 200, 164), (128, 124, 118), (190, 184, 172),
        ((166, 110, 84), (140, 132, 122), (190, 176, 150), (112, 106, 100), (204, 198, 186)),
        ((232, 230, 224), (70, 68, 66), (160, 60, 46), (80, 96, 126), (182, 180, 176)),
    ),
    Palette(  # autumn
        (120, 118, 74), (112, 88, 46), (126, 100, 76), (146, 124, 72), (54, 74, 88),
        (190, 174, 142), (104, 102, 102), (164, 158, 150),
        ((140, 84, 70), (116, 112, 108), (160, 144, 124), (86, 84, 90), (172, 166, 158)),
        ((214, 214, 212), (54, 54, 58), (140, 44, 40), (60, 76, 116), (156, 156, 158)),
    ),
    Palette(  # winter without leaves
        (126, 122, 100), (84, 78, 68), (116, 102, 88), (134, 126, 104), (66, 82, 96),
        (184, 176, 156), (120, 120, 122), (180, 180, 178),
        ((136, 100, 90), (128, 128, 130), (170, 162, 150), (98, 100, 106), (196, 196, 194)),
        ((222, 224, 226), (58, 60, 64), (132, 50, 50), (70, 86, 120), (166, 168, 172)),
    ),
)  # fmt: skip


def draw_palette(rng: np.random.Generator, difficulty: Difficulty) -> Palette:
    """The colours of a season, each material a little off."""
    season = _SEASONS[int(rng.integers(len(_SEASONS)))]

    def jitter(colour: Colour) -> Colour:
        light, *tint = rng.normal(0, difficulty.colour_jitter, 4)
        red, green, blue = (_channel(c + light + t / 2) for c, t in zip(colour, tint, strict=True))
        return red, green, blue

    return Palette(
        grass=jitter(season.grass),
        tree=jitter(season.tree),
        soil=jitter(season.soil),
        crop=jitter(season.crop),
        water=jitter(season.water),
        sand=jitter(season.sand),
        asphalt=jitter(season.asphalt),
        concrete=jitter(season.concrete),
        roofs=tuple(jitter(roof) for roof in season.roofs),
        cars=season.cars,
    )


def shade(colour: Colour, factor: float) -> Colour:
    """A colour made lighter or darker by a factor."""
    red, green, blue = colour  # plain numbers: painters call this for every tree
    return (
        min(255, int(red * factor)),
        min(255, int(green * factor)),
        min(255, int(blue * factor)),
    )


def _channel(value: float) -> int:
    return min(255, max(0, int(value)))
