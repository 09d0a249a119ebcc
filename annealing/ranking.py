"""From the most uncertain pairs to questions: what all uncertainty strategies do after mining.

Source: ANNEAL, section on diversity; counting what an answer would imply is ours.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.special import entr

from annealing.diversity import DiversePick, pick_diverse
from annealing.mining import MinedPairs
from annealing.proposals import NO_CLUSTER, Pool, Proposals, Question
from annealing.uncertainty import Threshold
from domain.arrays import FloatArray, IntArray
from domain.jobs import Progress, part_of, silent
from domain.vectors import quantised

_MOST_ROUNDS = 4  # of mining, each for four times as many candidates as the one before

Mine = Callable[[int, Progress], MinedPairs]  # the so many most uncertain pairs
Probability = Callable[[MinedPairs], FloatArray]  # of each to be similar


def uncertain_questions(
    pool: Pool,
    count: int,
    mine: Mine,
    probability: Probability,
    *,
    rng: np.random.Generator,
    diverse: bool,
    threshold: Threshold | None,
    progress: Progress = silent,
) -> Proposals:
    """The questions among the most uncertain pairs of a pool.

    Args:
        pool: its settings say how many candidates there are for a question, and how much it
            counts what an answer would imply (η; 0 is the paper), in labels or, times the entropy
            of the answer, in bits.
        count: h.
        mine: see `Mine`.
        probability: called only where η is above 0.
        rng: decides where k-means starts.
        diverse: one question for each cluster of candidates; False takes the h best.
        threshold: passed on.
        progress: passed to what mines.

    Source: ANNEAL, section on diversity; η is ours: expected implied labels of a question.
    """
    wanted = count * (pool.settings.candidate_factor if diverse else 1)
    gains = pool.settings.implied_gain > 0
    mined = _different(pool, wanted, mine, progress) if gains else mine(wanted, progress)
    rank = _rank(pool, mined, probability) if gains else mined.score
    if diverse:
        pick = pick_diverse(pool.embeddings, mined.pairs, rank, count, rng=rng)
    else:
        best = np.argsort(-quantised(rank), kind="stable")
        pick = DiversePick(best, np.full(len(best), NO_CLUSTER))
    return Proposals(
        mined.pairs[pick.rows],
        rank[pick.rows],
        mined.similarity[pick.rows],
        pick.cluster,
        (Question.UNCERTAIN,) * len(pick.rows),
        threshold,
    )


def _different(pool: Pool, wanted: int, mine: Mine, progress: Progress) -> MinedPairs:
    """Candidates of which no two ask the same: one for each two groups of similar images.

    Corner cases: where there are not enough, the most uncertain of the rest fill up.
    """
    size, done = wanted, 0.0
    for _ in range(_MOST_ROUNDS):
        mined = mine(size, part_of(progress, done, (1 + done) / 2))
        groups = np.array([_groups(pool, each) for each in mined.pairs]).reshape(-1, 2)
        first = np.unique(groups, axis=0, return_index=True)[1]
        if len(first) >= wanted or len(mined.pairs) < size:
            break
        size, done = size * 4, (1 + done) / 2  # nobody knows how many rounds come
    is_first = np.zeros(len(mined.pairs), dtype=bool)
    is_first[first] = True
    order = np.concatenate([np.flatnonzero(is_first), np.flatnonzero(~is_first)])
    chosen = np.sort(order[:wanted])
    return replace(
        mined,
        pairs=mined.pairs[chosen],
        similarity=mined.similarity[chosen],
        score=mined.score[chosen],
    )


def _groups(pool: Pool, ends: IntArray) -> tuple[int, int]:
    a, b = (pool.implications.group(int(pool.rows[end])) for end in ends)
    return min(a, b), max(a, b)


def _rank(pool: Pool, mined: MinedPairs, probability: Probability) -> FloatArray:
    """Uncertainty and expected gain, each scaled to 0…1, weighed by η; at most 0."""
    likely, eta = probability(mined), pool.settings.implied_gain
    gains = zip(pool.gains(mined.pairs), likely, strict=True)
    expected = np.array([gain.expected(float(p)) for gain, p in gains])
    if pool.settings.gain == "entropy":
        expected = expected * (entr(likely) + entr(1 - likely)) / np.log(2)
    gain = np.log1p(expected)
    uncertainty = 1 - _scaled(-mined.score)
    return np.asarray((1 - eta) * uncertainty + eta * _scaled(gain) - 1)


def _scaled(values: FloatArray) -> FloatArray:
    """Divided by the largest; 0 where all are."""
    return np.asarray(values / max(float(values.max(initial=0.0)), 1e-12))
