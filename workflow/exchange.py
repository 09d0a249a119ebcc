"""Pair sets out of a project and into it."""

import tempfile
from pathlib import Path
from typing import get_args

from domain.errors import InputError
from domain.members import Member
from labeling_store.exchange import COLUMNS, ImportReport, What, export_rows, import_rows
from labeling_store.files import Format, read_rows, write_rows
from workflow.project import Project

FORMATS: tuple[Format, ...] = get_args(Format)
WHATS: tuple[What, ...] = get_args(What)


def export_file(project: Project, out: Path, *, what: What, fmt: Format) -> int:
    """Write answers, labels or known relations to a file, whole or not at all; how many rows.

    Raises:
        InputError: the file cannot be written.
    """
    rows = list(export_rows(project.store, what, propagation=project.config.propagation))
    write_rows(out, rows, COLUMNS[what], fmt=fmt)
    return len(rows)


def export_bytes(project: Project, *, what: What, fmt: Format) -> bytes:
    """The content of such a file, for a download."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / f"{what}.{fmt}"
        export_file(project, out, what=what, fmt=fmt)
        return out.read_bytes()


def import_file(project: Project, member: Member, path: Path) -> ImportReport:
    """Store the answers of a CSV, JSONL or Parquet file; known ones are recognised and left.

    Raises:
        InputError: the file or a row of it is not valid; nothing was imported.
    """
    if not path.is_file():
        raise InputError(f"{path} is no file.", "Give a .csv, .jsonl or .parquet file.")
    return import_rows(project.store, member, read_rows(path))
