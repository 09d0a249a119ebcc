"""A table that gives each image several labels: one row an image, one column a label, 0 or 1."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from domain.arrays import BoolArray
from domain.errors import InputError


@dataclass(frozen=True)
class LabelSets:
    """The labels of images.

    Attributes:
        images: name of each, as the table has it.
        labels: names of the columns.
        values: [N, L] whether an image has a label.
    """

    images: tuple[str, ...]
    labels: tuple[str, ...]
    values: BoolArray


def read_label_sets(path: Path) -> LabelSets:
    """The labels in a file, its columns divided by tabs, or by commas where there is no tab.

    Raises:
        InputError: the file cannot be read, has no rows, an image twice, or a value that is
            neither 0 nor 1.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: the labels cannot be read: {error}", "Check the file."
        ) from error
    mark = "\t" if lines and "\t" in lines[0] else ","
    header, *rows = [row for row in csv.reader(lines, delimiter=mark) if row] or [[]]
    names = [row[0] for row in rows]
    if not rows or len(header) < 2 or len(set(names)) < len(names):
        raise InputError(
            f"{path}: {len(rows)} rows of {len(set(names))} images, {len(header) - 1} labels each.",
            "Write a header, then one row for each image: its name, and 0 or 1 for each label.",
        )
    for place, row in enumerate(rows, start=2):
        if len(row) != len(header) or not set(row[1:]) <= {"0", "1"}:
            raise InputError(
                f"{path}, row {place}: {len(row) - 1} values for {len(header) - 1} labels, "
                "each must be 0 or 1.",
                "Correct the row.",
            )
    values = np.array([[value == "1" for value in row[1:]] for row in rows])
    return LabelSets(tuple(names), tuple(header[1:]), values)
