"""token: secrets for scripts that use the routes under /api."""

import click

from commands.members import ROLES
from commands.options import Settings, command_options
from commands.output import show, table
from domain.clock import utc_now
from domain.members import ApiToken, Role
from workflow import members
from workflow import tokens as access
from workflow.project import local_owner


@click.group(invoke_without_command=True)
@click.pass_context
@command_options
def token(context: click.Context, *, settings: Settings) -> None:
    """List the tokens of scripts; make one, revoke one. docs/api.md says what they open."""
    context.obj = settings
    if context.invoked_subcommand is None:
        _list(settings)


@token.command("list")
@command_options
def list_(*, settings: Settings) -> None:
    """List the tokens, without their secrets."""
    _list(settings)


@token.command()
@click.argument("name")
@click.option("--member", metavar="NAME", help="As whom it acts (default: the owner).")
@click.option("--role", type=click.Choice(ROLES), help="The most it allows (default: theirs).")
@click.option(
    "--days",
    type=int,
    default=access.USUAL_DAYS,
    show_default=True,
    help=f"For how long, 1 to {access.MOST_DAYS}.",
)
@command_options
def create(
    *, name: str, member: str | None, role: str | None, days: int, settings: Settings
) -> None:
    """Make a token and show it, this once."""
    project = settings.open()
    made = access.create_token(
        project,
        local_owner(project),
        name,
        member=members.member_named(project, member) if member is not None else None,
        role=Role(role) if role is not None else None,
        days=days,
    )
    until = made.token.expires_at[:10]
    show(
        {**_as_dict(made.token), "token": made.text},
        as_json=settings.as_json,
        text=lambda: (
            f"{made.text}\n\nIt acts as {made.token.member.name} ({made.token.role.value}) until "
            f"{until}.\nKeep it like a password: it is not shown again."
        ),
    )


@token.command()
@click.argument("token_id", type=int)
@command_options
def revoke(*, token_id: int, settings: Settings) -> None:
    """End a token: its next request is refused."""
    project = settings.open()
    ended = access.revoke_token(project, local_owner(project), token_id)
    show(
        _as_dict(ended),
        as_json=settings.as_json,
        text=lambda: f"Token {token_id} ({ended.name}) is revoked.",
    )


def _list(settings: Settings) -> None:
    project = settings.open()
    found = access.list_tokens(project, local_owner(project))
    rows = [
        [
            each.token_id,
            each.name,
            each.member.name,
            each.role.value,
            _state(each),
            each.expires_at[:10],
            (each.last_used_at or "never")[:16],
        ]
        for each in found
    ]
    header = ["id", "name", "member", "role", "state", "until", "last used"]
    show(
        {"tokens": [_as_dict(each) for each in found]},
        as_json=settings.as_json,
        text=lambda: table(rows, header) if rows else "No tokens yet.",
    )


def _state(found: ApiToken) -> str:
    if found.revoked_at is not None:
        return "revoked"
    return "valid" if found.is_valid(utc_now()) else "expired"


def _as_dict(found: ApiToken) -> dict[str, object]:
    return {
        "id": found.token_id,
        "name": found.name,
        "member": found.member.name,
        "role": found.role.value,
        "state": _state(found),
        "created_at": found.created_at,
        "expires_at": found.expires_at,
        "last_used_at": found.last_used_at,
    }
