"""Tokens for scripts: made once, shown once, kept as a hash.

A token acts as its member, with at most the role it was made for; it ends on its day, when it is
revoked, or when the member leaves.
"""

import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace

from domain.clock import later, utc_now
from domain.errors import AccessError, InputError, StoreError
from domain.members import ApiToken, Member, Role, given_name
from labeling_store import members, tokens
from workflow.project import Project

PREFIX = "anneal_"  # by which people and scanners for leaked secrets know what it is
SECRET_BYTES = 32
DAY_S = 24 * 3600.0
USUAL_DAYS, MOST_DAYS = 90, 365
NOTE_USE_EVERY_S = 3600.0  # a write for every request would cost more than it tells


@dataclass(frozen=True)
class NewToken:
    """A token, and its text, which nobody can show again."""

    token: ApiToken
    text: str


def create_token(
    project: Project,
    actor: Member,
    name: str,
    *,
    member: Member | None = None,
    role: Role | None = None,
    days: int = USUAL_DAYS,
) -> NewToken:
    """A new token.

    Args:
        project: whose routes it opens.
        actor: who makes it.
        name: what it is for.
        member: as whom it acts; the actor if None, another only for an owner.
        role: the most that it allows; the member's own role if None.
        days: for how many days it is valid.

    Raises:
        AccessError: the actor may not act as that member.
        InputError: the name, the role or the days are not allowed.
    """
    label = given_name(name, of="A token's name")
    if not 1 <= days <= MOST_DAYS:
        raise InputError(
            f"days = {days}; must be 1 to {MOST_DAYS}.", "Make a new one when it ends."
        )
    text = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    now = utc_now()
    with project.store.transaction() as db:
        acting = member or actor
        needed = Role.ANNOTATOR if acting.member_id == actor.member_id else Role.OWNER
        own = members.check_actor(db, actor, needed, to="make tokens for others")
        owner = members.get_member(db, acting.member_id)
        if owner is None:
            raise InputError(f'"{acting.name}" is no member any more.', "Choose a member.")
        most = own if owner.member_id == actor.member_id else owner.role
        token = tokens.add_token(
            db,
            owner,
            name=label,
            sha256=_hash(text),
            role=_allowed(role or most, most),
            created_at=now,
            expires_at=later(now, days * DAY_S),
        )
    return NewToken(token, text)


def list_tokens(project: Project, actor: Member) -> list[ApiToken]:
    """All tokens, for an owner; for others their own ones. The oldest first."""
    found = tokens.list_tokens(project.store.reader())
    if actor.role is Role.OWNER:
        return found
    return [token for token in found if token.member.member_id == actor.member_id]


def revoke_token(project: Project, actor: Member, token_id: int) -> ApiToken:
    """End a token: its next request is refused.

    Raises:
        AccessError: it belongs to somebody else, and the actor is no owner.
        InputError: there is no such token.
    """
    with project.store.transaction() as db:
        token = tokens.get_token(db, token_id)
        if token is None:
            raise InputError(f"There is no token {token_id}.", '"python cli.py token" lists them.')
        own = token.member.member_id == actor.member_id
        needed = Role.ANNOTATOR if own else Role.OWNER
        members.check_actor(db, actor, needed, to="revoke tokens of others")
        tokens.revoke_token(db, token_id, now=utc_now())
        return tokens.get_token(db, token_id) or token


def member_of_token(project: Project, text: str) -> Member | None:
    """As whom a token acts, with the role that it allows now; None if it is not valid (any more).

    The look-up is by hash: how long it takes tells nothing about tokens that exist.
    """
    token = tokens.find_token(project.store.reader(), _hash(text))
    now = utc_now()
    if token is None or not token.is_valid(now):
        return None
    _note_use(project, token, now)
    role = min(token.role, token.member.role, key=lambda each: each.rank)
    return replace(token.member, role=role)


def _note_use(project: Project, token: ApiToken, now: str) -> None:
    if token.last_used_at and now < later(token.last_used_at, NOTE_USE_EVERY_S):
        return
    # What the request is for matters more: reading goes on where nothing can be written.
    with suppress(StoreError), project.store.transaction() as db:
        tokens.note_use(db, token.token_id, now=now)


def _allowed(role: Role, most: Role) -> Role:
    if not most.includes(role):
        raise AccessError(
            f"A token cannot allow more than its member: {role.value}, where {most.value} is the "
            "most.",
            "Choose a lower role, or give the member a higher one first.",
        )
    return role


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
