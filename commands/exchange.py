"""export and import: pair sets out and in."""

from pathlib import Path

import click

from commands.options import Settings, command_options
from commands.output import show
from labeling_store.exchange import What
from labeling_store.files import Format
from workflow import exchange
from workflow.project import local_owner


@click.command()
@click.option(
    "--format",
    "fmt",
    type=click.Choice(exchange.FORMATS),
    help="Of the file (default: as its name ends, else csv).",
)
@click.option(
    "--what",
    type=click.Choice(exchange.WHATS),
    default="answers",
    show_default=True,
    help="All events; one row an answered pair; or labels and implied pairs with their proof.",
)
@click.option("--out", metavar="FILE", required=True, help="Where to write.")
@command_options
def export(*, fmt: Format | None, what: What, out: str, settings: Settings) -> None:
    """Write pairs to a file."""
    file = Path(out)
    count = exchange.export_file(settings.open(), file, what=what, fmt=fmt or _format_of(file))
    show(
        {"rows": count, "out": out},
        as_json=settings.as_json,
        text=lambda: f"{count} rows written to {out}.",
    )


def _format_of(file: Path) -> Format:
    ending = file.suffix.lower().removeprefix(".")
    return next((each for each in exchange.FORMATS if each == ending), "csv")


@click.command("import")
@click.argument("file", metavar="FILE")
@command_options
def import_(*, file: str, settings: Settings) -> None:
    """Read pairs from a CSV, JSONL or Parquet file with image_a, image_b, similar."""
    project = settings.open()
    report = exchange.import_file(project, local_owner(project), Path(file))
    show(
        {
            "stored": report.stored,
            "repeated": report.repeated,
            "conflicts": report.conflicts,
        },
        as_json=settings.as_json,
        text=lambda: (
            f"{report.stored} answers imported, {report.repeated} were known already, "
            f"{report.conflicts} contradict earlier answers."
        ),
    )
