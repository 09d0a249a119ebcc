"""Questions that sort images into groups, from the answers in the store to chains for its queue."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from annealing.components.choosing import next_chains
from annealing.components.evidence import Answers
from annealing.components.questions import Chain
from annealing.components.space import Space, space_of
from annealing.components.words import reason
from annealing.pool import pair_similarities
from domain.arrays import IntArray
from domain.images import ImageRecord, Part
from domain.pairs import Pair, pair
from domain.rounds import Proposal, Run
from labeling_store import answers, images
from training.checkpoints import load_head
from worker.repeats import held_pairs
from workflow.project import Project
from workflow.run_files import CHECKPOINT, read_embeddings

_Label = tuple[tuple[int, int], bool | None]


@dataclass(frozen=True)
class Archive:
    """The training images that a run has embedded, before anything was learnt about them.

    Attributes:
        image_ids: [N] the image of each row.
        copies: [N] equal for images with identical pixels.
        space: of the rows.
    """

    image_ids: IntArray
    copies: IntArray
    space: Space


def group_questions(project: Project, run: Run, count: int) -> list[Proposal]:
    """Chains of questions, in their order.

    Args:
        project: its answers of now are read.
        run: whose frozen embedding the images are compared in.
        count: how many answers the questions should be enough for.
    """
    archive = _archive(project, run)
    labels = _labels(project, archive.image_ids)
    chains = next_chains(
        archive.space,
        _answers(labels),
        count,
        error=project.config.selection.assumed_error,
        unclear=[rows for rows, similar in labels if similar is None],
    )
    held = held_pairs(project)
    proposals: list[Proposal] = []
    for number, chain in enumerate(chains):
        proposals += _as_proposals(archive, chain, number, held)
    return proposals


def answers_about(project: Project, image_ids: IntArray) -> Answers:
    """The label of each answered pair of these images, as rows; the oldest first.

    Pairs whose members are tied have none.
    """
    return _answers(_labels(project, image_ids))


def _labels(project: Project, image_ids: IntArray) -> list[_Label]:
    """The rows of each pair of these images that somebody answered, and its label, oldest first.

    None where the answers say nothing: unsure, skipped, or a tie.
    """
    place = {int(image_id): row for row, image_id in enumerate(image_ids)}
    labels = [
        label
        for label in answers.pair_labels(project.store.reader())
        if label.pair.a in place and label.pair.b in place
    ]
    labels.sort(key=lambda label: (label.answered_at, label.pair))
    return [((place[label.pair.a], place[label.pair.b]), label.similar) for label in labels]


def _answers(labels: Sequence[_Label]) -> Answers:
    """Those labels that say similar or dissimilar."""
    said = [(rows, similar) for rows, similar in labels if similar is not None]
    pairs = np.array([rows for rows, _ in said], np.int64).reshape(-1, 2)
    return Answers(pairs, np.array([similar for _, similar in said], bool))


def _archive(project: Project, run: Run) -> Archive:
    folder = project.runs / run.name
    embeddings = read_embeddings(folder)
    inside: list[ImageRecord] = [
        image
        for image in images.list_images(project.store.reader(), part=Part.TRAIN)
        if image.image_id in embeddings.rows
    ]
    vectors = embeddings.vectors[[embeddings.rows[image.image_id] for image in inside]]
    frozen = load_head(folder / CHECKPOINT).before_learning(vectors)
    return Archive(
        np.array([image.image_id for image in inside], dtype=np.int64),
        np.array([image.duplicate_group for image in inside], dtype=np.int64),
        space_of(frozen),
    )


def _as_proposals(
    archive: Archive, chain: Chain, number: int, held: set[Pair]
) -> Iterator[Proposal]:
    """The questions of a chain; none where one is about an image that somebody looks at now."""
    ids = archive.image_ids
    pairs = [pair(int(ids[a]), int(ids[b])) for a, b in chain.pairs]
    image = int(ids[chain.pairs[0][0]])
    if any(image in each for each in held) and not held.intersection(pairs):
        return
    rows = np.array(chain.pairs, dtype=np.int64)
    similarity = pair_similarities(archive.space.unit, rows)
    copies = archive.copies[rows]
    for place, asked in enumerate(pairs):
        if copies[place, 0] == copies[place, 1]:
            continue  # identical pixels need no question
        yield Proposal(
            pair=asked,
            score=0.0,
            reason=reason(chain, place),
            similarity=float(similarity[place]),
            cluster=None,
            chain=None if chain.repeats else number,
            chain_position=place,
            unless_implied=chain.unless_implied,
        )
