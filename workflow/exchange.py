"""Pair sets out of a project and into it."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from domain.errors import InputError, shortened
from domain.files import written_whole
from domain.members import Member
from labeling_store import images
from labeling_store.exchange import (
    COLUMNS,
    ImportReport,
    Rehearsal,
    What,
    export_tables,
    import_rows,
    rehearse_import,
)
from labeling_store.files import Format, read_rows, write_tables
from labeling_store.foreign import read_foreign
from workflow.data_card import ENDING, Tally, data_card
from workflow.project import Project

FORMATS: tuple[Format, ...] = get_args(Format)
WHATS: tuple[What, ...] = get_args(What)
ENDINGS = (".csv", ".jsonl", ".parquet", ".json")
UPLOAD_MB = 10  # on a page: some 50,000 answers; larger files go by the command line


@dataclass(frozen=True)
class Download:
    """A file for a browser."""

    name: str
    content: bytes


def export_file(project: Project, out: Path, *, what: What, fmt: Format) -> int:
    """Write answers, labels, known relations or flags to a file, and its data card beside it.

    All of one moment, each whole or not at all; the same log gives the same bytes.

    Returns:
        How many rows there are.

    Raises:
        InputError: a file cannot be written.
    """
    tally = Tally()
    with project.store.snapshot():
        tables = export_tables(project.store, what, propagation=project.config.propagation)
        write_tables(out, tally.counted(tables), COLUMNS[what], fmt=fmt)
        card = data_card(project, out, tally, what=what, fmt=fmt)
    try:
        with written_whole(card_of(out)) as draft:
            draft.write_text(card, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{card_of(out)} cannot be written: {error.strerror}.", "Choose another folder."
        ) from error
    return tally.rows


def card_of(out: Path) -> Path:
    """Where the data card of an export is."""
    return out.with_name(out.name + ENDING)


def export_download(project: Project, *, what: What, fmt: Format) -> Download:
    """Such a file, for a download."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / f"{what}.{fmt}"
        export_file(project, out, what=what, fmt=fmt)
        return Download(out.name, out.read_bytes())


def card_download(project: Project, *, what: What, fmt: Format) -> Download:
    """The data card of such a file, for a download."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / f"{what}.{fmt}"
        export_file(project, out, what=what, fmt=fmt)
        return Download(card_of(out).name, card_of(out).read_bytes())


def import_file(project: Project, member: Member, path: Path) -> ImportReport:
    """Store the answers of a file; known ones are recognised and left.

    Args:
        project: with the images that the file names.
        member: who imports.
        path: CSV, JSONL or Parquet with image_a, image_b and similar; or what dedupe or Label
            Studio wrote as JSON.

    Raises:
        InputError: the file or a row of it is not valid; nothing was imported.
    """
    return import_rows(project.store, member, _rows(project, path))


def rehearse_file(project: Project, member: Member, path: Path) -> Rehearsal:
    """What `import_file` would do; nothing is changed.

    Raises:
        InputError: the file cannot be read as rows.
    """
    return rehearse_import(project.store, member, _rows(project, path))


def rehearse_upload(project: Project, member: Member, name: str, content: bytes) -> Rehearsal:
    """What `import_upload` would do; see there."""
    with tempfile.TemporaryDirectory() as folder:
        return rehearse_file(project, member, _received(Path(folder), name, content))


def import_upload(project: Project, member: Member, name: str, content: bytes) -> ImportReport:
    """Store the answers of an uploaded file.

    Raises:
        InputError: it is larger than `UPLOAD_MB`, or not valid; nothing was imported.
    """
    with tempfile.TemporaryDirectory() as folder:
        return import_file(project, member, _received(Path(folder), name, content))


def in_words(found: Rehearsal) -> list[str]:
    """What an import would do, a sentence each."""
    report = found.report
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(found.kinds.items()))
    said = [f"{found.rows} rows: {report.stored} new answers{f' ({kinds})' if kinds else ''}."]
    if report.repeated:
        said.append(f"Known already, changing nothing: {report.repeated:,}.")
    if report.implied:
        said.append(f"Implied, not answered: {report.implied:,}; they follow from the others.")
    if report.conflicts:
        said.append(f"Against earlier answers: {report.conflicts:,}.")
    if found.opened:
        said.append(f"Conflicts that would be opened: {found.opened:,}.")
    if found.new_members:
        said.append(f"New members: {shortened(list(found.new_members))}.")
    return said


def _received(folder: Path, name: str, content: bytes) -> Path:
    """The upload as a file; of the name that the browser gave only the ending counts."""
    if len(content) > UPLOAD_MB << 20:
        raise InputError(
            f"The file has {len(content) >> 20} MB; at most {UPLOAD_MB} can be uploaded.",
            'Import it with "python cli.py import FILE".',
        )
    ending = Path(name).suffix.lower()
    path = folder / f"upload{ending if ending in ENDINGS else ''}"
    path.write_bytes(content)
    return path


def _rows(project: Project, path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise InputError(f"{path} is no file.", f"Give a file that ends in {', '.join(ENDINGS)}.")
    if path.suffix.lower() not in ENDINGS:
        raise InputError(
            f'{path.name} ends in "{path.suffix}"; allowed are {", ".join(ENDINGS)}.',
            "Rename the file or export it again.",
        )
    if path.suffix.lower() != ".json":
        return read_rows(path)
    return read_foreign(path, images.image_ids_by_path(project.store.reader()))
