"""Which known pairs make up the batches of an epoch.

About one random pair in twenty is similar, so training on pairs as they come pulls everything
apart or, where nearly all are similar, together. Each batch here holds both kinds in equal
number; the rarer kind is repeated.

Source: ANNEAL, random oversampling of the minority label.
"""

from collections.abc import Iterator

import numpy as np

from domain.arrays import BoolArray, IntArray
from domain.errors import InputError


def balanced_batches(
    similar: BoolArray,
    *,
    rng: np.random.Generator,
    batch_pairs: int = 128,
    max_pairs: int | None = None,
) -> Iterator[IntArray]:
    """The batches of one epoch: positions in the list of pairs, half of each kind.

    Args:
        similar: [P] whether each known pair is similar.
        rng: draws the order and the repeats; the same state gives the same batches.
        batch_pairs: pairs a batch; half of each kind. The last batch may be smaller.
        max_pairs: most pairs of one kind in an epoch; None takes the commoner kind once through.

    Yields:
        Integer arrays; similar and dissimilar pairs in equal number.

    Raises:
        InputError: batch_pairs is below 2 or max_pairs below 1.

    Corner cases: a kind that is absent is not made up: all pairs come once, in random order.
    No pair gives no batch.

    Source: ANNEAL, section on training: minority pairs are drawn with replacement each epoch.
    """
    _check(batch_pairs, max_pairs)
    kinds = [np.flatnonzero(similar), np.flatnonzero(~np.asarray(similar, dtype=bool))]
    present = [kind for kind in kinds if len(kind)]
    if not present:
        return
    count = max(len(kind) for kind in present)
    count = count if max_pairs is None else min(count, max_pairs)
    drawn = [_drawn(kind, count, rng) for kind in present]
    share = batch_pairs // len(present)
    for start in range(0, count, share):
        yield np.concatenate([kind[start : start + share] for kind in drawn])


def _drawn(kind: IntArray, count: int, rng: np.random.Generator) -> IntArray:
    """`count` of these in random order: each once if there are enough, else with replacement."""
    if len(kind) >= count:
        return rng.permutation(kind)[:count]
    return np.concatenate([rng.permutation(kind), rng.choice(kind, count - len(kind))])


def _check(batch_pairs: int, max_pairs: int | None) -> None:
    if batch_pairs < 2:
        raise InputError(
            f"batch_pairs = {batch_pairs}; must be 2 or more.", "A batch holds both kinds of pairs."
        )
    if max_pairs is not None and max_pairs < 1:
        raise InputError(
            f"max_pairs = {max_pairs}; must be 1 or more.", "Leave it out to take all pairs."
        )
