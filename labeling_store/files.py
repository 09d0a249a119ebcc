"""Tables of pairs as CSV, JSON lines or Parquet files.

Parquet and JSON lines hold values exactly. In CSV a text that a spreadsheet would take for a
formula gets a leading ' (one that has such a ' already gets another), which reading takes off
again; numbers are left alone.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from domain.errors import InputError
from domain.files import written_whole

Format = Literal["csv", "jsonl", "parquet"]
Table = Mapping[str, Sequence[Any]]  # some rows of a file: for each column's name their values
Columns = Mapping[str, type]  # name to str, int or float; every column may be empty

_FORMULA = re.compile(r"'*[=+\-@\t\r\0]")
_ESCAPED = re.compile(r"'+[=+\-@\t\r\0]")
_MOST_ROWS = 10_000_000  # a Parquet file of a few bytes can claim any number of rows
_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64()}


def write_tables(path: Path, tables: Iterable[Table], columns: Columns, *, fmt: Format) -> None:
    """Write tables one below the other into a file, which appears whole or not at all.

    Args:
        path: the file.
        tables: each with all columns; one at a time is in memory, and becomes a group of rows of a
            Parquet file.
        columns: in their order.
        fmt: of the file.

    Raises:
        InputError: the folder is missing or cannot be written.
    """
    try:
        with written_whole(path) as draft:
            _WRITERS[fmt](draft, tables, columns)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}.", "Choose a folder you may write to."
        ) from error


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a table, by the ending of the file's name; empty cells are None.

    Raises:
        InputError: missing, of an unknown kind, or broken.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f'{path.name} ends in "{path.suffix}"; allowed are {", ".join(sorted(_READERS))}.',
            "Rename the file or export it again.",
        )
    try:
        return reader(path)
    except OSError as error:
        if isinstance(error, pa.ArrowException):
            raise _broken(path, error) from error
        raise InputError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from error
    except (ValueError, RecursionError, csv.Error, pa.ArrowException) as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> InputError:
    if isinstance(error, UnicodeDecodeError):
        return InputError(
            f"{path.name} is broken: no text in UTF-8 (byte {error.object[error.start]:#x}).",
            "Nothing was imported; save it as CSV UTF-8.",
        )
    return InputError(
        f"{path.name} is broken: {str(error).rstrip('.')}.",
        "Nothing was imported; mend the file and try again.",
    )


def _write_csv(path: Path, tables: Iterable[Table], columns: Columns) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for table in tables:
            for row in _rows(table, columns):
                writer.writerow([*map(_safe, row)])


def _safe(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def _read_csv(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        names = next(reader, [])
        rows = []
        for cells in reader:
            if len(cells) not in (0, len(names)):
                raise ValueError(f"line {reader.line_num} has {len(cells)} cells, not {len(names)}")
            if cells:
                rows.append(dict(zip(names, map(_unescaped, cells), strict=True)))
    return rows


def _unescaped(cell: str) -> str | None:
    return (cell[1:] if _ESCAPED.match(cell) else cell) or None


def _rows(table: Table, columns: Columns) -> Iterable[tuple[Any, ...]]:
    return zip(*(table[name] for name in columns), strict=True)


def _write_jsonl(path: Path, tables: Iterable[Table], columns: Columns) -> None:
    with path.open("w", encoding="utf-8") as file:
        for table in tables:
            for row in _rows(table, columns):
                named = dict(zip(columns, row, strict=True))
                file.write(json.dumps(named, ensure_ascii=False) + "\n")


def _read_jsonl(path: Path) -> list[dict[str, Any]]:
    rows = []
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            row = json.loads(line) if line.strip() else None
            if row is not None and not isinstance(row, dict):
                raise ValueError(f"line {number} is no object")
            if row is not None:
                rows.append(row)
    return rows


def _write_parquet(path: Path, tables: Iterable[Table], columns: Columns) -> None:
    schema = pa.schema([(name, _ARROW[kind]) for name, kind in columns.items()])
    with pq.ParquetWriter(path, schema) as writer:
        for table in tables:
            values = [pa.array(table[name], _ARROW[kind]) for name, kind in columns.items()]
            writer.write_table(pa.Table.from_arrays(values, schema=schema))


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    with pq.ParquetFile(path) as file:
        if file.metadata.num_rows > _MOST_ROWS:
            raise ValueError(f"{file.metadata.num_rows:,} rows; at most {_MOST_ROWS:,} are read")
        rows: list[dict[str, Any]] = file.read().to_pylist()
    return rows


_WRITERS: Mapping[str, Callable[[Path, Iterable[Table], Columns], None]] = {
    "csv": _write_csv,
    "jsonl": _write_jsonl,
    "parquet": _write_parquet,
}
_READERS: Mapping[str, Callable[[Path], list[dict[str, Any]]]] = {
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
