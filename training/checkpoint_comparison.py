"""A checkpoint compared with what it becomes, or with another, by answers that neither has seen.

Source: the fine-tuning stage after ANNEAL's training is ours.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from domain.arrays import BoolArray, FloatArray, IntArray
from domain.errors import InputError
from training.head import TrainedHead
from training.ranking_selection import RankingGain, RankingJudge
from training.selection import SelectionSet
from training.trainer import KnownPairs, held_out

Retrain = Callable[[BoolArray], TrainedHead]
"""The checkpoint as it would be had nobody answered about the images [N] that are marked.

With soft labels of all N images, if it has any.
"""

_FEWEST_IMAGES = 10  # held out; with fewer, nobody can say how far chance reaches
TOO_FEW = "Too few answers are known to tell whether it is better"
HINT = "Answer more questions, then fine-tune again."


@dataclass(frozen=True)
class Checkpoint:
    """What a fine-tuning is compared with.

    Attributes:
        features: [N, D] of the training images, that its heads read.
        retrain: see `Retrain`.
    """

    features: FloatArray
    retrain: Retrain


@dataclass(frozen=True)
class Sides:
    """The checkpoint that is trained further, what that is compared with, and by which images."""

    own: Checkpoint
    before: Checkpoint
    among: IntArray | None


@dataclass(frozen=True)
class Comparison:
    """A checkpoint made without the held-out answers, and what it is compared with.

    Attributes:
        found: what is held out.
        start: the checkpoint.
        judge: of its features.
        was: [images] average precision of what it is compared with.
    """

    found: SelectionSet
    start: TrainedHead
    judge: RankingJudge
    was: FloatArray

    def gain(self, head: TrainedHead) -> RankingGain:
        """How much better a head ranks than what it is compared with."""
        return self.judge.gain(self.was, self.judge.average_precision(head))


def compared(known: KnownPairs, sides: Sides, *, seed: int) -> Comparison:
    """A tenth of the answered images held out, and the checkpoint made without them.

    Args:
        known: pairs of rows of the training images whose relation is known.
        sides: see there.
        seed: which images are held out.

    Raises:
        InputError: nobody can tell whether it becomes better; the message says why.
    """
    found = held_out(known, seed, among=sides.among)
    judge = None if found is None else RankingJudge(sides.own.features, found)
    if found is None or judge is None or judge.images < _FEWEST_IMAGES:
        raise InputError(TOO_FEW, HINT)
    without = np.zeros(len(sides.own.features), dtype=bool)
    without[found.images] = True
    start = sides.own.retrain(without)
    if start.is_frozen:
        words = "Without the held-out answers no head is learnt, so that nobody can tell"
        raise InputError(f"{words} whether it is better", HINT)
    if sides.before is sides.own:
        return Comparison(found, start, judge, judge.average_precision(start))
    was = sides.before.retrain(without)
    judged = RankingJudge(sides.before.features, found)
    return Comparison(found, start, judge, judged.average_precision(was))
