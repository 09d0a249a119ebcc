"""Whether a database holds what it should: nothing damaged, nothing missing, nothing contradicted.

Each function returns what is wrong, a sentence each; an empty list is good.
"""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from domain.errors import StoreError
from labeling_store.conflicts import open_conflicts
from labeling_store.db import Store
from labeling_store.failures import translated
from labeling_store.ledger import Ledger
from labeling_store.migrations import check_version, migrate

MOST_SHOWN = 20
_PARTS = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL"


def damage(store: Store) -> list[str]:
    """Pages, indexes or CHECKs that are broken, and references that lead nowhere."""
    try:
        with translated(store.path, writing=False), store.snapshot() as db:
            found = db.execute(f"PRAGMA integrity_check({MOST_SHOWN})").fetchall()
            dangling = db.execute("PRAGMA foreign_key_check").fetchall()
    except StoreError as error:
        return [error.message]
    problems = [str(line) for (line,) in found if line != "ok"]
    tables = Counter(str(row["table"]) for row in dangling)
    problems += [f"{count} rows of {table} refer to nothing" for table, count in tables.items()]
    return [f"{store.path.name}: {problem}." for problem in problems]


def missing_parts(store: Store) -> list[str]:
    """Tables, indexes and triggers that are not as this version of the program makes them."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        fresh.row_factory = sqlite3.Row
        migrate(fresh, Path(store.path.name))
        wanted = {tuple(row) for row in fresh.execute(_PARTS)}
    there = {tuple(row) for row in store.reader().execute(_PARTS)}
    return [
        f"{store.path.name}: the {kind} {name} is missing or was changed."
        for kind, name, _ in sorted(wanted - there)
    ]


def lost_answers(store: Store) -> list[str]:
    """Answers that were stored and are gone: the log's ids have no holes."""
    db = store.reader()
    (count, newest) = db.execute("SELECT count(*), max(event_id) FROM event").fetchone()
    given = dict(db.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    last = max(given.get("event", 0), newest or 0)
    if count == last:
        return []
    return [f"{store.path.name}: the log has {count} answers, but {last} were stored."]


def stale_conflicts(store: Store) -> list[str]:
    """Whether the open conflicts are those that the log, read anew, says there are."""
    ledger = Ledger()
    with translated(store.path, writing=False), store.snapshot() as db:
        ledger.catch_up(db)
        kept = {each.pair: (each.event_id, each.evidence) for each in open_conflicts(db)}
    found = {
        each: (finding.event_id, finding.evidence) for each, finding in ledger.findings().items()
    }
    differ = [each for each in {*kept, *found} if kept.get(each) != found.get(each)]
    if not differ:
        return []
    return [
        f"{store.path.name}: {len(differ)} open conflicts are not those that the answers, read "
        "anew, give."
    ]


def check_copy(path: Path) -> None:
    """Refuse a database that is not whole, or that this version of the program cannot use.

    Raises:
        StoreError: damaged, or of another program.
        SchemaError: written by a newer version.
    """
    store = Store(path, read_only=True)
    try:
        with translated(path, writing=False):
            check_version(store.reader(), path)
        problems = damage(store)
    finally:
        store.close()
    if problems:
        raise StoreError(f"{path.name} is damaged: {problems[0]}", "Use another backup.")
