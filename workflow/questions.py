"""What the annotate page asks for between two key presses: questions out, answers in."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.answers import NewAnswer, Propagation, Receipt
from domain.clock import utc_now
from domain.members import Member, Role
from domain.rounds import QueuedPair
from labeling_store import answers, queue, rounds
from labeling_store.chains import release_settled
from labeling_store.holding import not_theirs
from labeling_store.relations import stands_for
from workflow.project import Project
from workflow.rounds import learns_by_itself

LEASE_S = 900.0  # a quarter of an hour: longer than a coffee, shorter than a day off


@dataclass(frozen=True)
class Question:
    """A pair leased to one member, with the reason it is asked.

    The reason gives the model's figures only where the project is not `blind`.

    Attributes:
        stands_for: of how many pairs the answer speaks, as what is known to be similar to one image
            shares its relations. As large for a hidden repeat as for any other question.
    """

    proposal_id: int
    image_a: int
    image_b: int
    round_id: int
    round_number: int
    reason: str
    model: str | None
    stands_for: int = 1


@dataclass(frozen=True)
class RoundProgress:
    """How far people are in the current round, in questions.

    Attributes:
        open: can be asked now; of a chain, the one question whose turn it is.
        target: so many answers make the round; then it can be trained on. Never more than there
            can still be.
        total: answered, before somebody, or open. Those beyond the target are spare, for people
            who go on meanwhile. A chain that goes on may bring more.
        by_itself: the model learns at the target without anybody starting it.
        notes: what was out of the ordinary in choosing the questions.
    """

    round_id: int
    round_number: int
    answered: int
    leased: int
    open: int
    total: int
    target: int
    by_itself: bool = False
    notes: tuple[str, ...] = ()

    @property
    def left(self) -> int:
        """Answers until the target is reached."""
        return max(self.target - self.answered, 0)

    @property
    def spare(self) -> int:
        """Questions that can surely be answered beyond the target."""
        return max(self.total - max(self.target, self.answered), 0)


def next_questions(
    project: Project, member: Member, *, count: int, held: Sequence[int] = ()
) -> list[Question]:
    """Further questions of the current round for a member; leases of the held ones are renewed."""
    current = rounds.current_round(project.store.reader())
    if current is None:
        return []
    claimed = queue.claim(
        project.store,
        member.member_id,
        current.round_id,
        count=count,
        now=utc_now(),
        lease_s=LEASE_S,
        held=held,
    )
    return as_questions(project, claimed)


def as_questions(project: Project, asked: Sequence[QueuedPair]) -> list[Question]:
    """Queued questions as people see them."""
    if project.config.propagation is Propagation.CLOSURE:
        counts = stands_for(project.store, [each.pair for each in asked])
    else:
        counts = [1] * len(asked)
    return [
        Question(
            proposal_id=each.proposal_id,
            image_a=each.pair.a,
            image_b=each.pair.b,
            round_id=each.round_id,
            round_number=each.round_number,
            reason=_reason(each, blind=project.config.annotators.blind),
            model=each.model,
            stands_for=count,
        )
        for each, count in zip(asked, counts, strict=True)
    ]


def _reason(asked: QueuedPair, *, blind: bool) -> str:
    if blind or asked.similarity is None:
        return asked.reason
    bound = "" if asked.threshold is None else f", the model's threshold {asked.threshold:.2f}"
    return f"{asked.reason} Similarity {asked.similarity:.2f}{bound}."


def is_blind(project: Project, member: Member) -> bool:
    """Whether a member is to answer without hearing what others say, nor that it contradicts."""
    return project.config.annotators.blind and not member.role.includes(Role.LEAD)


def drop_settled(project: Project, member: Member, held: Sequence[int]) -> list[int]:
    """Which of the questions before a member need no answer of theirs any more.

    Others gave it, or have the question before them since the member's lease ran out.
    """
    current = rounds.current_round(project.store.reader())
    if current is None:
        return []
    gone = not_theirs(project.store.reader(), member.member_id, held, now=utc_now())
    rest = [each for each in held if each not in gone]
    return gone + release_settled(project.store, member.member_id, current.round_id, rest)


def submit_answers(project: Project, member: Member, new: Sequence[NewAnswer]) -> list[Receipt]:
    """Store answers, durably, before it returns; an answer sent again changes nothing."""
    return answers.record_answers(project.store, member, new)


def submit_parcels(
    project: Project, parcels: Sequence[tuple[Member, Sequence[NewAnswer]]]
) -> list[list[Receipt]]:
    """The same for answers of several members, all in one go; the receipts of each parcel."""
    return answers.record_parcels(project.store, parcels)


def round_progress(project: Project) -> RoundProgress | None:
    """Counts of the current round; None before there is one."""
    db = project.store.reader()
    current = rounds.current_round(db)
    if current is None:
        return None
    status = queue.queue_status(project.store, current.round_id, utc_now())
    return RoundProgress(
        round_id=current.round_id,
        round_number=current.number,
        answered=status.answered,
        leased=status.leased,
        open=status.open,
        total=status.total,
        target=status.target,
        by_itself=learns_by_itself(current, project.config.selection),
        notes=current.notes,
    )
