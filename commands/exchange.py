"""export and import: pair sets out and in."""

from pathlib import Path

import click

from commands.options import Settings, command_options
from commands.output import show
from domain.errors import InputError
from labeling_store.exchange import Rehearsal, What
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
    help="Events; labels, one row a pair; labels and implied pairs with their proof; or flags.",
)
@click.option("--out", metavar="FILE", required=True, help="Where to write.")
@command_options
def export(*, fmt: Format | None, what: What, out: str, settings: Settings) -> None:
    """Write pairs to a file, and a data card beside it that says what they are."""
    file = Path(out)
    count = exchange.export_file(settings.open(), file, what=what, fmt=fmt or _format_of(file))
    show(
        {"rows": count, "out": out, "card": str(exchange.card_of(file))},
        as_json=settings.as_json,
        text=lambda: (
            f"{count} rows written to {out}; {exchange.card_of(file).name} describes them."
        ),
    )


def _format_of(file: Path) -> Format:
    ending = file.suffix.lower().removeprefix(".")
    return next((each for each in exchange.FORMATS if each == ending), "csv")


@click.command("import")
@click.argument("file", metavar="FILE")
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
@command_options
def import_(*, file: str, dry_run: bool, settings: Settings) -> None:
    """Read pairs from CSV, JSONL or Parquet with image_a, image_b, similar; or foreign JSON.

    Foreign JSON is a training file of dedupe, or an export of Label Studio. All rows are checked
    before the first is stored.
    """
    project = settings.open()
    member = local_owner(project)
    if dry_run:
        _rehearse(exchange.rehearse_file(project, member, Path(file)), settings)
        return
    report = exchange.import_file(project, member, Path(file))
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


def _rehearse(found: Rehearsal, settings: Settings) -> None:
    """Exits with 2 where the import would be refused."""
    show(
        {
            "rows": found.rows,
            "new": found.report.stored,
            "kinds": found.kinds,
            "repeated": found.report.repeated,
            "implied": found.report.implied,
            "contradicting": found.report.conflicts,
            "conflicts": found.opened,
            "new_members": found.new_members,
            "problems": found.problems,
        },
        as_json=settings.as_json,
        text=lambda: "\n".join(exchange.in_words(found)),
    )
    if found.problems:
        raise InputError(" ".join(found.problems), "Nothing was imported; mend the file.")
