"""Options that every command takes, before or after its name."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import click

from workflow.project import Project, open_project, project_folder

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Settings:
    """What the common options say."""

    project: str | None = None
    as_json: bool = False
    device: str = "auto"

    def open(self) -> Project:
        """The project that the command is about."""
        return open_project(project_folder(self.project))


_OPTIONS = [
    click.option(
        "--project",
        "project",
        metavar="DIR",
        help="Project folder (default: $ANNEAL_PROJECT, else ./project).",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print results as JSON."),
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        help="Where PyTorch computes (default: auto).",
    ),
]


def global_options(function: Function) -> Function:
    """Give the group the common options; the function gets `settings`."""
    return _decorate(function, lambda given: Settings(**given))


def command_options(function: Function) -> Function:
    """Give a command the common options; what stands after its name wins."""

    def settings(given: dict[str, Any]) -> Settings:
        outer = click.get_current_context().find_object(Settings) or Settings()
        return replace(outer, **given)

    return _decorate(function, settings)


def _decorate(function: Function, settings: Callable[[dict[str, Any]], Settings]) -> Function:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        names = ("project", "as_json", "device")
        given = {name: kwargs.pop(name) for name in names}
        chosen = {name: value for name, value in given.items() if value not in (None, False)}
        return function(*args, settings=settings(chosen), **kwargs)

    wrapper.__name__ = function.__name__
    wrapper.__doc__ = function.__doc__
    wrapper.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    for option in reversed(_OPTIONS):
        wrapper = option(wrapper)
    return wrapper  # type: ignore[return-value]
