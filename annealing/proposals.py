"""What every strategy takes and gives: a pool of pairs, and the proposals chosen from it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np

from annealing.implications import Gain, Implications
from annealing.pair_classifier import PairClassifier
from annealing.pool import Keys, pair_similarities
from annealing.uncertainty import Threshold
from domain.arrays import BoolArray, FloatArray, IntArray
from domain.config import SelectionSettings
from domain.jobs import Progress, silent

NO_CLUSTER = -1


class Question(StrEnum):
    """Why a pair is asked."""

    UNCERTAIN = "uncertain"  # near the model's threshold
    CLASSIFIER = "classifier"  # the classifier of pairs is unsure
    NEIGHBOURS = "neighbours"  # cold start: close in the frozen features
    BORDER = "border"  # cold start: about as alike as few pairs are
    RANDOM = "random"
    FIRST_KINDS = "first_kinds"  # components: are two parts of the archive one kind?
    SAME_KIND = "same_kind"  # components: are two groups one kind?
    ONE_KIND = "one_kind"  # components: is a large group one kind?
    WHICH_KIND = "which_kind"  # components: does an image belong to a group?


@dataclass(frozen=True)
class Proposals:
    """Pairs to ask, in the order to ask them.

    Attributes:
        pairs: [h, 2] rows, a < b, each pair once and none of them known or excluded.
        score: [h] higher means ask first: minus the distance to the threshold for uncertain
            pairs, or -1…0 where it also counts what answers imply; for cold starts and random
            pairs the place in the order, from 0 down to -1.
        similarity: [h] cosine of each pair.
        cluster: [h] diversity cluster, `NO_CLUSTER` where the strategy makes none.
        kinds: [h] why each pair is asked.
        threshold: where the model is most unsure; None for random pairs without known ones.
        gains: [h] what the answers would settle; empty before `propose` has filled it in.
        notes: what a lead should know, in words: a threshold not to be trusted, too few pairs.
    """

    pairs: IntArray
    score: FloatArray
    similarity: FloatArray
    cluster: IntArray
    kinds: tuple[Question, ...]
    threshold: Threshold | None
    gains: tuple[Gain, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pool:
    """What a strategy chooses from; made by `strategies.propose`, which has checked it.

    Attributes:
        embeddings: [N, D], finite.
        known_pairs: [K, 2] and known_similar: [K], what is known.
        closed: sorted keys of all pairs that must not be asked, the known ones included.
        rows: [N] what the rows are called in `implications`.
        implications: what answers would settle.
        classifier: of pairs, on the embeddings; None where the model has none.
        last_answers: of the latest round, whether each was "similar".
    """

    embeddings: FloatArray
    known_pairs: IntArray
    known_similar: BoolArray
    closed: Keys
    settings: SelectionSettings
    device: str
    rows: IntArray
    implications: Implications
    classifier: PairClassifier | None = None
    last_answers: BoolArray | None = None

    def gains(self, pairs: IntArray) -> tuple[Gain, ...]:
        """What answers to pairs [P, 2] would settle."""
        return tuple(self.implications.gain(int(self.rows[a]), int(self.rows[b])) for a, b in pairs)


class Strategy(Protocol):
    """A way to choose; it always gets at least one pair to ask and an open pair to choose."""

    def __call__(
        self,
        pool: Pool,
        count: int,
        *,
        rng: np.random.Generator,
        progress: Progress = silent,
    ) -> Proposals:
        """Up to `count` pairs of the pool."""


def in_order(
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


def no_proposals() -> Proposals:
    """Nothing to ask."""
    none = np.zeros(0)
    return Proposals(np.zeros((0, 2), np.int64), none, none, np.zeros(0, np.int64), (), None)
