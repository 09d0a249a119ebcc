"""Options that say how features are made of images, for projects and for simulations."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from archive.decode import COLOUR_BANDS
from commands.lists import numbers
from domain.descriptors import LARGEST_SCALE, PLAIN, Descriptor, Pooling
from domain.errors import InputError

Function = TypeVar("Function", bound=Callable[..., Any])

bands_option = click.option(
    "--bands",
    type=click.IntRange(1, 64),
    default=COLOUR_BANDS,
    show_default=True,
    help="Of an image: 3 are red, green and blue; others are read from TIFF files.",
)
_DESCRIPTOR = (
    click.option(
        "--pooling",
        type=click.Choice([each.value for each in Pooling]),
        default=PLAIN.pooling.value,
        show_default=True,
        help="Of the network's last map: mean (SPoC), max (MAC) or gem.",
    ),
    click.option(
        "--gem-power",
        type=click.FloatRange(1, 6),
        default=PLAIN.power,
        show_default=True,
        help="gem: with 1 it is the mean; full depth learns it from here on.",
    ),
    click.option(
        "--scales",
        default="1",
        show_default=True,
        help="Of an image's sides, with commas; features at these are averaged.",
    ),
)


def descriptor_options(function: Function) -> Function:
    """Give a command `--pooling`, `--gem-power` and `--scales`; the function gets `descriptor`."""

    @functools.wraps(function)
    def wrapper(
        *args: object, pooling: str, gem_power: float, scales: str, **kwargs: object
    ) -> object:
        descriptor = _descriptor(Pooling(pooling), gem_power, numbers("--scales", scales, float))
        return function(*args, descriptor=descriptor, **kwargs)

    for option in reversed(_DESCRIPTOR):
        wrapper = option(wrapper)
    return wrapper  # type: ignore[return-value]


def _descriptor(pooling: Pooling, power: float, scales: tuple[float, ...]) -> Descriptor:
    try:
        return Descriptor(pooling=pooling, power=power, scales=scales)
    except ValueError as error:
        shown = ",".join(f"{scale:g}" for scale in scales)
        raise InputError(
            f"--scales {shown}; must be one or more numbers above 0, up to {LARGEST_SCALE:g}, "
            "each once.",
            "For instance 1,0.7071.",
        ) from error
