"""The pairs that may be asked: training images under a model, and what is known of their pairs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from annealing.pool import Keys, pair_keys
from domain.arrays import BoolArray, FloatArray, IntArray
from domain.clock import utc_now
from domain.images import ImageRecord, Part
from domain.rounds import Run
from labeling_store import answers, images, queue, relations, rounds
from workflow.project import Project
from workflow.run_files import read_embeddings


@dataclass(frozen=True)
class Candidates:
    """The training images that have an embedding, and what is known of their pairs.

    Attributes:
        image_ids: [N] the image of each row.
        vectors: [N, D] unit vectors.
        known_pairs: [K, 2] rows, answered or implied; `known_similar` [K] says how.
        closed: keys of row pairs that must not be asked.
    """

    image_ids: IntArray
    vectors: FloatArray
    known_pairs: IntArray
    known_similar: BoolArray
    closed: Keys


def without_knowledge(candidates: Candidates) -> Candidates:
    """For a cold start: a handful of answers says too little to set a threshold by."""
    nothing = np.zeros(0, dtype=bool)
    return replace(candidates, known_pairs=_pairs([]), known_similar=nothing)


def candidates_of(project: Project, run: Run) -> Candidates:
    """The candidates under a run, as the answers are now."""
    embeddings = read_embeddings(project.runs / run.name)
    training = images.list_images(project.store.reader(), part=Part.TRAIN)
    inside = [image for image in training if image.image_id in embeddings.rows]
    place = {image.image_id: row for row, image in enumerate(inside)}
    known = relations.known_relations(
        project.store, project.config.propagation, part=Part.TRAIN, proofs=False
    )
    known = [each for each in known if each.pair.a in place and each.pair.b in place]
    return Candidates(
        image_ids=np.array([image.image_id for image in inside], dtype=np.int64),
        vectors=embeddings.vectors[[embeddings.rows[image.image_id] for image in inside]],
        known_pairs=_pairs([(place[each.pair.a], place[each.pair.b]) for each in known]),
        known_similar=np.array([each.similar for each in known], dtype=bool),
        closed=_closed(project, inside, place),
    )


def _closed(project: Project, inside: list[ImageRecord], place: dict[int, int]) -> Keys:
    """Pairs not to ask: copies of one image, pairs with an answer, questions people hold."""
    pairs = _copies(inside)
    db = project.store.reader()
    asked = [label.pair for label in answers.pair_labels(db)]
    current = rounds.current_round(db)
    if current is not None:
        asked += queue.leased_pairs(db, current.round_id, utc_now())
    pairs += [(place[p.a], place[p.b]) for p in asked if p.a in place and p.b in place]
    return np.unique(pair_keys(_pairs(pairs), len(inside)))


def _copies(inside: list[ImageRecord]) -> list[tuple[int, int]]:
    groups: dict[int, list[int]] = {}
    for row, image in enumerate(inside):
        groups.setdefault(image.duplicate_group, []).append(row)
    return [
        (rows[i], rows[j])
        for rows in groups.values()
        for i in range(len(rows))
        for j in range(i + 1, len(rows))
    ]


def _pairs(rows: Sequence[tuple[int, int]]) -> IntArray:
    return np.array(rows, dtype=np.int64).reshape(-1, 2)
