"""Ids that are given once only, also after an older state of a database was brought back."""

import sqlite3
from contextlib import closing
from pathlib import Path

# What browsers and scripts keep the ids of: sessions, unsent answers, cached pictures, the
# instructions that were read.
_TABLES = ("guide", "image", "member", "proposal", "round", "token")
_GIVEN = "SELECT name, seq FROM sqlite_sequence"
_FORGET = "DELETE FROM sqlite_sequence WHERE name = :name"
_GO_ON = "INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)"


def go_on_counting(restored: Path, replaced: Path) -> None:
    """Let a database give no id that the one it replaces has given to something else.

    The session of a member who came after the backup would else be that of the next who comes, and
    an unsent answer be about other images. Ids in a file too damaged to be read stay unknown.

    Args:
        restored: changed in place; nobody may have it open.
        replaced: of this or an older version; only read.
    """
    try:
        with closing(sqlite3.connect(f"{replaced.absolute().as_uri()}?mode=ro", uri=True)) as old:
            given = dict(old.execute(_GIVEN).fetchall())
    except sqlite3.DatabaseError:
        return
    with closing(sqlite3.connect(restored)) as db, db:
        own = dict(db.execute(_GIVEN).fetchall())
        for name in _TABLES:
            if given.get(name, 0) > own.get(name, 0):
                db.execute(_FORGET, {"name": name})
                db.execute(_GO_ON, {"name": name, "seq": given[name]})
