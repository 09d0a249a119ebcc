"""The questions of a round of the strategy `components`.

Source: ours.
"""

from itertools import islice

from annealing.components.beliefs import beliefs
from annealing.components.evidence import Answers
from annealing.components.questions import Asker, Chain, group_checks, image_chains
from annealing.components.space import Space
from annealing.components.start import first_answers, first_chains


def next_chains(space: Space, answers: Answers, count: int, *, error: float) -> list[Chain]:
    """Chains of questions, to be asked in their order.

    Args:
        space: of the images.
        answers: so far.
        count: how many answers are wanted; so many chains are given where there are, because
            each takes one answer at least.
        error: assumed share of wrong answers.
    """
    left = first_answers(len(space)) - len(answers)
    starting: list[Chain] = []
    if left > 0:
        # Answers imply that some of them need not be asked
        most = 2 * count if left >= count else left
        starting = list(islice(first_chains(space, answers, error=error), most))
    if len(starting) >= count or not len(answers):
        return starting
    found = beliefs(space, answers, error=error)
    asker = Asker(space, found, asked=[pair for chain in starting for pair in chain.pairs])
    return [*starting, *group_checks(asker, count), *image_chains(asker, count)]
