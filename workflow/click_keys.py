"""Idempotency keys of clicks on pages that are drawn by the server."""

import hmac

from domain.answers import Kind
from domain.members import Member
from domain.pairs import Pair
from workflow.project import Project

_DIGITS = 40


def click_key(
    project: Project, page: str, member: Member, *, of: Pair, kind: Kind, after: int
) -> str:
    """The same for the same click, sent again or made in two tabs; another for any other click.

    Of no other project either, so that answers of one can be imported into another.

    Args:
        project: whose secret makes the key its own.
        page: a short word, which the key starts with.
        member: who clicked.
        of: what they spoke of.
        kind: what they said.
        after: their newest event about the pair, in sight of which they said it; 0 before any.
    """
    text = f"{page} {member.member_id} {of.a} {of.b} {kind.value} {after}"
    digest = hmac.new(project.secret(), text.encode(), "sha256").hexdigest()
    return f"{page}-{digest[:_DIGITS]}"
