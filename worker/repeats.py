"""Which pairs are asked of several people, or of somebody again, to see how far answers hold.

Three kinds: pairs whose answers contradict others are asked again openly, of anybody; pairs that
somebody answered long ago are asked of the same person again, unmarked; and a share of all
questions is asked of several people.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil

import numpy as np

from annealing.pool import pair_similarities
from domain.arrays import FloatArray
from domain.clock import utc_now
from domain.config import AnnotatorSettings
from domain.pairs import Pair
from domain.rounds import Proposal, Run
from labeling_store import queue, rounds
from labeling_store.repeats import answered_long_ago, answered_pairs, repeats_due
from workflow.consistency import asked_again
from workflow.project import Project
from workflow.run_files import read_embeddings

_AGAIN = "Asked a second time, to be sure of it: look at the two afresh."
_UNEXPLAINED = "One of the pairs that show how well answers go together."


def doubted(project: Project, run: Run, count: int) -> list[Proposal]:
    """Up to so many answered pairs that are asked again, because answers contradict each other."""
    held = held_pairs(project)
    inside = read_embeddings(project.runs / run.name).rows
    return [
        Proposal(pair=each, score=0.0, reason=_AGAIN)
        for each in asked_again(project, count)
        if each not in held and each.a in inside and each.b in inside
    ]


def hidden(project: Project, target: int, rng: np.random.Generator) -> list[Proposal]:
    """Pairs for their own members again, drawn at random; they look like any other question.

    Each member gets `repeat_share` of all their answers in the long run, and never more than that
    share of a round.

    Args:
        project: its answers of now are read.
        target: how many answers make the round.
        rng: draws the pairs.
    """
    settings = project.config.annotators
    most = ceil(settings.repeat_share * target)
    with project.store.snapshot() as db:
        found: list[Proposal] = []
        for member_id, due in sorted(repeats_due(db, settings.repeat_share).items()):
            known = answered_long_ago(db, member_id, after=settings.repeat_after)
            count = min(due, most, len(known))
            chosen = rng.choice(len(known), count, replace=False)
            found += [
                Proposal(each.pair, 0.0, each.reason or _UNEXPLAINED, asked_of=member_id)
                for each in answered_pairs(db, [known[place] for place in chosen])
            ]
    held = held_pairs(project)
    return [each for each in found if each.pair not in held]


def with_figures(
    proposals: Sequence[Proposal],
    rows: Mapping[int, int],
    vectors: FloatArray,
    *,
    threshold: float | None = None,
) -> list[Proposal]:
    """The same questions with the model's figures, as the round's own questions have them.

    Where a project is not blind, those without could be told apart.

    Args:
        proposals: of pairs that people answered before.
        rows: by image id; pairs of other images get no figures.
        vectors: [N, D] what the round's own similarities are taken from.
        threshold: that the round's own questions name.
    """
    return [_with_figures(each, rows, vectors, threshold) for each in proposals]


def _with_figures(
    asked: Proposal, rows: Mapping[int, int], vectors: FloatArray, threshold: float | None
) -> Proposal:
    if not rows.keys() >= {*asked.pair}:
        return asked
    place = np.array([[rows[each] for each in asked.pair]], dtype=np.int64)
    similarity = float(pair_similarities(vectors, place)[0])
    return replace(asked, similarity=similarity, threshold=threshold)


def with_overlap(
    proposals: Sequence[Proposal], settings: AnnotatorSettings, rng: np.random.Generator
) -> list[Proposal]:
    """The same questions, a share of them, drawn at random, for several members each."""
    mixed = list(proposals)
    places = [place for place, each in enumerate(mixed) if each.asked_of is None]
    count = round(settings.overlap_share * len(places))
    for chosen in rng.choice(len(places), count, replace=False):
        place = places[chosen]
        mixed[place] = replace(mixed[place], overlap=settings.overlap)
    return mixed


def held_pairs(project: Project) -> set[Pair]:
    """What people have before them: it comes back answered."""
    db = project.store.reader()
    current = rounds.current_round(db)
    return set() if current is None else {*queue.leased_pairs(db, current.round_id, utc_now())}
