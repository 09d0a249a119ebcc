"""From a model to questions in the queue."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from annealing.pool import Keys, pair_keys
from annealing.proposals import NO_CLUSTER, Proposals
from annealing.reasons import explain
from annealing.strategies import propose as choose
from domain.arrays import BoolArray, FloatArray, IntArray
from domain.clock import utc_now
from domain.config import Strategy
from domain.errors import JobError
from domain.images import ImageRecord, Part
from domain.pairs import pair
from domain.rounds import Proposal, Round, RoundState, Run
from labeling_store import answers, images, queue, relations, rounds, runs
from workflow.project import Project
from workflow.run_files import read_embeddings

NOTHING_LEFT = "Every pair of training images is answered or implied; there is nothing to ask."
_ROUND_SEED = 1000  # rounds draw from seeds of their own


@dataclass(frozen=True)
class _Candidates:
    """The training images that have an embedding, and what is known of their pairs."""

    image_ids: IntArray
    vectors: FloatArray
    known_pairs: IntArray
    known_similar: BoolArray
    closed: Keys


def propose_next(
    project: Project, *, strategy: str, pairs: int, device: torch.device, made_by: str
) -> tuple[int, int, tuple[str, ...]]:
    """Put the next questions into the queue: a new round, or the current one if none is answered.

    The round is marked as made by the job with the key `made_by`.

    Returns:
        The round's number, how many questions, and what a lead should know about them.

    Raises:
        JobError: there is no model yet.
    """
    run = runs.active_run(project.store.reader())
    if run is None:
        raise JobError("There is no model yet.", 'Run "python cli.py embed" first.')
    current = rounds.current_round(project.store.reader())
    number = 1 if current is None else current.number
    if current is not None and _was_answered(project, current):
        number += 1
    candidates = _candidates(project, run)
    chosen = _choose(project, candidates, strategy, pairs, number, device)
    proposals = _as_questions(chosen, candidates)
    proposals += _checks(project, candidates, chosen, pairs, number, device)
    if not proposals:
        return number, 0, (*chosen.notes, NOTHING_LEFT)
    source = {"strategy": strategy, "model": run.name, "made_by": made_by}
    with project.store.transaction() as db:
        if current is not None:
            queue.withdraw_open(db, current.round_id)
        if current is None or number > current.number:
            if current is not None:
                rounds.set_round_state(db, current.round_id, RoundState.DONE)
            current = rounds.create_round(db, number=number, **source)
        else:
            rounds.set_round_source(db, current.round_id, **source)
        queue.add_proposals(db, current.round_id, _mixed(proposals, number))
    return number, len(proposals), chosen.notes


def replace_first_questions(project: Project, *, device: torch.device) -> int:
    """Cold-start questions instead of the random ones nobody has answered or holds.

    Returns:
        How many were put; 0 if people are past the first round or have answered all of it.
    """
    current = rounds.current_round(project.store.reader())
    run = runs.active_run(project.store.reader())
    if current is None or run is None or current.number > 1 or current.model is not None:
        return 0
    status = queue.queue_status(project.store.reader(), current.round_id, utc_now())
    # an archive of three images may have had no pair to ask; images may have come since
    waiting = status.open if status.total else project.config.selection.pairs_per_round
    candidates = _without_knowledge(_candidates(project, run))
    chosen = _choose(project, candidates, Strategy.MGUE.value, waiting, 1, device)
    if not len(chosen.pairs):
        return 0
    with project.store.transaction() as db:
        queue.withdraw_open(db, current.round_id)
        strategy = Strategy.MGUE.value
        rounds.set_round_source(db, current.round_id, strategy=strategy, model=run.name)
        queue.add_proposals(db, current.round_id, _as_questions(chosen, candidates))
    return len(chosen.pairs)


def _was_answered(project: Project, current: Round) -> bool:
    return queue.queue_status(project.store.reader(), current.round_id, utc_now()).answered > 0


def _choose(
    project: Project,
    candidates: _Candidates,
    strategy: str,
    pairs: int,
    number: int,
    device: torch.device,
) -> Proposals:
    return choose(
        strategy,
        candidates.vectors,
        candidates.known_pairs,
        candidates.known_similar,
        pairs,
        rng=np.random.default_rng([project.config.seed, _ROUND_SEED + number]),
        settings=project.config.selection,
        excluded=candidates.closed,
        device=str(device),
    )


def _checks(
    project: Project,
    candidates: _Candidates,
    chosen: Proposals,
    pairs: int,
    number: int,
    device: torch.device,
) -> list[Proposal]:
    """Random pairs on top of the chosen ones: their answers measure the model without bias."""
    count = round(pairs * project.config.selection.check_share)
    taken = pair_keys(chosen.pairs, len(candidates.image_ids))
    drawn = choose(
        Strategy.RANDOM.value,
        candidates.vectors,
        candidates.known_pairs,
        candidates.known_similar,
        count,
        rng=np.random.default_rng([project.config.seed, 2 * _ROUND_SEED + number]),
        settings=project.config.selection,
        excluded=np.union1d(candidates.closed, taken),
        device=str(device),
    )
    return _as_questions(drawn, candidates, check=True)


def _as_questions(
    chosen: Proposals, candidates: _Candidates, *, check: bool = False
) -> list[Proposal]:
    reasons = explain(chosen)
    threshold = None if chosen.threshold is None else chosen.threshold.alpha
    ids = candidates.image_ids
    return [
        Proposal(
            pair=pair(int(ids[a]), int(ids[b])),
            score=float(chosen.score[place]),
            reason=reasons[place],
            similarity=float(chosen.similarity[place]),
            threshold=threshold,
            cluster=None if chosen.cluster[place] == NO_CLUSTER else int(chosen.cluster[place]),
            check=check,
        )
        for place, (a, b) in enumerate(chosen.pairs)
    ]


def _mixed(proposals: Sequence[Proposal], number: int) -> list[Proposal]:
    """The checks spread among the rest, whose order stays."""
    checks = [each for each in proposals if each.check]
    mixed = [each for each in proposals if not each.check]
    rng = np.random.default_rng(number)
    for check in checks:
        mixed.insert(int(rng.integers(len(mixed) + 1)), check)
    return mixed


def _without_knowledge(candidates: _Candidates) -> _Candidates:
    """For a cold start: a handful of answers says too little to set a threshold by."""
    nothing = np.zeros(0, dtype=bool)
    return replace(candidates, known_pairs=_pairs([]), known_similar=nothing)


def _candidates(project: Project, run: Run) -> _Candidates:
    embeddings = read_embeddings(project.runs / run.name)
    training = images.list_images(project.store.reader(), part=Part.TRAIN)
    inside = [image for image in training if image.image_id in embeddings.rows]
    place = {image.image_id: row for row, image in enumerate(inside)}
    known = relations.known_relations(
        project.store, project.config.propagation, part=Part.TRAIN, proofs=False
    )
    known = [each for each in known if each.pair.a in place and each.pair.b in place]
    return _Candidates(
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
