"""People of a project, what they may do, and the tokens of their scripts."""

import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from domain.errors import AccessError, InputError

LOCAL_OWNER = "owner"  # the actor on the command line and in an app without sign-in
LONGEST_NAME = 80
FORMER_MEMBER = "former member"  # with a number: the name of somebody who left

# Categories of characters that would break a line, a header or a log, or have no meaning anywhere.
_REFUSED_CATEGORIES = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
_REFUSED = {";", *"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"}  # splits lists; turns


class Role(StrEnum):
    """What a member may do; each may do all that those before it may."""

    ANNOTATOR = "annotator"
    LEAD = "lead"
    OWNER = "owner"

    def includes(self, other: "Role") -> bool:
        """Whether who has this role may do what the other role allows."""
        return self.rank >= other.rank

    @property
    def rank(self) -> int:
        """0 for the role that may do least."""
        return tuple(Role).index(self)


@dataclass(frozen=True)
class Member:
    """Somebody of the project; `left_at` is set for those who left, whose name is gone."""

    member_id: int
    name: str
    role: Role
    left_at: str | None = None


@dataclass(frozen=True)
class ApiToken:
    """A token of a member's script, without its secret.

    Attributes:
        role: the most that it allows, even if its member may do more.
        last_used_at: to the hour; None if it was never used.
        revoked_at: None while it stands; it may have expired all the same.
    """

    token_id: int
    member: Member
    name: str
    role: Role
    created_at: str
    expires_at: str
    last_used_at: str | None = None
    revoked_at: str | None = None

    def is_valid(self, now: str) -> bool:
        """Whether it opens the routes at this moment (UTC ISO 8601 text)."""
        return self.revoked_at is None and self.member.left_at is None and now < self.expires_at


def given_name(text: str, *, of: str = "A member's name") -> str:
    """A name as it is kept: without spaces around it, in composed form.

    Raises:
        InputError: it is empty, too long, or has characters that are no text (control characters,
            line ends, marks that turn the direction of the text) or a semicolon.
    """
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise InputError(f"{of} is empty.", f"Write one of up to {LONGEST_NAME} characters.")
    if len(name) > LONGEST_NAME:
        raise InputError(
            f"{of} has {len(name)} characters; allowed are 1 to {LONGEST_NAME}.",
            "Choose another name.",
        )
    for character in name:
        if unicodedata.category(character) in _REFUSED_CATEGORIES or character in _REFUSED:
            raise InputError(
                f"{of} must not contain {character!a}.", "Use letters, digits, spaces and signs."
            )
    return name


def require(actor: Member, needed: Role, *, to: str) -> None:
    """Refuse an actor whose role is not enough.

    Args:
        actor: with the role that counts for this request.
        needed: the least role that may do it.
        to: what they want to do, for the message: "add members".

    Raises:
        AccessError: it is not enough.
    """
    if not actor.role.includes(needed):
        least = "an owner" if needed is Role.OWNER else "a lead or owner"
        raise AccessError(
            f'Only {least} may {to}; "{actor.name}" acts as {actor.role.value}.',
            "Ask the project's owner.",
        )
