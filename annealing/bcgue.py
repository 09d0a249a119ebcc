"""BCGUE: the pairs of which a trained classifier of pairs is least sure.

Source: ANNEAL, "binary classifier guided uncertainty estimation", eqs. 9-11.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from annealing.classifier_blocks import ClassifierBlocks
from annealing.lanes import work_through
from annealing.mgue import mgue, mgue_no_diversity, threshold_of
from annealing.mining import MinedPairs
from annealing.pair_classifier import PairClassifier
from annealing.pool import Keys, pair_similarities, pool_size
from annealing.proposals import Pool, Proposals, Question
from annealing.ranking import uncertain_questions
from annealing.shortlist import Shortlist
from domain.arrays import FloatArray, IntArray
from domain.errors import InputError
from domain.jobs import Progress, silent

NO_CLASSIFIER = (
    "The model has no classifier of pairs yet (it is trained with the head when the strategy is "
    "BCGUE), so this round asks as MGUE does."
)


def bcgue(
    pool: Pool, count: int, *, rng: np.random.Generator, progress: Progress = silent
) -> Proposals:
    """The least sure pair of each of h clusters of the p = 4 h least sure pairs.

    Corner cases: a model without a classifier asks as MGUE does, with a note. Unless thresholds
    are not guarded, the probability is that of the expected share of similar pairs.

    Source: ANNEAL, eqs. 9-11 and the section on diversity.
    """
    return _least_sure(pool, count, rng, progress, diverse=True)


def bcgue_no_diversity(
    pool: Pool, count: int, *, rng: np.random.Generator, progress: Progress = silent
) -> Proposals:
    """The h least sure pairs.

    Corner cases: as for `bcgue`.

    Source: ANNEAL, comparison without diversity.
    """
    return _least_sure(pool, count, rng, progress, diverse=False)


def at_share(classifier: PairClassifier, similar_share: float) -> PairClassifier:
    """The classifier for pairs of which only this share is similar.

    It is trained on as many similar as dissimilar pairs. Among all pairs few are similar, so that
    nearly all pairs it calls even are dissimilar, and a round teaches little.

    Source: ours; prior shift (Saerens and others, 2002). The paper asks at one half as trained.
    """
    odds = math.log(similar_share / (1 - similar_share))
    return replace(classifier, last_bias=classifier.last_bias + odds)


def most_unsure_pairs(
    classifier: PairClassifier,
    embeddings: FloatArray,
    count: int,
    *,
    excluded: Keys | None = None,
    device: str | torch.device = "cpu",
    block_rows: int | None = None,
    progress: Progress = silent,
) -> MinedPairs:
    """The pairs of rows whose probability to be similar is nearest to one half.

    Args:
        classifier: see there.
        embeddings: [N, D] rows as the classifier was trained on.
        count: P, how many pairs; all that are left if there are fewer.
        excluded: sorted keys (`pool.pair_keys`) of pairs that must not be chosen.
        device: where the layers run.
        block_rows: side of a block; changes speed and memory, never the answer. None is what suits
            the device.
        progress: told after each block; what it raises ends the mining.

    Returns:
        min(P, pairs left) pairs; equally unsure ones (to 1e-9) in the order of their keys. The
        score is -|P - 0.5|.

    Raises:
        InputError: the embeddings do not fit the classifier or are not finite, or count is
            negative.

    Source: ANNEAL, eq. 9 and the section on BCGUE.
    """
    _check(classifier, embeddings, count)
    known = np.zeros(0, np.int64) if excluded is None else excluded
    wanted = min(count, pool_size(len(embeddings)) - len(known))
    exact = _ToOneHalf(classifier, embeddings)
    shortlist = Shortlist(len(embeddings), wanted, exact, excluded=known)
    source = ClassifierBlocks(classifier, embeddings, device=device, block_rows=block_rows)

    def take(shared: Iterator[int]) -> Iterator[None]:
        for block in source.blocks(shared):
            shortlist.offer(block)
            yield

    if wanted > 0:
        message = "Classifying all pairs"
        work_through(range(source.count), take, device=device, progress=progress, message=message)
    best = shortlist.best()
    similarity = pair_similarities(embeddings, best.pairs)
    return MinedPairs(best.pairs, similarity, -best.distance)


def _least_sure(
    pool: Pool, count: int, rng: np.random.Generator, progress: Progress, *, diverse: bool
) -> Proposals:
    classifier = pool.classifier
    if classifier is None:
        proposals = (mgue if diverse else mgue_no_diversity)(
            pool, count, rng=rng, progress=progress
        )
        return replace(proposals, notes=(*proposals.notes, NO_CLASSIFIER))
    if pool.settings.guard_threshold:
        classifier = at_share(classifier, pool.settings.similar_share)

    def mine(wanted: int, told: Progress) -> MinedPairs:
        return most_unsure_pairs(
            classifier,
            pool.embeddings,
            wanted,
            excluded=pool.closed,
            device=pool.device,
            progress=told,
        )

    def probability(mined: MinedPairs) -> FloatArray:
        return classifier.probabilities(pool.embeddings, mined.pairs)

    threshold = threshold_of(pool) if len(pool.known_pairs) else None
    proposals = uncertain_questions(
        pool,
        count,
        mine,
        probability,
        rng=rng,
        diverse=diverse,
        threshold=threshold,
        progress=progress,
    )
    return replace(proposals, kinds=(Question.CLASSIFIER,) * len(proposals.pairs))


@dataclass(frozen=True)
class _ToOneHalf:
    """|P - 0.5| of pairs of rows of the embeddings, in float64."""

    classifier: PairClassifier
    embeddings: FloatArray

    def of_pairs(self, pairs: IntArray) -> FloatArray:
        """[P] of pairs [P, 2]."""
        return self.classifier.uncertainties(self.embeddings, pairs)

    def of_block(self, rows: slice, columns: slice) -> FloatArray:
        """[R, C] of all pairs of these rows and columns; ½ where it is no pair."""
        a, b = np.meshgrid(
            np.arange(len(self.embeddings))[rows],
            np.arange(len(self.embeddings))[columns],
            indexing="ij",
        )
        distance = np.full(a.shape, 0.5)
        is_pair = a < b
        pairs = np.stack([a[is_pair], b[is_pair]], axis=1)
        distance[is_pair] = self.classifier.uncertainties(self.embeddings, pairs)
        return distance


def _check(classifier: PairClassifier, embeddings: FloatArray, count: int) -> None:
    if count < 0:
        raise InputError(f"{count} pairs were asked for; must be 0 or more.", "Ask for more.")
    width = classifier.left.shape[1]
    if embeddings.ndim != 2 or embeddings.shape[1] != width:
        raise InputError(
            f"Embeddings of shape {embeddings.shape}; this classifier reads [images, {width}].",
            "Use the embeddings of the model that the classifier was trained with.",
        )
    if not np.isfinite(embeddings).all():
        row = int(np.flatnonzero(~np.isfinite(embeddings).all(axis=1))[0])
        raise InputError(
            f"The embedding in row {row} is not finite.", "Embed that image again, or leave it out."
        )
