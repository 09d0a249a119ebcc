"""Colours that carry meaning, as people with each kind of colour sight see them."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from domain.arrays import FloatArray
from ui import charts, map_chart

ROOT = Path(__file__).parents[2]
JUST_SEEN = 2.3  # a difference in CIE L*a*b* that people just notice (Mahy et al. 1994)
# Machado, Oliveira and Fernandes (2009), table 1, severity 1.0: on linear RGB.
SIGHTS: Mapping[str, Sequence[Sequence[float]]] = {
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red cones": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "no green cones": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "no blue cones": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
TO_XYZ = np.array(  # of linear sRGB, D65
    [
        (0.4124564, 0.3575761, 0.1804375),
        (0.2126729, 0.7151522, 0.0721750),
        (0.0193339, 0.1191920, 0.9503041),
    ]
)
OF_MAP = (*charts.COLOURS, map_chart.OTHER_COLOUR, map_chart.ALONE_COLOUR)
OF_STRATEGIES = (*charts.COLOURS, charts.GREY)


def seen(colour: str, sight: str) -> FloatArray:
    """[3] linear RGB."""
    parts = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return np.clip(np.array(SIGHTS[sight]) @ linear, 0, 1)


def lab(linear: FloatArray) -> FloatArray:
    """[3] CIE L*a*b*."""
    share = TO_XYZ @ linear / TO_XYZ.sum(1)
    f = np.where(share > (6 / 29) ** 3, np.cbrt(share), share / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def apart(first: str, second: str, sight: str) -> float:
    """How different two colours look: 0 for the same, 100 for black and white."""
    return float(np.linalg.norm(lab(seen(first, sight)) - lab(seen(second, sight))))


def contrast(first: str, second: str, sight: str) -> float:
    """WCAG 2.1: 1 to 21."""
    low, high = sorted(float(TO_XYZ[1] @ seen(each, sight)) for each in (first, second))
    return (high + 0.05) / (low + 0.05)


def in_style(file: str, pattern: str) -> list[str]:
    """The colours that a style sheet gives to "similar" and to "different"."""
    return re.findall(pattern, (ROOT / "ui" / file).read_text(encoding="utf-8"))


ANSWERS: Mapping[str, Sequence[str]] = {
    "annotate": in_style("annotate/component.css", r"--(?:similar|different): (#\w{6});"),
    "results": in_style("gallery/gallery.css", r"similar\[aria-pressed.*background: (#\w{6});"),
    "charts": (charts.BLUE, charts.VERMILION),
}


def test_what_is_measured_is_right() -> None:
    """White and red as in Lindbloom's tables; greys are the same for everybody; and who has no red
    cones confuses red with a dark green."""
    assert lab(seen("#ffffff", "usual")) == pytest.approx([100, 0, 0], abs=0.01)
    assert lab(seen("#ff0000", "usual")) == pytest.approx([53.24, 80.09, 67.20], abs=0.05)
    assert contrast("#000000", "#ffffff", "usual") == pytest.approx(21)
    for sight in SIGHTS:
        assert lab(seen("#777777", sight)) == pytest.approx(lab(seen("#777777", "usual")), abs=0.1)
    assert apart("#ff0000", "#276900", "usual") > 100
    assert apart("#ff0000", "#276900", "no red cones") < JUST_SEEN


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("where", ANSWERS)
def test_similar_and_different_are_far_apart(where: str, sight: str) -> None:
    similar, different = ANSWERS[where]
    assert apart(similar, different, sight) > 30 * JUST_SEEN


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("palette", [OF_MAP, OF_STRATEGIES], ids=["map", "strategies"])
def test_groups_and_strategies_can_be_told_apart_by_colour_too(
    palette: Sequence[str], sight: str
) -> None:
    nearest = min(apart(first, second, sight) for first, second in combinations(palette, 2))
    assert nearest > 5 * JUST_SEEN


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_stand_out_from_the_page(theme: str, sight: str) -> None:
    """WCAG 2.1, 1.4.11, asks for 3; without cones of a kind its colours are darker."""
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    page = settings["theme"][theme]["backgroundColor"]
    least = 3.0 if sight == "usual" else 2.75
    faintest = min({*OF_MAP, *OF_STRATEGIES}, key=lambda each: contrast(each, page, sight))
    assert contrast(faintest, page, sight) >= least, faintest
