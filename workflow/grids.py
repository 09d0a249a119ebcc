"""Questions that share an image, to be answered at one look."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from domain.clock import utc_now
from domain.members import Member
from domain.pairs import Pair
from domain.rounds import QueuedPair
from labeling_store import queue, rounds
from labeling_store.following import following
from workflow.project import Project
from workflow.questions import LEASE_S, Question, as_questions

MOST_QUESTIONS = 9  # digits on a keyboard, and small images that can still be judged


@dataclass(frozen=True)
class Grid:
    """Questions about one image.

    Attributes:
        image_id: the image that all of them are about.
        chain: they stand in a chain: the first is leased to the member, which keeps the others from
            everybody else; at "similar" the rest need no answer. Else each is leased.
    """

    image_id: int
    chain: bool
    questions: tuple[Question, ...]


def next_grids(
    project: Project, member: Member, *, count: int, held: Sequence[int] = ()
) -> list[Grid]:
    """Further questions of the current round for a member, put together; see `next_questions`.

    A chain makes one grid. Single questions are put with others about one of their images, also
    with such that would have come later.
    """
    current = rounds.current_round(project.store.reader())
    if current is None:
        return []
    claims = _Claims(project, member, current.round_id, list(held))
    claimed = claims.more(count)
    first = {each.proposal_id for each in claimed}
    rest = following(project.store, current.round_id, first, most=MOST_QUESTIONS - 1)
    waiting = [each for each in claimed if each.proposal_id not in rest]
    grids = []
    for each in claimed:
        if each.proposal_id in rest:
            grids.append(_grid(project, [each, *rest[each.proposal_id]], chain=True))
        elif each in waiting:
            together = _together(claims, each, waiting)
            waiting = [other for other in waiting if other not in together]
            grids.append(_grid(project, together, chain=False))
    return grids


@dataclass(frozen=True)
class _Claims:
    """Leases questions to one member."""

    project: Project
    member: Member
    round_id: int
    held: list[int]

    def more(self, count: int, *, about: int | None = None) -> list[QueuedPair]:
        """Further questions, of any image or of one."""
        found = queue.claim(
            self.project.store,
            self.member.member_id,
            self.round_id,
            count=count,
            now=utc_now(),
            lease_s=LEASE_S,
            held=self.held,
            about=about,
        )
        self.held.extend(each.proposal_id for each in found)
        return found


def _together(
    claims: _Claims, asked: QueuedPair, waiting: Sequence[QueuedPair]
) -> list[QueuedPair]:
    """A single question and others about the one of its images that more are about."""
    others = [each for each in waiting if each != asked]
    by_image = {
        image: [each for each in others if image in each.pair][: MOST_QUESTIONS - 1]
        for image in asked.pair
    }
    image = max(by_image, key=lambda each: len(by_image[each]))
    found = by_image[image]
    found += claims.more(MOST_QUESTIONS - 1 - len(found), about=image)
    if not found:
        (other,) = {*asked.pair} - {image}
        found = claims.more(MOST_QUESTIONS - 1, about=other)
    return [asked, *found]


def _grid(project: Project, asked: Sequence[QueuedPair], *, chain: bool) -> Grid:
    questions = tuple(as_questions(project, asked))
    return Grid(_shared([each.pair for each in asked]), chain, questions)


def _shared(pairs: Sequence[Pair]) -> int:
    """The image that most of the pairs have; the first of a lone pair."""
    return Counter(image for pair in pairs for image in pair).most_common(1)[0][0]
