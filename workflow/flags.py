"""What annotators flagged, for leads to look at."""

from collections.abc import Sequence

from domain.answers import Receipt
from domain.clock import utc_now
from domain.flags import Flag, NewFlag
from domain.members import Member, Role, require
from domain.pairs import Pair
from labeling_store import flags
from workflow.project import Project


def submit_flags(project: Project, member: Member, new: Sequence[NewFlag]) -> list[Receipt]:
    """Store flags, durably, before it returns; one sent again changes nothing."""
    return flags.record_flags(project.store, member, new)


def open_flags(project: Project, *, limit: int, skip: int = 0) -> list[Flag]:
    """Flags that nobody dealt with yet, the newest first."""
    return flags.open_flags(project.store.reader(), limit=limit, skip=skip)


def flags_about(project: Project, asked: Pair) -> list[Flag]:
    """All that was flagged of a pair or one of its images, the newest first."""
    return flags.flags_about(project.store.reader(), asked)


def count_open(project: Project) -> int:
    """How many flags wait for a lead."""
    return flags.count_open(project.store.reader())


def deal_with(project: Project, member: Member, flag_id: int) -> bool:
    """Take a flag off the list; False where somebody else did so before.

    Raises:
        AccessError: the member is no lead.
    """
    require(member, Role.LEAD, to="deal with flags")
    with project.store.transaction() as db:
        return flags.deal_with(db, member, flag_id, now=utc_now())
