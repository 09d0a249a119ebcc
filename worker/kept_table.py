"""A table that a long command writes again and again, beside the options its rows belong to."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from domain.errors import InputError
from domain.files import written_whole

OPTIONS_NAME = "options.json"

T = TypeVar("T")


def read_table(
    table: Path, identity: Mapping[str, Any], parse: Callable[[Mapping[str, str]], T]
) -> list[T]:
    """Rows of an earlier run into this file, if it was asked the same; else none.

    A file that is missing, damaged or of other options counts as none.
    """
    if not _has(table.with_name(OPTIONS_NAME), identity):
        return []
    try:
        text = table.read_text(encoding="utf-8")
        return [parse(line) for line in csv.DictReader(io.StringIO(text))]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def write_table(
    table: Path,
    identity: Mapping[str, Any],
    columns: Sequence[str],
    lines: Iterable[Sequence[object]],
) -> None:
    """Write a CSV file, and the options it belongs to beside it; each file appears whole.

    Raises:
        InputError: the folder cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(lines)
    options = table.with_name(OPTIONS_NAME)
    try:
        table.parent.mkdir(parents=True, exist_ok=True)
        if not _has(options, identity):  # else rows would stand beside other options
            table.unlink(missing_ok=True)
        for path, content in (
            (options, json.dumps(dict(identity), indent=1)),
            (table, text.getvalue()),
        ):
            with written_whole(path) as draft:
                draft.write_bytes(content.encode())
    except OSError as error:
        raise InputError(
            f"--out {str(table.parent)!r} cannot be written: {error.strerror}.",
            "Name another folder.",
        ) from error


def _has(options: Path, identity: Mapping[str, Any]) -> bool:
    try:
        return bool(json.loads(options.read_text(encoding="utf-8")) == dict(identity))
    except (OSError, ValueError):
        return False
