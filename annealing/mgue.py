"""MGUE: the pairs whose similarity is nearest to the threshold between the two kinds.

Source: ANNEAL, "metric-guided uncertainty estimation", eqs. 2-8.
"""

import numpy as np

from annealing.cold_start import first_questions
from annealing.diversity import DiversePick, pick_diverse
from annealing.mining import most_uncertain_pairs
from annealing.pool import pair_similarities
from annealing.proposals import NO_CLUSTER, Pool, Proposals, Question, in_order
from annealing.uncertainty import Threshold, mgue_threshold


def mgue(pool: Pool, count: int, *, rng: np.random.Generator) -> Proposals:
    """The most uncertain pair of each of h clusters of the p = 4 h most uncertain pairs.

    Source: ANNEAL, eqs. 7-8 and the section on diversity.
    """
    return _most_uncertain(pool, count, rng, factor=pool.settings.candidate_factor)


def mgue_no_diversity(pool: Pool, count: int, *, rng: np.random.Generator) -> Proposals:
    """The h most uncertain pairs.

    Source: ANNEAL, comparison without diversity.
    """
    return _most_uncertain(pool, count, rng, factor=1)


def threshold_of(pool: Pool) -> Threshold:
    """MGUE's threshold from the pairs that are known, of which there is at least one."""
    similarity = pair_similarities(pool.embeddings, pool.known_pairs)
    return mgue_threshold(
        similarity[pool.known_similar],
        similarity[~pool.known_similar],
        lam=pool.settings.lambda_,
        clip=pool.settings.clip,
    )


def cold_start(pool: Pool, count: int, *, rng: np.random.Generator) -> Proposals:
    """Questions of a pool of which nothing is known."""
    first = first_questions(
        pool.embeddings,
        count,
        rng=rng,
        similar_share=pool.settings.similar_share,
        excluded=pool.closed,
        device=pool.device,
    )
    kinds = tuple(Question.NEIGHBOURS if near else Question.BORDER for near in first.near)
    threshold = mgue_threshold(np.zeros(0), np.zeros(0), pool_quantile=first.alpha)
    return in_order(pool, first.pairs, first.cluster, kinds, threshold)


def _most_uncertain(pool: Pool, count: int, rng: np.random.Generator, *, factor: int) -> Proposals:
    if not len(pool.known_pairs):
        return cold_start(pool, count, rng=rng)
    threshold = threshold_of(pool)
    mined = most_uncertain_pairs(
        pool.embeddings,
        threshold.alpha,
        factor * count,
        excluded=pool.closed,
        device=pool.device,
    )
    if factor == 1:
        pick = DiversePick(np.arange(len(mined.pairs)), np.full(len(mined.pairs), NO_CLUSTER))
    else:
        pick = pick_diverse(pool.embeddings, mined.pairs, mined.score, count, rng=rng)
    return Proposals(
        mined.pairs[pick.rows],
        mined.score[pick.rows],
        mined.similarity[pick.rows],
        pick.cluster,
        (Question.UNCERTAIN,) * len(pick.rows),
        threshold,
    )
