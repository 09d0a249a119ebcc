"""What commands print: results on standard output, everything else on standard error."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from domain.errors import AnnealError, shortened
from domain.images import QuarantinedFile
from domain.jobs import Progress as ReportProgress


def show_error(error: AnnealError) -> None:
    """Cause on the first line, the next step on the second."""
    click.echo(f"Error: {error.message}", err=True)
    if error.hint:
        click.echo(error.hint, err=True)


def warn(text: str) -> None:
    """A line that does not change the exit status."""
    click.echo(f"Warning: {text}", err=True)


def note(text: str) -> None:
    """A line for the person at the terminal; results stay alone on standard output."""
    click.echo(text, err=True)


def warn_put_aside(files: Sequence[QuarantinedFile]) -> None:
    """How many files could not be used, and why; silent where there are none."""
    if files:
        count = "1 file was" if len(files) == 1 else f"{len(files)} files were"
        reasons = [f"{file.path!r} ({file.reason})" for file in files]
        warn(f"{count} put aside: {shortened(reasons)}")


def as_dicts(files: Sequence[QuarantinedFile]) -> list[dict[str, str]]:
    """The same for programs."""
    return [{"path": file.path, "reason": file.reason} for file in files]


def show(result: Mapping[str, Any], *, as_json: bool, text: Callable[[], str]) -> None:
    """One result: as a JSON object, or as text for people."""
    click.echo(json.dumps(result, ensure_ascii=False, default=str) if as_json else text())


def table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> str:
    """Columns as wide as their widest cell."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
    return "\n".join(lines)


@contextmanager
def progress_bar(title: str) -> Iterator[ReportProgress]:
    """A progress bar on standard error; silent where that is no terminal."""
    console = Console(stderr=True)
    quiet = not console.is_terminal
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[message]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task(title, total=1.0, message="")

        def report(done: float, message: str) -> None:
            bar.update(task, completed=done, message=message)

        yield report
