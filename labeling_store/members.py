"""The people of a project: who they are, what they may do, and how they leave.

Nobody is deleted: events name their member for ever. Who leaves loses the name, the leases and the
tokens; the answers stay.
"""

import sqlite3
from dataclasses import replace

from domain.errors import AccessError, InputError
from domain.members import FORMER_MEMBER, Member, Role, given_name, require

_COLUMNS = "SELECT member_id, name, role, left_at FROM member"
_BY_NAME = _COLUMNS + " WHERE name = :name"
_BY_ID = _COLUMNS + " WHERE member_id = :member_id"
_LIST = _COLUMNS + " WHERE left_at IS NULL ORDER BY member_id"
_LIST_FORMER = _COLUMNS + " WHERE left_at IS NOT NULL ORDER BY member_id"
_ADD = "INSERT INTO member (name, role) VALUES (:name, :role) ON CONFLICT (name) DO NOTHING"
_SET_ROLE = "UPDATE member SET role = :role WHERE member_id = :member_id"
_OTHER_OWNERS = """
    SELECT count(*) FROM member
    WHERE role = 'owner' AND left_at IS NULL AND member_id <> :member_id
"""
_LEAVE = "UPDATE member SET name = :name, left_at = :now WHERE member_id = :member_id"
_END_SIGN_IN = "DELETE FROM sign_in WHERE member_id = :member_id"
_END_LEASES = "DELETE FROM lease WHERE member_id = :member_id"
# Questions for them alone, which nobody else could answer.
_END_OWN_QUESTIONS = """
    UPDATE proposal SET state = 'withdrawn' WHERE asked_of = :member_id AND state = 'open'
"""
# The name of a token may tell whose it was.
_END_TOKENS = """
    UPDATE token SET revoked_at = coalesce(revoked_at, :now), name = 'token ' || token_id
    WHERE member_id = :member_id
"""


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
    """The member of that name, None if there is none; former members too.

    Where nobody has just that name, in whatever case: an import's "anna" is our Anna.
    """
    exact = _member(db.execute(_BY_NAME, {"name": name}).fetchone())
    if exact is not None:
        return exact
    same = (each for each in list_members(db) if each.name.casefold() == name.casefold())
    return next(same, None)


def get_member(db: sqlite3.Connection, member_id: int) -> Member | None:
    """The member of that id as of now; None if there is none, or who had it left."""
    found = _member(db.execute(_BY_ID, {"member_id": member_id}).fetchone())
    return None if found is None or found.left_at is not None else found


def list_members(db: sqlite3.Connection, *, former: bool = False) -> list[Member]:
    """The members in the order in which they came; or those who left."""
    rows = db.execute(_LIST_FORMER if former else _LIST)
    return [found for row in rows if (found := _member(row)) is not None]


def add_member(db: sqlite3.Connection, name: str, role: Role) -> Member:
    """A new member.

    Raises:
        InputError: the name is not allowed, or somebody has it already, in whatever case.
    """
    wanted = given_name(name)
    if wanted.casefold().startswith(FORMER_MEMBER):
        raise InputError(f'"{wanted}" is what those are called who left.', "Choose another name.")
    known = find_member(db, wanted)
    if known is not None:
        raise InputError(
            f'There is a member "{known.name}" already.',
            "Choose another name, or give that member another role.",
        )
    return ensure_member(db, wanted, role)


def set_role(db: sqlite3.Connection, member: Member, role: Role) -> Member:
    """Give a member a role.

    Raises:
        InputError: the project would be left without an owner.
    """
    if role is not Role.OWNER:
        _keep_an_owner(db, member)
    db.execute(_SET_ROLE, {"member_id": member.member_id, "role": role.value})
    return _as_of_now(db, member)


def leave(db: sqlite3.Connection, member: Member, *, now: str) -> Member:
    """Take a member out of the project; from then on they are "former member 7" everywhere.

    The answers stay and count; leases end, so that others get the questions; tokens are revoked;
    nobody can sign in as them, and the address is forgotten.

    Args:
        db: inside a transaction.
        member: who leaves.
        now: UTC ISO 8601 text.

    Returns:
        The former member.

    Raises:
        InputError: the project would be left without an owner.
    """
    _keep_an_owner(db, member)
    ids = {"member_id": member.member_id}
    db.execute(_LEAVE, {**ids, "name": _free_former_name(db, member), "now": now})
    db.execute(_END_SIGN_IN, ids)
    db.execute(_END_LEASES, ids)
    db.execute(_END_OWN_QUESTIONS, ids)
    db.execute(_END_TOKENS, {**ids, "now": now})
    return _as_of_now(db, member)


def check_actor(db: sqlite3.Connection, actor: Member, needed: Role, *, to: str) -> Role:
    """What the actor may do as of now; inside the transaction of what they want to do.

    Args:
        db: the store.
        actor: as their request was admitted: a token may allow less than its member's role.
        needed: the least role that may do it.
        to: what they want to do, for the message: "add members".

    Raises:
        AccessError: they may not, or left meanwhile.
    """
    standing = get_member(db, actor.member_id)
    if standing is None:
        raise AccessError(
            "You are no member of this project any more.", "Ask its owner to add you again."
        )
    role = min(standing.role, actor.role, key=lambda each: each.rank)
    require(replace(standing, role=role), needed, to=to)
    return role


def _keep_an_owner(db: sqlite3.Connection, member: Member) -> None:
    (others,) = db.execute(_OTHER_OWNERS, {"member_id": member.member_id}).fetchone()
    if member.role is Role.OWNER and others == 0:
        raise InputError(
            f'"{member.name}" is the last owner of the project.', "Make somebody else owner first."
        )


def _free_former_name(db: sqlite3.Connection, member: Member) -> str:
    """Unlike those that an import may have brought from another project."""
    name = plain = f"{FORMER_MEMBER} {member.member_id}"
    number = 2
    while find_member(db, name) is not None:
        name = f"{plain} ({number})"
        number += 1
    return name


def _as_of_now(db: sqlite3.Connection, member: Member) -> Member:
    row = db.execute(_BY_ID, {"member_id": member.member_id}).fetchone()
    return Member(row["member_id"], row["name"], Role(row["role"]), row["left_at"])


def _member(row: sqlite3.Row | None) -> Member | None:
    return Member(row["member_id"], row["name"], Role(row["role"]), row["left_at"]) if row else None
