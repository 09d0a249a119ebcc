"""The questions of a round of the strategy `components`.

Source: ours.
"""

from collections.abc import Collection, Iterator
from itertools import islice

import numpy as np

from annealing.components.beliefs import beliefs
from annealing.components.evidence import Answers
from annealing.components.questions import Asker, Chain, group_checks, image_chains
from annealing.components.space import Space
from annealing.components.start import first_answers, first_chains
from annealing.proposals import Question
from domain.pairs import pair
from domain.vectors import quantised

_UNCLEAR_AFTER = 2  # answers that say nothing; then an image is not asked about any more


def next_chains(
    space: Space,
    answers: Answers,
    count: int,
    *,
    error: float,
    look_ups: bool = True,
    unclear: Collection[tuple[int, int]] = (),
) -> list[Chain]:
    """Chains of questions, to be asked in their order.

    Args:
        space: of the images.
        answers: so far.
        count: how many answers are wanted; so many chains are given where there are, because
            each takes one answer at least.
        error: assumed share of wrong answers.
        look_ups: whether chains are followed, and questions that answers of the round imply are
            passed over. Without, each chain's first question is asked, whatever the others say.
        unclear: pairs whose answers say nothing (unsure, skipped, a tie): not asked again, nor
            images that are in two of them or more.

    Corner cases: while all answered images are one group, the images least like it are compared
    with it.
    """
    left = first_answers(len(space)) - len(answers)
    starting: list[Chain] = []
    if left > 0:
        # Answers imply that some need not be asked. A round that starts with half of it goes on
        # so: what is asked about groups of before those answers is wasted (0.3 mAP@5).
        most = 2 * count if left >= count / 2 else left
        known = {pair(*rows) for rows in unclear}
        first = first_chains(space, answers, error=error, look_ups=look_ups)
        open_ones = (each for each in first if not known.intersection(_pairs(each)))
        starting = list(islice(open_ones, most))
    if len(starting) >= count or not len(answers):
        return starting
    found = beliefs(space, answers, error=error)
    taken = [*unclear, *(pair for chain in starting for pair in chain.pairs)]
    asker = Asker(space, found, asked=taken)
    if found.groups < 2:
        return [*starting, *islice(_least_alike(asker), count)]
    times = np.bincount(np.array([*unclear], np.int64).ravel(), minlength=len(space))
    chains = (
        each
        for each in image_chains(asker, len(space), look_ups=look_ups)
        if times[each.pairs[0][0]] < _UNCLEAR_AFTER
    )
    return [*starting, *group_checks(asker, count), *islice(chains, count)]


def _pairs(chain: Chain) -> set[tuple[int, int]]:
    return {pair(*rows) for rows in chain.pairs}


def _least_alike(asker: Asker) -> Iterator[Chain]:
    """Images without a group against the only one there is, the least like it first."""
    unit, found = asker.space.unit, asker.found
    others = np.setdiff1d(np.arange(len(unit)), found.known)
    likeness = unit[others] @ unit[found.known].mean(axis=0)
    for image in others[np.argsort(quantised(likeness), kind="stable")].tolist():
        pair = asker.pair(image, 0)
        if pair is not None:
            yield Chain((pair,), Question.WHICH_KIND, (int(found.size[0]),))
