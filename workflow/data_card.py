"""A data card: what an export holds and how it came to be, as a JSON file beside it.

It says nothing of the moment of the export: the same project gives the same card, byte by byte.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from domain.config import config_toml
from domain.version import VERSION
from labeling_store import answers, images, runs
from labeling_store.exchange import COLUMNS, What
from labeling_store.files import Format
from labeling_store.foreign import CARD
from labeling_store.migrations import newest
from workflow.backup import dataset_sha256, sha256_of
from workflow.project import Project
from workflow.run_files import CHECKPOINT

ENDING = ".card.json"
_HOW: Mapping[What, str] = {
    "answers": (
        "Every event of the answer log in the order in which it was stored: people were shown two "
        "images and said whether they are similar; `void` takes an earlier event back, and "
        "`resolution` is a lead's word on a conflict."
    ),
    "labels": (
        "One row for each pair that people answered: the majority of the members' latest standing "
        "answers, a tie without a label; a lead's resolution beats all."
    ),
    "known": (
        "The labels of pairs, and with `implied` 1 those that follow from them, with the answered "
        "pairs that prove it; what open conflicts put in doubt is left out or has `weight` 0.5."
    ),
}


class Tally:
    """Counts rows on their way into a file."""

    def __init__(self) -> None:
        self.rows = 0
        self._words: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._sources: Counter[str] = Counter()
        self._people: set[str] = set()
        self._first: str | None = None
        self._last: str | None = None

    def counted(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """The same rows."""
        for row in rows:
            self.rows += 1
            self._words[{1: "similar", 0: "dissimilar", None: "without_label"}[row["similar"]]] += 1
            self._words["implied"] += bool(row.get("implied"))
            self._kinds[row.get("kind") or ""] += 1
            self._sources[row["source"]] += 1
            self._people.add(row["members"] or "")
            self._note_moment(row["answered_at"])
            yield row

    def as_json(self) -> dict[str, Any]:
        """The counts, by name."""
        return {
            "rows": self.rows,
            **{name: count for name, count in self._words.items() if count},
            "kinds": {name: count for name, count in self._kinds.items() if name},
            "sources": dict(self._sources),
            "members": len({name for each in self._people for name in each.split("; ") if name}),
            "first_answered_at": self._first,
            "last_answered_at": self._last,
        }

    def _note_moment(self, moment: str | None) -> None:
        if moment:
            self._first = moment if self._first is None else min(self._first, moment)
            self._last = moment if self._last is None else max(self._last, moment)


def data_card(project: Project, file: Path, tally: Tally, *, what: What, fmt: Format) -> str:
    """The card of a written file, as JSON text.

    Args:
        project: as it was when the rows were read.
        file: the export.
        tally: that its rows went through.
        what: which rows they are.
        fmt: of the file.
    """
    db = project.store.reader()
    records, active = images.list_images(db), runs.active_run(db)
    said = {
        CARD: 1,
        "anneal": VERSION,
        "schema": newest("labels"),
        "project": project.config.name,
        "file": {"name": file.name, "format": fmt, "sha256": sha256_of(file)},
        "what": what,
        "how": _HOW[what],
        "columns": list(COLUMNS[what]),
        "counts": tally.as_json(),
        "propagation": project.config.propagation.value if what == "known" else None,
        "last_event_id": answers.last_event_id(db),
        "images": {"count": len(records), "sha256": dataset_sha256(records)},
        "model": None
        if active is None
        else {"name": active.name, **_checkpoint(project, active.name)},
        "settings_sha256": hashlib.sha256(config_toml(project.config).encode()).hexdigest(),
    }
    return json.dumps(said, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _checkpoint(project: Project, run_name: str) -> dict[str, str | None]:
    path = project.runs / run_name / CHECKPOINT
    return {"sha256": sha256_of(path) if path.is_file() else None}
