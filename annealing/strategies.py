"""Which pairs to ask next: every strategy has the same inputs and gives the same thing.

Takes the embeddings of the training images, the pairs whose relation is known and how many
questions are wanted; gives that many different, unknown pairs with a score (higher = ask first)
and the reasons to explain them with. Nothing here reads or stores answers.

Source: ANNEAL, sections on MGUE and on the compared methods.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

import numpy as np

from annealing.cold_start import first_questions
from annealing.diversity import DiversePick, pick_diverse
from annealing.mining import most_uncertain_pairs
from annealing.pool import (
    Keys,
    draw_pairs,
    joined,
    keys_within,
    pair_keys,
    pair_similarities,
    pool_size,
)
from annealing.uncertainty import Threshold, mgue_threshold
from domain.arrays import BoolArray, FloatArray, IntArray
from domain.config import SelectionSettings
from domain.errors import InputError

NO_CLUSTER = -1


class Question(StrEnum):
    """Why a pair is asked."""

    UNCERTAIN = "uncertain"  # near the model's threshold
    NEIGHBOURS = "neighbours"  # cold start: close in the frozen features
    BORDER = "border"  # cold start: about as alike as few pairs are
    RANDOM = "random"


@dataclass(frozen=True)
class Proposals:
    """Pairs to ask, in the order to ask them.

    Attributes:
        pairs: [h, 2] rows, a < b, each pair once and none of them known or excluded.
        score: [h] higher means ask first: minus the distance to the threshold for uncertain
            pairs; for cold starts and random pairs the place in the order, from 0 down to -1.
        similarity: [h] cosine of each pair.
        cluster: [h] diversity cluster, `NO_CLUSTER` where the strategy makes none.
        kinds: [h] why each pair is asked.
        threshold: where the model is most unsure; None for random pairs without known ones.
        notes: what a lead should know, in words: a threshold not to be trusted, too few pairs.
    """

    pairs: IntArray
    score: FloatArray
    similarity: FloatArray
    cluster: IntArray
    kinds: tuple[Question, ...]
    threshold: Threshold | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pool:
    """What a strategy chooses from; made by `propose`, which has checked it.

    Attributes:
        embeddings: [N, D], finite.
        known_pairs: [K, 2] and known_similar: [K], what is known.
        closed: sorted keys of all pairs that must not be asked, the known ones included.
    """

    embeddings: FloatArray
    known_pairs: IntArray
    known_similar: BoolArray
    closed: Keys
    settings: SelectionSettings
    device: str


class Strategy(Protocol):
    """A way to choose; it always gets at least one pair to ask and an open pair to choose."""

    def __call__(self, pool: Pool, count: int, *, rng: np.random.Generator) -> Proposals:
        """Up to `count` pairs of the pool."""


def propose(
    strategy: str,
    embeddings: FloatArray,
    known_pairs: IntArray,
    known_similar: BoolArray,
    count: int,
    *,
    rng: np.random.Generator,
    settings: SelectionSettings | None = None,
    excluded: Keys | None = None,
    device: str = "cpu",
) -> Proposals:
    """The pairs that a strategy asks next.

    Args:
        strategy: a name in `STRATEGIES`.
        embeddings: [N, D] of the training images, rows of any length.
        known_pairs: [K, 2] rows of pairs whose relation is known, answered or implied.
        known_similar: [K] whether each is similar.
        count: h, how many questions are wanted.
        rng: the only source of chance; the same state gives the same questions.
        settings: lambda, clip, candidate factor and expected similar share; None: defaults.
        excluded: keys (`pool.pair_keys`) of further pairs not to ask, such as pairs of images
            with identical pixels or questions that are still open.
        device: where similarities of all pairs are computed.

    Returns:
        min(h, pairs left) proposals; too few are explained in the notes.

    Raises:
        InputError: unknown strategy, negative count, or inputs whose shapes do not fit.

    Corner cases: images without a finite embedding are left out, with a note; without a known
    pair `mgue` asks a cold start's questions; with known pairs of one kind only, the threshold
    is a degenerate one, with a note.
    """
    embeddings = np.asarray(embeddings)
    chosen = _strategy(strategy)
    _check(embeddings, known_pairs, known_similar, count)
    finite = np.flatnonzero(np.isfinite(embeddings).all(axis=1))
    pool = _pool(embeddings, known_pairs, known_similar, settings, excluded, device)
    pool = pool if len(finite) == len(embeddings) else _only(pool, finite)
    left = pool_size(len(finite)) - len(pool.closed)
    wanted = min(count, left)
    proposals = chosen(pool, wanted, rng=rng) if wanted else _nothing()
    notes = _notes(len(embeddings) - len(finite), count, left, proposals.threshold)
    return replace(proposals, pairs=finite[proposals.pairs], notes=notes)


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


def random_pairs(pool: Pool, count: int, *, rng: np.random.Generator) -> Proposals:
    """Pairs of the pool with equal chance.

    Source: ANNEAL, the baseline of random selection.
    """
    pairs = draw_pairs(len(pool.embeddings), count, pool.closed, rng)
    threshold = _threshold(pool) if len(pool.known_pairs) else None
    kinds = (Question.RANDOM,) * len(pairs)
    no_cluster = np.full(len(pairs), NO_CLUSTER)
    return _in_order(pool, pairs, no_cluster, kinds, threshold)


STRATEGIES: Mapping[str, Strategy] = {
    "mgue": mgue,
    "mgue_no_diversity": mgue_no_diversity,
    "random": random_pairs,
}


def _most_uncertain(pool: Pool, count: int, rng: np.random.Generator, *, factor: int) -> Proposals:
    if not len(pool.known_pairs):
        return _cold_start(pool, count, rng)
    threshold = _threshold(pool)
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


def _cold_start(pool: Pool, count: int, rng: np.random.Generator) -> Proposals:
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
    return _in_order(pool, first.pairs, first.cluster, kinds, threshold)


def _in_order(
    pool: Pool,
    pairs: IntArray,
    cluster: IntArray,
    kinds: tuple[Question, ...],
    threshold: Threshold | None,
) -> Proposals:
    """Proposals whose order is not one of uncertainty: the score is the place."""
    score = -np.arange(len(pairs)) / max(1, len(pairs))
    similarity = pair_similarities(pool.embeddings, pairs)
    return Proposals(pairs, score, similarity, cluster, kinds, threshold)


def _threshold(pool: Pool) -> Threshold:
    similarity = pair_similarities(pool.embeddings, pool.known_pairs)
    return mgue_threshold(
        similarity[pool.known_similar],
        similarity[~pool.known_similar],
        lam=pool.settings.lambda_,
        clip=pool.settings.clip,
    )


def _strategy(name: str) -> Strategy:
    if name not in STRATEGIES:
        raise InputError(
            f'Unknown strategy "{name}".', f"Choose one of {', '.join(sorted(STRATEGIES))}."
        )
    return STRATEGIES[name]


def _check(
    embeddings: FloatArray, known_pairs: IntArray, known_similar: BoolArray, count: int
) -> None:
    if embeddings.ndim != 2:
        raise InputError(
            f"Embeddings of shape {embeddings.shape}; must be [images, dimensions].",
            "Pass one row for each training image.",
        )
    if len(known_pairs) != len(known_similar):
        raise InputError(
            f"{len(known_similar)} labels do not fit {len(known_pairs)} known pairs.",
            "Pass one label for each pair.",
        )
    if count < 0:
        raise InputError(f"{count} questions were asked for; must be 0 or more.", "Ask for more.")


def _pool(
    embeddings: FloatArray,
    known_pairs: IntArray,
    known_similar: BoolArray,
    settings: SelectionSettings | None,
    excluded: Keys | None,
    device: str,
) -> Pool:
    known = np.asarray(known_pairs, dtype=np.int64).reshape(-1, 2)
    closed = joined(pair_keys(known, len(embeddings)), excluded)
    similar = np.asarray(known_similar, dtype=bool)
    settings = settings or SelectionSettings()
    return Pool(embeddings, known, similar, closed, settings, device)


def _only(pool: Pool, rows: IntArray) -> Pool:
    """The pool of these rows, in their own numbers."""
    place = np.full(len(pool.embeddings), -1)
    place[rows] = np.arange(len(rows))
    known = place[pool.known_pairs]
    inside = (known >= 0).all(axis=1)
    return replace(
        pool,
        embeddings=pool.embeddings[rows],
        known_pairs=known[inside],
        known_similar=pool.known_similar[inside],
        closed=keys_within(pool.closed, len(pool.embeddings), rows),
    )


def _nothing() -> Proposals:
    none = np.zeros(0)
    return Proposals(np.zeros((0, 2), np.int64), none, none, np.zeros(0, np.int64), (), None)


def _notes(broken: int, count: int, left: int, threshold: Threshold | None) -> tuple[str, ...]:
    notes = []
    if broken:
        notes.append(f"{broken} images have no usable embedding and are left out.")
    if left < count:
        notes.append(f"Only {left} of the {count} questions wanted are left to ask.")
    if threshold is not None and threshold.degenerate:
        notes.append(threshold.degenerate)
    return tuple(notes)
