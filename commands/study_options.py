"""Options that simulations and comparisons share: the archive, its network, and settings."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import BaseModel

from commands.image_options import bands_option, descriptor_options
from domain.descriptors import check_descriptor
from domain.errors import InputError
from worker.simulation_options import DEFAULT_CACHE, SimulationOptions

Function = TypeVar("Function", bound=Callable[..., Any])
Model = TypeVar("Model", bound=BaseModel)

_NETWORK = (
    click.option("--backbone", default="resnet18", show_default=True, help="Network for features."),
    click.option("--weights", metavar="FILE", help="Weights of the backbone."),
    bands_option,
)
_FEATURES = (
    click.option("--views", default="single", show_default=True, help="Of an image: single|multi."),
    click.option("--cache", default=str(DEFAULT_CACHE), show_default=True, help="For features."),
)


def network_options(function: Function) -> Function:
    """Give a command `--backbone`, `--weights` and `--bands`."""
    for option in reversed(_NETWORK):
        function = option(function)
    return function


def depth_options(words: str) -> Callable[[Function], Function]:
    """Give a command `--depth`, with these words of help, and `--image-size-px`."""

    def give(function: Function) -> Function:
        size = click.option(
            "--image-size-px", default=224, show_default=True, help="Of images in the network."
        )
        depth = click.option(
            "--depth",
            type=click.Choice(["head", "full"]),
            default="head",
            show_default=True,
            help=words,
        )
        return depth(size(function))

    return give


def archive_options(function: Function) -> Function:
    """Give a command the options of `simulated_archive`."""
    for option in reversed((*_NETWORK, descriptor_options, *_FEATURES)):
        function = option(function)
    return function


def simulated_archive(
    images: str, out: str, device: str, given: Mapping[str, Any]
) -> SimulationOptions:
    """An archive as simulations see it, from what was typed.

    Args:
        given: option to value; what has no name here goes on as it is.

    Raises:
        InputError: the backbone cannot make such features.
    """
    values = {**given, "cache": Path(given["cache"]).expanduser()}
    if given["weights"] is not None:
        values["weights"] = Path(given["weights"])
    options = SimulationOptions(images=Path(images), out=Path(out), device=device, **values)
    check_descriptor(options.descriptor, backbone=options.backbone, size_px=options.image_size_px)
    return options


def tuned(base: Model, typed: tuple[str, ...]) -> Model:
    """Settings with what was typed as `--tune NAME=VALUE`.

    Raises:
        InputError: a name is unknown or there twice, or a value is not allowed.
    """
    values = dict(text.split("=", 1) for text in typed if "=" in text)
    try:
        if len(values) < len(typed):
            raise ValueError("write NAME=VALUE, each name once")
        return type(base).model_validate({**base.model_dump(), **values})
    except ValueError as error:
        known = ", ".join(type(base).model_fields)
        raise InputError(f"--tune {' '.join(typed)}: {error}", f"Names: {known}.") from error
