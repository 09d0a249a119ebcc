"""Who works in a project, and who may change that.

Every function that changes something takes the actor and looks their role up again in the same
transaction: an owner may do everything, a lead adds annotators and takes them out, and everybody
may leave.
"""

from domain.clock import utc_now
from domain.errors import InputError
from domain.members import LOCAL_OWNER, Member, Role, given_name
from labeling_store import members
from workflow.project import Project


def list_members(project: Project, *, former: bool = False) -> list[Member]:
    """The members in the order in which they came; or those who left."""
    return members.list_members(project.store.reader(), former=former)


def get_member(project: Project, member_id: int) -> Member | None:
    """The member of that id as of now, None if there is none or they left."""
    return members.get_member(project.store.reader(), member_id)


def member_named(project: Project, name: str) -> Member:
    """The member of that name.

    Raises:
        InputError: there is none.
    """
    found = members.find_member(project.store.reader(), given_name(name))
    if found is None or found.left_at is not None:
        raise InputError(f'There is no member "{name}".', '"python cli.py members" lists them.')
    return found


def add_member(project: Project, actor: Member, name: str, role: Role) -> Member:
    """A new member.

    Raises:
        AccessError: the actor may not give that role.
        InputError: the name is not allowed, or taken.
    """
    with project.store.transaction() as db:
        needed = Role.LEAD if role is Role.ANNOTATOR else Role.OWNER
        members.check_actor(db, actor, needed, to=f"add members as {role.value}")
        return members.add_member(db, name, role)


def join(project: Project, name: str) -> Member:
    """A new annotator who came by themself, where nobody signs in; or the one of that name.

    Whoever sits at such a machine can be anybody of the project, so this gives nothing away.

    Raises:
        InputError: the name is not allowed.
    """
    with project.store.transaction() as db:
        known = members.find_member(db, given_name(name))
        if known is not None and known.left_at is None:
            return known
        return members.add_member(db, name, Role.ANNOTATOR)


def set_role(project: Project, actor: Member, member_id: int, role: Role) -> Member:
    """Give a member another role; it counts from their next request on.

    Raises:
        AccessError: the actor is no owner.
        InputError: there is no such member, or the project would be left without an owner.
    """
    with project.store.transaction() as db:
        members.check_actor(db, actor, Role.OWNER, to="change roles")
        member = _standing(members.get_member(db, member_id), member_id)
        if role is not Role.OWNER:
            _keep_local_owner(member)
        return members.set_role(db, member, role)


def remove_member(project: Project, actor: Member, member_id: int) -> Member:
    """Take a member out of the project, and their name out of everything; the answers stay.

    Their leases end and their tokens are revoked. It cannot be undone.

    Returns:
        The former member.

    Raises:
        AccessError: the actor may not take this member out.
        InputError: there is no such member, or the project would be left without an owner.
    """
    with project.store.transaction() as db:
        member = _standing(members.get_member(db, member_id), member_id)
        if actor.member_id != member_id:
            needed = Role.LEAD if member.role is Role.ANNOTATOR else Role.OWNER
            members.check_actor(db, actor, needed, to=f'remove "{member.name}"')
        _keep_local_owner(member)
        return members.leave(db, member, now=utc_now())


def _standing(member: Member | None, member_id: int) -> Member:
    if member is None:
        raise InputError(
            f"There is no member {member_id}, or they left.", "Reload the list of members."
        )
    return member


def _keep_local_owner(member: Member) -> None:
    if member.name == LOCAL_OWNER:
        raise InputError(
            f'"{LOCAL_OWNER}" is who acts on the command line, always as owner.',
            "Change the roles of others.",
        )
