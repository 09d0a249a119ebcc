"""Which pairs to ask next: every strategy has the same inputs and gives the same thing.

Takes the embeddings of the training images, the pairs whose relation is known and how many
questions are wanted; gives that many different, unknown pairs with a score (higher = ask first)
and the reasons to explain them with. Nothing here reads or stores answers.

Source: ANNEAL, sections on MGUE and on the compared methods.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from annealing.bcgue import bcgue, bcgue_no_diversity
from annealing.implications import Implications, implications
from annealing.mgue import mgue, mgue_no_diversity, threshold_of
from annealing.pair_classifier import PairClassifier
from annealing.pool import Keys, draw_pairs, joined, keys_within, pair_keys, pool_size
from annealing.proposals import (
    NO_CLUSTER,
    Pool,
    Proposals,
    Question,
    Strategy,
    in_order,
    no_proposals,
)
from domain.answers import Propagation
from domain.arrays import BoolArray, FloatArray, IntArray
from domain.config import SelectionSettings
from domain.errors import InputError
from domain.jobs import Progress, silent


def propose(  # noqa: PLR0913 a round is all of this
    strategy: str,
    embeddings: FloatArray,
    known_pairs: IntArray,
    known_similar: BoolArray,
    count: int,
    *,
    rng: np.random.Generator,
    settings: SelectionSettings | None = None,
    excluded: Keys | None = None,
    settles: Implications | None = None,
    classifier: PairClassifier | None = None,
    last_answers: BoolArray | None = None,
    device: str = "cpu",
    progress: Progress = silent,
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
        settles: what answers would imply, by row; None: nothing but themselves.
        classifier: of pairs, for BCGUE; None where the model has none.
        last_answers: [L] whether each answer of the latest round was "similar"; a one-sided round
            moves MGUE's threshold.
        device: where similarities of all pairs are computed.
        progress: told while all pairs are looked at; what it raises ends the work.

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
    pool = replace(pool, classifier=classifier, last_answers=last_answers)
    pool = pool if settles is None else replace(pool, implications=settles)
    pool = pool if len(finite) == len(embeddings) else _only(pool, finite)
    left = pool_size(len(finite)) - len(pool.closed)
    wanted = min(count, left)
    proposals = chosen(pool, wanted, rng=rng, progress=progress) if wanted else no_proposals()
    notes = _notes(len(embeddings) - len(finite), count, left, proposals)
    gains = pool.gains(proposals.pairs)
    return replace(proposals, pairs=finite[proposals.pairs], gains=gains, notes=notes)


def random_pairs(
    pool: Pool, count: int, *, rng: np.random.Generator, progress: Progress = silent
) -> Proposals:
    """Pairs of the pool with equal chance; at once, so that progress is told nothing.

    Source: ANNEAL, the baseline of random selection.
    """
    pairs = draw_pairs(len(pool.embeddings), count, pool.closed, rng)
    threshold = threshold_of(pool) if len(pool.known_pairs) else None
    kinds = (Question.RANDOM,) * len(pairs)
    no_cluster = np.full(len(pairs), NO_CLUSTER)
    return in_order(pool, pairs, no_cluster, kinds, threshold)


STRATEGIES: Mapping[str, Strategy] = {
    "mgue": mgue,
    "bcgue": bcgue,
    "mgue_no_diversity": mgue_no_diversity,
    "bcgue_no_diversity": bcgue_no_diversity,
    "random": random_pairs,
}


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
    return Pool(
        embeddings,
        known,
        similar,
        closed,
        settings or SelectionSettings(),
        device,
        rows=np.arange(len(embeddings)),
        implications=implications({}, Propagation.OFF),
    )


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
        rows=rows,
    )


def _notes(broken: int, count: int, left: int, proposals: Proposals) -> tuple[str, ...]:
    notes = []
    if broken:
        notes.append(f"{broken} images have no usable embedding and are left out.")
    if left < count:
        notes.append(f"Only {left} of the {count} questions wanted are left to ask.")
    if proposals.threshold is not None and proposals.threshold.degenerate:
        notes.append(proposals.threshold.degenerate)
    return (*notes, *proposals.notes)
