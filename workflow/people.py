"""The people of a project and how far their answers can be trusted, for the People page."""

from dataclasses import dataclass

from domain.clock import utc_now
from domain.members import Member, Role
from domain.people import Activity, PeopleReport
from labeling_store import agreement, answers, members, queue
from workflow import jobs
from workflow.project import Project

FEWEST_PAIRS = 20  # common pairs from which a kappa is put in words
# Landis & Koch (1977), The measurement of observer agreement for categorical data.
_STRENGTHS = (
    (0.0, "worse than chance"),
    (0.2, "slight"),
    (0.4, "fair"),
    (0.6, "moderate"),
    (0.8, "substantial"),
    (1.0, "almost perfect"),
)


@dataclass(frozen=True)
class Person:
    """A member, what they did as of the last report, and how many pairs they have before them."""

    member: Member
    activity: Activity | None
    leases: int


@dataclass(frozen=True)
class People:
    """The members of a project.

    Attributes:
        persons: those of now, in the order in which they came.
        former: those who left.
        report: what the worker found out last; None before the first time.
        new_events: how many came since.
    """

    persons: tuple[Person, ...]
    former: tuple[Person, ...]
    report: PeopleReport | None
    new_events: int

    def name(self, member_id: int) -> str:
        """The name of a member, former ones too."""
        everybody = (*self.persons, *self.former)
        return next(each.member.name for each in everybody if each.member.member_id == member_id)


def people(project: Project) -> People:
    """The members with what is known of their answers."""
    with project.store.snapshot() as db:
        report = agreement.newest_report(db)
        leases = queue.leases_by_member(db, utc_now())
        activities = {each.member_id: each for each in report.activities} if report else {}
        now, former = (
            tuple(
                Person(each, activities.get(each.member_id), leases.get(each.member_id, 0))
                for each in members.list_members(db, former=left)
            )
            for left in (False, True)
        )
        newest = answers.last_event_id(db)
    return People(now, former, report, newest - (report.last_event_id if report else 0))


def compare_answers(project: Project, actor: Member) -> int:
    """Ask the worker for a new report; the job's id.

    Raises:
        AccessError: the actor is no lead.
    """
    members.check_actor(project.store.reader(), actor, Role.LEAD, to="compare people's answers")
    return jobs.enqueue_people(project.jobs)


def release_leases(project: Project, actor: Member, *, member_id: int | None = None) -> int:
    """Give the pairs that a member, or everybody, has before them to others; how many.

    What people answer all the same still counts.

    Raises:
        AccessError: the actor is no lead.
    """
    with project.store.transaction() as db:
        members.check_actor(db, actor, Role.LEAD, to="release the pairs of others")
        return queue.release(db, member_id=member_id)


def kappa_in_words(kappa: float | None, pairs: int) -> str:
    """How strong an agreement is, in words."""
    if pairs == 0:
        return "no pair was labelled by two people yet"
    if kappa is None:
        return "all labels are the same, so chance explains the agreement as well"
    if pairs < FEWEST_PAIRS:
        return f"too few pairs to say; {FEWEST_PAIRS} or more are better"
    return next(words for bound, words in _STRENGTHS if kappa <= bound)
