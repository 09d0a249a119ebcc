"""By what members are known who sign in with a provider."""

import sqlite3

from domain.errors import InputError
from domain.members import Member, Role
from domain.sign_ins import Identity, SignIn

_COLUMNS = "SELECT member_id, email, issuer, subject FROM sign_in"
_LIST = _COLUMNS + " ORDER BY member_id"
_MEMBER = """
    SELECT m.member_id, m.name, m.role, m.left_at
    FROM member AS m JOIN sign_in AS s USING (member_id) WHERE m.left_at IS NULL
"""
_BY_SUBJECT = _MEMBER + " AND s.issuer = :issuer AND s.subject = :subject"
_BY_EMAIL = _MEMBER + " AND s.email = :email AND s.subject = ''"
_END = "DELETE FROM sign_in WHERE member_id = :member_id"
_ADD = """
    INSERT INTO sign_in (member_id, email, issuer, subject, since)
    VALUES (:member_id, :email, :issuer, :subject, :now)
"""
_TAKE = """
    UPDATE sign_in SET issuer = :issuer, subject = :subject, since = :now
    WHERE member_id = :member_id
"""


def list_sign_ins(db: sqlite3.Connection) -> dict[int, SignIn]:
    """By what each member is known, by the member's id; nobody else can sign in."""
    return {row["member_id"]: SignIn(**row) for row in map(dict, db.execute(_LIST))}


def member_of(db: sqlite3.Connection, identity: Identity) -> Member | None:
    """Whom that person is known to be; None for strangers."""
    who = {"issuer": identity.issuer, "subject": identity.subject}
    return _member(db.execute(_BY_SUBJECT, who).fetchone())


def expected(db: sqlite3.Connection, email: str) -> Member | None:
    """Whom the first person who proves this address becomes; None if nobody is expected."""
    return _member(db.execute(_BY_EMAIL, {"email": email}).fetchone())


def take(db: sqlite3.Connection, member: Member, identity: Identity, *, now: str) -> None:
    """Let the person be the member from now on; the address alone is no proof any more."""
    who = {"issuer": identity.issuer, "subject": identity.subject}
    db.execute(_TAKE, {**who, "member_id": member.member_id, "now": now})


def allow(db: sqlite3.Connection, allowed: SignIn, *, now: str) -> None:
    """Let somebody sign in as a member; in place of what held for that member before.

    Raises:
        InputError: they are known as another member.
    """
    end(db, allowed.member_id)
    try:
        db.execute(_ADD, {**vars(allowed), "now": now})
    except sqlite3.IntegrityError as error:
        raise InputError(
            f"{allowed} belongs to another member already.",
            'Take it from them first: "python cli.py members sign-in NAME --none".',
        ) from error


def end(db: sqlite3.Connection, member_id: int) -> None:
    """Let nobody sign in as that member any more."""
    db.execute(_END, {"member_id": member_id})


def _member(row: sqlite3.Row | None) -> Member | None:
    return Member(row["member_id"], row["name"], Role(row["role"]), row["left_at"]) if row else None
