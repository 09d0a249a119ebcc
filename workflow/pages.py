"""What a project holds, a page at a time: for scripts, which may not want it all at once.

A page goes on from the last key of the page before, so that it costs the same however far down it
is, and what is added meanwhile shifts nothing.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from domain.answers import KnownRelation, PairLabel
from domain.clock import utc_now
from domain.images import ImageRecord, Part
from domain.pairs import Pair
from labeling_store import answers, images, queue, relations, rounds, runs
from labeling_store.relations import Explanation
from workflow.project import Project
from workflow.rounds import RoundRow

BEFORE_ALL = Pair(0, 0)  # no pair: the key to begin with

T = TypeVar("T")
K = TypeVar("K")


@dataclass(frozen=True)
class Page(Generic[T, K]):
    """Some items, and the key to go on from; None after the last page.

    A page may have fewer items than asked for, even none, and still not be the last.
    """

    items: tuple[T, ...]
    next: K | None


def image_page(
    project: Project, *, after: int, limit: int, part: Part | None = None
) -> Page[ImageRecord, int]:
    """Catalogued images by ascending id, of one part or all."""
    found = images.images_after(project.store.reader(), after, limit=limit, part=part)
    return Page(tuple(found), found[-1].image_id if len(found) == limit else None)


def has_image(project: Project, image_id: int) -> bool:
    """Whether the catalogue has an image of that id."""
    return images.get_image(project.store.reader(), image_id) is not None


def label_page(
    project: Project, *, after: Pair, limit: int, image_id: int | None = None
) -> Page[PairLabel, Pair]:
    """Current labels by ascending pair, of one image or all."""
    with project.store.snapshot() as db:
        pairs = answers.pairs_answered(db, after=after, limit=limit, image_id=image_id)
        labels = answers.labels_of_pairs(db, pairs)
    return Page(tuple(labels), pairs[-1] if len(pairs) == limit else None)


def known_by_pair(project: Project) -> tuple[KnownRelation, ...]:
    """What training knows now, answered and implied pairs of the training part, without proofs."""
    found = relations.known_relations(project.store, project.config.propagation, proofs=False)
    return tuple(sorted(found, key=lambda each: each.pair))


def known_page(
    known: Sequence[KnownRelation], *, after: Pair, limit: int
) -> Page[KnownRelation, Pair]:
    """A page of what `known_by_pair` gave."""
    start = bisect_right(known, after, key=lambda each: each.pair)
    found = tuple(known[start : start + limit])
    return Page(found, found[-1].pair if start + limit < len(known) else None)


def explanation(project: Project, asked: Pair) -> Explanation | None:
    """What the answers say of two images by the closure, and why; None: nothing."""
    return relations.explain(project.store, *asked)


def round_page(project: Project, *, after: int, limit: int) -> Page[RoundRow, int]:
    """Rounds by ascending number, each with the model trained at its end."""
    db = project.store.reader()
    trained = {run.round_number: run for run in runs.list_runs(db)}
    later = [each for each in rounds.list_rounds(db) if each.number > after]
    found = []
    for each in later[:limit]:
        status = queue.queue_status(project.store, each.round_id, utc_now())
        found.append(RoundRow(each, status.answered, status.target, trained.get(each.number)))
    return Page(tuple(found), later[limit - 1].number if len(later) > limit else None)


def last_event_id(project: Project) -> int:
    """The newest event's id: what is known stays the same until it changes."""
    return answers.last_event_id(project.store.reader())
