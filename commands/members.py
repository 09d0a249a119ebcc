"""members: who works in the project, as what."""

import click

from commands.options import Settings, command_options
from commands.output import show, table
from domain.errors import InputError
from domain.members import Member, Role
from domain.sign_ins import Identity
from workflow import members as people
from workflow import sign_ins
from workflow.people import release_leases
from workflow.project import local_owner

ROLES = [role.value for role in Role]


@click.group(invoke_without_command=True)
@click.pass_context
@command_options
def members(context: click.Context, *, settings: Settings) -> None:
    """List the members; add one, change a role, say who signs in, take one out, free pairs."""
    context.obj = settings
    if context.invoked_subcommand is None:
        _list(settings, former=False)


@members.command("list")
@click.option("--former", is_flag=True, help="Those who left.")
@command_options
def list_(*, former: bool, settings: Settings) -> None:
    """List the members with their roles."""
    _list(settings, former=former)


@members.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(ROLES),
    default=Role.ANNOTATOR.value,
    show_default=True,
    help="What they may do.",
)
@command_options
def add(*, name: str, role: str, settings: Settings) -> None:
    """Add a member."""
    project = settings.open()
    _show(people.add_member(project, local_owner(project), name, Role(role)), settings)


@members.command()
@click.argument("name")
@click.argument("role", type=click.Choice(ROLES))
@command_options
def role(*, name: str, role: str, settings: Settings) -> None:
    """Give a member another role."""
    project = settings.open()
    member = people.member_named(project, name)
    changed = people.set_role(project, local_owner(project), member.member_id, Role(role))
    _show(changed, settings)


@members.command()
@click.argument("name")
@command_options
def remove(*, name: str, settings: Settings) -> None:
    """Take a member out, and the name out of everything; it cannot be undone.

    The answers stay and count, as those of "former member N". Questions that the member had on the
    screen go to others, and tokens are revoked. Backups made before keep the name.
    """
    project = settings.open()
    member = people.member_named(project, name)
    former = people.remove_member(project, local_owner(project), member.member_id)
    show(
        _as_dict(former),
        as_json=settings.as_json,
        text=lambda: f'{member.name} left; the answers are now those of "{former.name}".',
    )


@members.command()
@click.argument("name", required=False)
@command_options
def release(*, name: str | None, settings: Settings) -> None:
    """Give the pairs on a member's screen to others; without a name, on everybody's.

    They go by themselves after a quarter of an hour. What is answered all the same counts.
    """
    project = settings.open()
    member_id = None if name is None else people.member_named(project, name).member_id
    count = release_leases(project, local_owner(project), member_id=member_id)
    show(
        {"released": count},
        as_json=settings.as_json,
        text=lambda: f"{count} pairs are free for others." if count else "Nothing was held.",
    )


@members.command("sign-in")
@click.argument("name")
@click.option("--email", help="Who proves this address first, with the provider, is the member.")
@click.option("--issuer", help="With --subject: the provider of a certain person.")
@click.option("--subject", help="With --issuer: the person's name there, as the app shows it them.")
@click.option("--none", "nobody", is_flag=True, help="Nobody signs in as the member any more.")
@command_options
def sign_in(
    *,
    name: str,
    email: str | None,
    issuer: str | None,
    subject: str | None,
    nobody: bool,
    settings: Settings,
) -> None:
    """Say who signs in as a member, in place of whoever could before."""
    who = _who(email, issuer, subject)
    if (who is None) != nobody:
        raise InputError(
            "Who signs in is not said, or more than once.",
            "Give --email E, or --issuer I with --subject S, or --none.",
        )
    project = settings.open()
    member = people.member_named(project, name)
    if who is None:
        sign_ins.end_sign_in(project, local_owner(project), member.member_id)
        words = f"Nobody can sign in as {member.name}."
    else:
        allowed = sign_ins.let_sign_in(project, local_owner(project), member.member_id, who)
        words = f"{allowed} signs in as {member.name}."
    described = {**_as_dict(member), "signs_in_as": None if who is None else str(allowed)}
    show(described, as_json=settings.as_json, text=lambda: words)


def _who(email: str | None, issuer: str | None, subject: str | None) -> Identity | str | None:
    """The one person that the options name; None for none, or where they are at odds."""
    if email and not (issuer or subject):
        return email
    return Identity(issuer, subject) if issuer and subject and not email else None


def _list(settings: Settings, *, former: bool) -> None:
    project = settings.open()
    found = people.list_members(project, former=former)
    known = {key: str(each) for key, each in sign_ins.sign_ins_by_member(project).items()}
    rows = [
        [each.member_id, each.name, each.role.value, known.get(each.member_id, ""), each.left_at]
        for each in found
    ]
    header = ["id", "name", "role", "signs in as", "left"]
    show(
        {
            "members": [
                {**_as_dict(each), "signs_in_as": known.get(each.member_id)} for each in found
            ]
        },
        as_json=settings.as_json,
        text=lambda: table(rows, header) if rows else "Nobody has left.",
    )


def _show(member: Member, settings: Settings) -> None:
    show(
        _as_dict(member),
        as_json=settings.as_json,
        text=lambda: f"{member.name} is {member.role.value}.",
    )


def _as_dict(member: Member) -> dict[str, object]:
    return {
        "id": member.member_id,
        "name": member.name,
        "role": member.role.value,
        "left_at": member.left_at,
    }
