"""The people of a project."""

import sqlite3

from domain.members import Member, Role

_BY_NAME = "SELECT member_id, name, role FROM member WHERE name = :name"
_ADD = "INSERT INTO member (name, role) VALUES (:name, :role) ON CONFLICT (name) DO NOTHING"


def ensure_member(db: sqlite3.Connection, name: str, role: Role) -> Member:
    """The member of that name, made with the role if there is none; an existing role stays."""
    found = find_member(db, name)
    if found is None:
        db.execute(_ADD, {"name": name, "role": role.value})
        found = find_member(db, name)
    if found is None:
        raise RuntimeError(f"Member {name!r} was added but cannot be found.")
    return found


def find_member(db: sqlite3.Connection, name: str) -> Member | None:
    """The member of that name, None if there is none."""
    return _member(db.execute(_BY_NAME, {"name": name}).fetchone())


def _member(row: sqlite3.Row | None) -> Member | None:
    return Member(row["member_id"], row["name"], Role(row["role"])) if row else None
