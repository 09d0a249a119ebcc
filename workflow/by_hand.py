"""Pairs that a lead wants answered, among images that lie together on the map."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from domain.errors import InputError
from domain.images import ImageRecord, Part
from domain.members import Member, Role, require
from domain.pairs import Pair, pair
from labeling_store import by_hand, images, rounds, runs
from labeling_store.pair_answers import relations_of
from workflow.project import Project
from workflow.run_files import read_embeddings

MOST_IMAGES = 60  # among them are 1,770 pairs
MOST_PAIRS = 200  # that somebody has to answer
REASON = "A lead chose this pair by hand."


@dataclass(frozen=True)
class Among:
    """The pairs among some images.

    Attributes:
        images: those looked at: of the images given, the first that can be learnt from.
        known: pairs whose relation the answers say already, or imply.
        in_queue: further pairs that the round asks or asked anyway.
        open: the others, which can be asked.
    """

    images: int
    known: int
    in_queue: int
    open: tuple[Pair, ...]


def among(project: Project, image_ids: Sequence[int]) -> Among:
    """What can be asked about some images.

    Images kept for measuring are left out, as nothing is learnt from their answers, and of copies
    of an image all but one.

    Args:
        project: whose images they are.
        image_ids: the most important first; behind `MOST_IMAGES` they are left out.
    """
    current = rounds.current_round(project.store.reader())
    chosen = _to_learn_from(project, image_ids)
    pairs = [pair(a, b) for a, b in combinations(chosen, 2)]
    known = relations_of(project.store, pairs)
    unknown = [each for each in pairs if each not in known]
    asked: set[Pair] = set()
    if current is not None:
        asked = by_hand.pairs_in_queue(project.store.reader(), current.round_id)
    rest = tuple(each for each in unknown if each not in asked)
    return Among(len(chosen), len(known), len(unknown) - len(rest), rest)


def ask(project: Project, member: Member, image_ids: Sequence[int], *, count: int) -> int:
    """Ask next so many of the pairs among some images, those the model is least sure of; how many.

    They count for the current round; what others imply by then is passed over.

    Raises:
        AccessError: the member is no lead.
        InputError: there is no round yet, no such pair, or the count is out of bounds.
    """
    require(member, Role.LEAD, to="choose what is asked")
    if not 1 <= count <= MOST_PAIRS:
        raise InputError(f"{count} pairs; must be from 1 to {MOST_PAIRS}.")
    wanted = least_sure(project, among(project, image_ids).open)[:count]
    with project.store.transaction() as db:
        current = rounds.current_round(db)
        if current is None:
            raise InputError("No round is open.", "Add images first: see Project.")
        if not wanted:
            raise InputError(
                "All pairs of these images are known or asked already.", "Choose other images."
            )
        return by_hand.ask_first(db, current.round_id, wanted, REASON)


def least_sure(project: Project, pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs by how near the active model's similarity is to its threshold, the nearest first.

    Without a threshold the most similar come first; pairs of images that the model has not seen
    come last.
    """
    run = runs.active_run(project.store.reader())
    if run is None:
        return list(pairs)
    embeddings = read_embeddings(project.runs / run.name)
    threshold = run.metrics.get("threshold", 1.0)

    def distance(each: Pair) -> float:
        rows = [embeddings.rows.get(image_id) for image_id in each]
        if None in rows:
            return float("inf")
        a, b = (embeddings.vectors[row] for row in rows)
        return abs(float(np.dot(a, b)) - threshold)

    return sorted(pairs, key=lambda each: (distance(each), each))


def _to_learn_from(project: Project, image_ids: Sequence[int]) -> list[int]:
    found = images.images_by_id(project.store.reader(), image_ids)
    one_of_each: dict[int, ImageRecord] = {}
    for image_id in image_ids:
        image = found.get(image_id)
        if image is not None and image.part is Part.TRAIN:
            one_of_each.setdefault(image.duplicate_group, image)
    return [each.image_id for each in one_of_each.values()][:MOST_IMAGES]
