"""Questions that sort images into groups, from the answers in the store to chains for its queue."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from annealing.components.choosing import next_chains
from annealing.components.questions import Chain
from annealing.components.space import Space
from annealing.components.words import reason
from annealing.pool import draw_pairs, pair_keys, pair_similarities
from annealing.reasons import RANDOM
from domain.images import Part
from domain.pairs import Pair, pair
from domain.rounds import Proposal, Run
from labeling_store import images
from training.checkpoints import load_head
from worker.distinct import Distinct, answers_of, distinct, labels_about
from worker.repeats import held_pairs
from worker.spaces import kept_space
from workflow.consistency import error_to_reckon_with
from workflow.project import Project
from workflow.run_files import CHECKPOINT, Embeddings, read_embeddings


@dataclass(frozen=True)
class Archive:
    """The training images that a run has embedded.

    Attributes:
        images: copies counted as one.
        space: of their rows, before anything was learnt about them.
        embeddings: of the run.
        threshold: the similarity from which on the run says similar; None: it does not.
    """

    images: Distinct
    space: Space
    embeddings: Embeddings
    threshold: float | None


def archive_of(project: Project, run: Run) -> Archive:
    """The training images of now that a run has embedded."""
    folder = project.runs / run.name
    embeddings = read_embeddings(folder)
    place = embeddings.rows
    training = images.list_images(project.store.reader(), part=Part.TRAIN)
    inside = distinct([image for image in training if image.image_id in place])
    head = load_head(folder / CHECKPOINT)

    def space() -> Space:
        rows = [place[record.image_id] for record in inside.records]
        return head.module.space(embeddings.vectors[rows])

    if head.module.keeps_frozen:
        kept = kept_space(project, head.module.statistics, inside.records, space)
    else:
        kept = space()
    return Archive(inside, kept, embeddings, run.metrics.get("threshold"))


def group_questions(project: Project, archive: Archive, count: int) -> list[Proposal]:
    """Chains of questions, in their order.

    Args:
        project: its answers of now are read.
        archive: whose images are asked about.
        count: how many answers the questions should be enough for.
    """
    labels = labels_about(project, archive.images)
    chains = next_chains(
        archive.space,
        answers_of(labels),
        count,
        error=error_to_reckon_with(project),
        unclear=[label.rows for label in labels if label.similar is None],
    )
    held = archive.images.rows_of_all(held_pairs(project))
    proposals: list[Proposal] = []
    for number, chain in enumerate(chains):
        proposals += _as_proposals(archive, chain, number, held)
    return proposals


def random_checks(
    project: Project,
    archive: Archive,
    count: int,
    *,
    but: Collection[Pair],
    rng: np.random.Generator,
) -> list[Proposal]:
    """Random pairs that nobody answered or holds: their answers measure the model without bias.

    Args:
        project: its answers of now are read.
        archive: from whose images they are drawn.
        count: how many.
        but: pairs of images that are asked anyway.
        rng: draws them.
    """
    ids, place = archive.images.image_ids, archive.embeddings.rows
    rows = len(ids)
    closed = archive.images.rows_of_all((*but, *held_pairs(project)))
    closed |= {label.rows for label in labels_about(project, archive.images)}
    keys = pair_keys(np.array([*closed], np.int64).reshape(-1, 2), rows)
    drawn = [pair(int(ids[a]), int(ids[b])) for a, b in draw_pairs(rows, count, keys, rng)]
    places = np.array([(place[each.a], place[each.b]) for each in drawn], np.int64).reshape(-1, 2)
    similarity = pair_similarities(archive.embeddings.vectors, places)
    return [
        Proposal(
            pair=each,
            score=0.0,
            reason=RANDOM,
            similarity=float(similarity[number]),
            threshold=archive.threshold,
            check=True,
        )
        for number, each in enumerate(drawn)
    ]


def _as_proposals(
    archive: Archive, chain: Chain, number: int, held: set[Pair]
) -> Iterator[Proposal]:
    """The questions of a chain; none where one is about an image that somebody looks at now."""
    ids = archive.images.image_ids
    asked = [pair(*rows) for rows in chain.pairs]
    image = chain.pairs[0][0]
    if any(image in each for each in held) and not held.intersection(asked):
        return
    similarity = pair_similarities(archive.space.unit, np.array(asked, dtype=np.int64))
    for place, rows in enumerate(asked):
        yield Proposal(
            pair=pair(int(ids[rows.a]), int(ids[rows.b])),
            score=0.0,
            reason=reason(chain, place),
            similarity=float(similarity[place]),
            cluster=None,
            chain=None if chain.repeats else number,
            chain_position=place,
            unless_implied=chain.unless_implied,
        )
