"""Tokens of scripts, by the hash of their secret."""

import sqlite3

from domain.members import ApiToken, Member, Role

_ADD = """
    INSERT INTO token (member_id, name, sha256, role, created_at, expires_at)
    VALUES (:member_id, :name, :sha256, :role, :created_at, :expires_at)
    RETURNING token_id
"""
_COLUMNS = """
    SELECT t.token_id, t.name, t.role, t.created_at, t.expires_at, t.last_used_at, t.revoked_at,
        m.member_id, m.name AS member_name, m.role AS member_role, m.left_at
    FROM token AS t JOIN member AS m USING (member_id)
"""
_BY_ID = _COLUMNS + " WHERE t.token_id = :token_id"
_BY_HASH = _COLUMNS + " WHERE t.sha256 = :sha256"
_LIST = _COLUMNS + " ORDER BY t.token_id"
_REVOKE = "UPDATE token SET revoked_at = coalesce(revoked_at, :now) WHERE token_id = :token_id"
_REVOKE_ALL = "UPDATE token SET revoked_at = :now WHERE revoked_at IS NULL AND expires_at > :now"
_USED = "UPDATE token SET last_used_at = :now WHERE token_id = :token_id"


def add_token(
    db: sqlite3.Connection,
    member: Member,
    *,
    name: str,
    sha256: str,
    role: Role,
    created_at: str,
    expires_at: str,
) -> ApiToken:
    """Keep a token of a member; the hash is that of its secret, hexadecimal."""
    values = {"member_id": member.member_id, "name": name, "sha256": sha256, "role": role.value}
    times = {"created_at": created_at, "expires_at": expires_at}
    (token_id,) = db.execute(_ADD, {**values, **times}).fetchone()
    return ApiToken(token_id, member, name, role, created_at, expires_at)


def list_tokens(db: sqlite3.Connection) -> list[ApiToken]:
    """All tokens, revoked and expired ones too, the oldest first."""
    return [_token(row) for row in db.execute(_LIST)]


def get_token(db: sqlite3.Connection, token_id: int) -> ApiToken | None:
    """The token of that id, None if there is none."""
    row = db.execute(_BY_ID, {"token_id": token_id}).fetchone()
    return _token(row) if row else None


def find_token(db: sqlite3.Connection, sha256: str) -> ApiToken | None:
    """The token whose secret has that hash, valid or not; None if there is none."""
    row = db.execute(_BY_HASH, {"sha256": sha256}).fetchone()
    return _token(row) if row else None


def revoke_token(db: sqlite3.Connection, token_id: int, *, now: str) -> None:
    """End a token; one that is revoked already stays as it is."""
    db.execute(_REVOKE, {"token_id": token_id, "now": now})


def revoke_all(db: sqlite3.Connection, *, now: str) -> int:
    """End every token that is valid now; how many were."""
    return db.execute(_REVOKE_ALL, {"now": now}).rowcount


def note_use(db: sqlite3.Connection, token_id: int, *, now: str) -> None:
    """Remember when a token was used last."""
    db.execute(_USED, {"token_id": token_id, "now": now})


def _token(row: sqlite3.Row) -> ApiToken:
    return ApiToken(
        token_id=row["token_id"],
        member=Member(
            row["member_id"], row["member_name"], Role(row["member_role"]), row["left_at"]
        ),
        name=row["name"],
        role=Role(row["role"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        last_used_at=row["last_used_at"],
        revoked_at=row["revoked_at"],
    )
