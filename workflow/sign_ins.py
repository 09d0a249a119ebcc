"""Which member somebody is who signed in with a provider, and who may decide that.

An owner says who may be whom, a lead for annotators only: whoever sets the address of a member can
become that member.
"""

from dataclasses import replace

from domain.clock import utc_now
from domain.errors import InputError
from domain.members import LOCAL_OWNER, Member, Role
from domain.sign_ins import Identity, SignIn, given_email
from labeling_store import members, sign_ins
from workflow.project import Project


def member_signed_in(project: Project, identity: Identity) -> Member | None:
    """Whom the person is known to be, as of now; None for strangers.

    Who first proves an address that is expected becomes its member, and no other person after
    them, even if the address changes hands.
    """
    found = sign_ins.member_of(project.store.reader(), identity)
    if found is not None or not identity.verified:
        return found
    try:
        email = given_email(identity.email)
    except InputError:
        return None
    if sign_ins.expected(project.store.reader(), email) is None:
        return None
    with project.store.transaction() as db:
        member = sign_ins.expected(db, email)  # somebody may have been quicker
        if member is not None:
            sign_ins.take(db, member, identity, now=utc_now())
        return member


def sign_ins_by_member(project: Project) -> dict[int, SignIn]:
    """By what each member is known, by the member's id; the others cannot sign in."""
    return sign_ins.list_sign_ins(project.store.reader())


def let_sign_in(
    project: Project, actor: Member, member_id: int, identity: Identity | str
) -> SignIn:
    """Let somebody sign in as a member, in place of whoever could before.

    Args:
        project: the project.
        actor: a lead for annotators, an owner for everybody.
        member_id: whom they will be.
        identity: an e-mail address, which the provider must call verified, or a certain person.

    Raises:
        AccessError: the actor may not say who is that member.
        InputError: it is no address, or somebody else's; or there is no such member.
    """
    wanted = SignIn(member_id)
    if isinstance(identity, str):
        wanted = replace(wanted, email=given_email(identity))
    else:
        wanted = replace(wanted, issuer=identity.issuer, subject=identity.subject)
    with project.store.transaction() as db:
        _check(project, actor, member_id)
        sign_ins.allow(db, wanted, now=utc_now())
    return wanted


def end_sign_in(project: Project, actor: Member, member_id: int) -> None:
    """Let nobody sign in as that member any more; it counts from their next request on.

    Raises:
        AccessError: the actor may not say who is that member.
        InputError: there is no such member.
    """
    with project.store.transaction() as db:
        _check(project, actor, member_id)
        sign_ins.end(db, member_id)


def whom_to_ask(project: Project) -> list[str]:
    """Names of those who may let others in, the owners, but for the one of the command line."""
    everybody = members.list_members(project.store.reader())
    return [each.name for each in everybody if each.role is Role.OWNER and each.name != LOCAL_OWNER]


def _check(project: Project, actor: Member, member_id: int) -> None:
    db = project.store.reader()  # inside the caller's transaction: it is this thread's
    member = members.get_member(db, member_id)
    if member is None:
        raise InputError(f"There is no member {member_id}.", '"python cli.py members" lists them.')
    needed = Role.LEAD if member.role is Role.ANNOTATOR else Role.OWNER
    members.check_actor(db, actor, needed, to=f'say who signs in as "{member.name}"')
