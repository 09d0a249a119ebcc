"""The pairs that may be asked: training images under a model, and what is known of their pairs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from annealing.implications import Implications, implications
from annealing.pair_classifier import PairClassifier
from annealing.pool import Keys, joined, keys_within_groups, pair_keys
from domain.answers import Kind
from domain.arrays import BoolArray, FloatArray, IntArray
from domain.clock import utc_now
from domain.images import ImageRecord, Part
from domain.pairs import pair
from domain.rounds import Run
from labeling_store import answers, images, queue, relations, responses, rounds
from training.checkpoints import load_head
from workflow.project import Project
from workflow.run_files import CHECKPOINT, read_embeddings


@dataclass(frozen=True)
class Candidates:
    """The training images that have an embedding, and what is known of their pairs.

    Attributes:
        image_ids: [N] the image of each row.
        vectors: [N, D] unit vectors.
        known_pairs: [K, 2] rows, answered or implied; `known_similar` [K] says how.
        closed: keys of row pairs that must not be asked.
        settles: what answers would imply, by row.
        classifier: of pairs, on the vectors; None where the model has none.
        last_answers: of the questions that a strategy chose for the latest round with answers,
            whether each was answered "similar".
    """

    image_ids: IntArray
    vectors: FloatArray
    known_pairs: IntArray
    known_similar: BoolArray
    closed: Keys
    settles: Implications
    classifier: PairClassifier | None
    last_answers: BoolArray


def without_knowledge(candidates: Candidates) -> Candidates:
    """For a cold start: a handful of answers says too little to set a threshold by.

    What they imply is not asked all the same.
    """
    known = pair_keys(candidates.known_pairs, len(candidates.image_ids))
    return replace(
        candidates,
        known_pairs=_pairs([]),
        known_similar=np.zeros(0, dtype=bool),
        closed=joined(candidates.closed, known),
    )


def candidates_of(project: Project, run: Run) -> Candidates:
    """The candidates under a run, as the answers are now."""
    spread = project.config.propagation
    embeddings = read_embeddings(project.runs / run.name)
    training = images.list_images(project.store.reader(), part=Part.TRAIN)
    inside = [image for image in training if image.image_id in embeddings.rows]
    place = {image.image_id: row for row, image in enumerate(inside)}
    known = relations.known_relations(project.store, spread, part=Part.TRAIN, proofs=False)
    known = [each for each in known if each.pair.a in place and each.pair.b in place]
    answered = {
        pair(place[each.pair.a], place[each.pair.b]): each.similar
        for each in known
        if not each.implied
    }
    return Candidates(
        image_ids=np.array([image.image_id for image in inside], dtype=np.int64),
        vectors=embeddings.vectors[[embeddings.rows[image.image_id] for image in inside]],
        known_pairs=_pairs([(place[each.pair.a], place[each.pair.b]) for each in known]),
        known_similar=np.array([each.similar for each in known], dtype=bool),
        closed=_closed(project, inside, place),
        settles=implications(answered, spread),
        classifier=load_head(project.runs / run.name / CHECKPOINT).classifier,
        last_answers=_last_answers(project),
    )


def _last_answers(project: Project) -> BoolArray:
    db = project.store.reader()
    for each in reversed(rounds.list_rounds(db)):
        answered = responses.answered_proposals(db, each.round_id)
        said = [q.kind for q in answered if q.kind.is_label and not (q.check or q.repeat)]
        if said:
            return np.array([kind is Kind.SIMILAR for kind in said])
    return np.zeros(0, dtype=bool)


def _closed(project: Project, inside: list[ImageRecord], place: dict[int, int]) -> Keys:
    """Pairs not to ask: copies of one image, pairs with an answer, questions people hold."""
    copies = np.array([image.duplicate_group for image in inside], dtype=np.int64)
    db = project.store.reader()
    asked = [label.pair for label in answers.pair_labels(db)]
    current = rounds.current_round(db)
    if current is not None:
        asked += queue.leased_pairs(db, current.round_id, utc_now())
    pairs = [(place[p.a], place[p.b]) for p in asked if p.a in place and p.b in place]
    return joined(keys_within_groups(copies), pair_keys(_pairs(pairs), len(inside)))


def _pairs(rows: Sequence[tuple[int, int]]) -> IntArray:
    return np.array(rows, dtype=np.int64).reshape(-1, 2)
