"""Instructions for annotators: every version is kept, the newest counts."""

import sqlite3
from collections.abc import Sequence

from domain.guide import Example, Guide
from domain.members import Member
from domain.pairs import Pair

_ADD = """
    INSERT INTO guide (text, member_id, written_at) VALUES (:text, :member_id, :now)
    RETURNING guide_id
"""
_ADD_EXAMPLE = """
    INSERT INTO guide_example (guide_id, place, a, b, similar, remark)
    VALUES (:guide_id, :place, :a, :b, :similar, :remark)
"""
_NEWEST = """
    SELECT g.guide_id, g.text, m.name, g.written_at
    FROM guide AS g JOIN member AS m USING (member_id)
    ORDER BY g.guide_id DESC LIMIT 1
"""
_EXAMPLES = """
    SELECT a, b, similar, remark FROM guide_example WHERE guide_id = :guide_id ORDER BY place
"""


def add_guide(
    db: sqlite3.Connection, member: Member, text: str, examples: Sequence[Example], *, now: str
) -> int:
    """Write a new version; its id.

    Raises:
        sqlite3.IntegrityError: an example is about an image that is not in the catalogue.
    """
    values = {"text": text, "member_id": member.member_id, "now": now}
    guide_id: int = db.execute(_ADD, values).fetchone()["guide_id"]
    for place, each in enumerate(examples):
        shown = {"similar": int(each.similar), "remark": each.remark, **each.pair._asdict()}
        db.execute(_ADD_EXAMPLE, {"guide_id": guide_id, "place": place, **shown})
    return guide_id


def newest_guide(db: sqlite3.Connection) -> Guide | None:
    """The version that counts; None before the first."""
    row = db.execute(_NEWEST).fetchone()
    if row is None:
        return None
    examples = tuple(
        Example(Pair(each["a"], each["b"]), bool(each["similar"]), each["remark"])
        for each in db.execute(_EXAMPLES, {"guide_id": row["guide_id"]})
    )
    return Guide(row["guide_id"], row["text"], examples, row["name"], row["written_at"])
