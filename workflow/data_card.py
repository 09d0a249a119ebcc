"""A data card: what an export holds and how it came to be, as a JSON file beside it.

It says nothing of the moment of the export: the same project gives the same card, byte by byte.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import repeat
from pathlib import Path
from typing import Any

from domain.config import config_toml
from domain.version import VERSION
from labeling_store import answers, images, runs
from labeling_store.exchange import COLUMNS, What
from labeling_store.files import Format, Table
from labeling_store.foreign import CARD
from labeling_store.imported import MEMBERS_SEPARATOR
from labeling_store.migrations import newest
from workflow.backup import dataset_sha256, sha256_of
from workflow.project import Project
from workflow.run_files import CHECKPOINT

ENDING = ".card.json"
_WORDS = {1: "similar", 0: "dissimilar", None: "without_label", "flag": "flags"}
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
    "flags": (
        "What members flagged as odd while they answered, of a pair or of one image, with a note; "
        "it was taken back, or a lead dealt with it. Flags are no answers."
    ),
}


class Tally:
    """Counts rows on their way into a file."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[int | str | None, int, str | None, str]] = Counter()
        self._people: set[str | None] = set()
        self._first: str | None = None
        self._last: str | None = None

    @property
    def rows(self) -> int:
        """How many there were."""
        return self._seen.total()

    def counted(self, tables: Iterable[Table]) -> Iterator[Table]:
        """The same rows."""
        for table in tables:
            implied: Iterable[int] = table.get("implied", ()) or repeat(0)
            kinds: Iterable[str | None] = table.get("kind", ()) or repeat(None)
            if "flagged_at" in table:
                said = zip(repeat("flag"), implied, table["state"], repeat("click"), strict=False)
                members, given = table["member"], table["flagged_at"]
            else:
                said = zip(table["similar"], implied, kinds, table["source"], strict=False)
                members, given = table["members"], table["answered_at"]
            self._seen.update(said)
            self._people.update(members)
            moments = [moment for moment in given if moment is not None]
            self._first = min([*moments, *filter(None, [self._first])], default=None)
            self._last = max([*moments, *filter(None, [self._last])], default=None)
            yield table

    def as_json(self) -> dict[str, Any]:
        """The counts, by name."""
        counts: dict[str, Counter[str]] = {
            name: Counter() for name in ("words", "kinds", "sources")
        }
        for (similar, implied, kind, source), count in self._seen.items():
            counts["words"][_WORDS[similar]] += count
            counts["words"]["implied"] += implied * count
            counts["sources"][source] += count
            if kind is not None:
                counts["kinds"][kind] += count
        names = {name for each in self._people if each for name in each.split(MEMBERS_SEPARATOR)}
        return {
            "rows": self.rows,
            **{name: count for name, count in counts["words"].items() if count},
            "kinds": counts["kinds"],
            "sources": counts["sources"],
            "members": len(names),
            "first_answered_at": self._first,
            "last_answered_at": self._last,
        }


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
