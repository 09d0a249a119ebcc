"""MGUE: the pairs whose similarity is nearest to the threshold between the two kinds.

Source: ANNEAL, "metric-guided uncertainty estimation", eqs. 2-8.
"""

from dataclasses import replace

import numpy as np

from annealing.cold_start import first_questions
from annealing.guard import between_means, beyond_in_words, guarded, nearest_if_beyond
from annealing.mining import MinedPairs, most_uncertain_pairs
from annealing.pool import pair_similarities
from annealing.probability import calibrated
from annealing.proposals import Pool, Proposals, Question, in_order
from annealing.ranking import uncertain_questions
from annealing.uncertainty import Threshold, mgue_threshold
from domain.arrays import FloatArray
from domain.jobs import Progress, part_of, silent

# Of the progress: the threshold, asking, whether all pairs are on one side, asking elsewhere
_PARTS = ((0.0, 0.1), (0.1, 0.6), (0.6, 0.7), (0.7, 1.0))


def mgue(
    pool: Pool, count: int, *, rng: np.random.Generator, progress: Progress = silent
) -> Proposals:
    """The most uncertain pair of each of h clusters of the p = 4 h most uncertain pairs.

    Source: ANNEAL, eqs. 7-8 and the section on diversity.
    """
    return _near_threshold(pool, count, rng, progress, diverse=True)


def mgue_no_diversity(
    pool: Pool, count: int, *, rng: np.random.Generator, progress: Progress = silent
) -> Proposals:
    """The h most uncertain pairs.

    Source: ANNEAL, comparison without diversity.
    """
    return _near_threshold(pool, count, rng, progress, diverse=False)


def threshold_of(pool: Pool) -> Threshold:
    """MGUE's threshold from the pairs that are known, of which there is at least one."""
    similarity = pair_similarities(pool.embeddings, pool.known_pairs)
    return mgue_threshold(
        similarity[pool.known_similar],
        similarity[~pool.known_similar],
        lam=pool.settings.lambda_,
        clip=pool.settings.clip,
    )


def cold_start(
    pool: Pool, count: int, *, rng: np.random.Generator, progress: Progress = silent
) -> Proposals:
    """Questions of a pool of which nothing is known."""
    first = first_questions(
        pool.embeddings,
        count,
        rng=rng,
        similar_share=pool.settings.similar_share,
        excluded=pool.closed,
        device=pool.device,
        progress=progress,
    )
    kinds = tuple(Question.NEIGHBOURS if near else Question.BORDER for near in first.near)
    threshold = mgue_threshold(np.zeros(0), np.zeros(0), pool_quantile=first.alpha)
    return in_order(pool, first.pairs, first.cluster, kinds, threshold)


def _near_threshold(
    pool: Pool, count: int, rng: np.random.Generator, progress: Progress, *, diverse: bool
) -> Proposals:
    if not len(pool.known_pairs):
        return cold_start(pool, count, rng=rng, progress=progress)
    guard, first, look, again = (part_of(progress, *part) for part in _PARTS)
    threshold, note = guarded(pool, threshold_of(pool), progress=guard)
    proposals = _asked_at(pool, threshold, count, rng, first, diverse=diverse)
    notes = [note] if note else []
    nearest = nearest_if_beyond(pool, proposals, threshold.alpha, progress=look)
    if nearest is not None:
        moved = between_means(threshold) if pool.settings.guard_threshold else None
        asked_at = None if moved is None else moved.alpha
        notes.append(beyond_in_words(nearest, threshold.alpha, asked_at))
        if moved is not None:
            proposals = _asked_at(pool, moved, count, rng, again, diverse=diverse)
    return replace(proposals, notes=tuple(notes))


def _asked_at(
    pool: Pool,
    threshold: Threshold,
    count: int,
    rng: np.random.Generator,
    progress: Progress,
    *,
    diverse: bool,
) -> Proposals:
    def mine(wanted: int, told: Progress) -> MinedPairs:
        return most_uncertain_pairs(
            pool.embeddings,
            threshold.alpha,
            wanted,
            excluded=pool.closed,
            device=pool.device,
            progress=told,
        )

    def probability(mined: MinedPairs) -> FloatArray:
        return calibrated(pool, threshold.alpha, mined.similarity)

    return uncertain_questions(
        pool,
        count,
        mine,
        probability,
        rng=rng,
        diverse=diverse,
        threshold=threshold,
        progress=progress,
    )
