"""How far implied labels can be trusted, given how often people's answers are wrong.

Takes counts and shares, gives rates and the length of the longest proof that is worth having. An
implied label is wrong if an answer in its proof is, so long proofs fail first.

Source: error rate from repeats: two independent answers differ with probability 2e(1 − e). A proof
of n answers holds a wrong one with probability 1 − (1 − e)^n. The bound on it is ours.
"""

import math

from domain.errors import InputError

MOST_DOUBT = 0.2  # of one implied label; see docs/decisions/0015-capped-closure.md
MOST_RECKONED = 0.3  # of wrong answers: with more, no strategy could learn from them
ASSUMED_REPEATS = 50  # how many repeats an assumed rate of wrong answers is worth
ONE_STEP = 2  # answers in a proof of the paper's single step
_SHORTEST_CIRCLE = 3  # answers that can contradict each other: an answer and a proof of two


def error_of_repeats(changed: float) -> float:
    """The share of wrong answers, from the share of answers that differ when given again.

    Args:
        changed: 0…1, of pairs that one member answered twice, not knowing it.

    Returns:
        0…0.5; 0.5, pure guessing, where half of the answers or more differ.

    Raises:
        InputError: `changed` is no share.
    """
    _check_share(changed)
    return (1 - math.sqrt(max(0.0, 1 - 2 * changed))) / 2


def reckoned_error(assumed: float, *, repeated: int, changed: int) -> float:
    """The share of wrong answers to reckon with: assumed at first, then as repeats show it.

    The assumption counts as much as `ASSUMED_REPEATS` repeats that had shown it.

    Args:
        assumed: 0…0.5, the share while nothing is known.
        repeated: pairs that one member answered twice, not knowing it.
        changed: those of them whose answers differ.

    Returns:
        0…`MOST_RECKONED`; without repeats the assumed share, with many `error_of_repeats`.
    """
    before = ASSUMED_REPEATS * 2 * assumed * (1 - assumed)
    share = (before + changed) / (ASSUMED_REPEATS + repeated)
    return min(error_of_repeats(share), MOST_RECKONED)


def error_bound_of_contradictions(contradicted: float) -> float:
    """A share of wrong answers that contradictions do not point beyond.

    An answer and the answers that imply its opposite are three or more. Were they always three,
    and were answers checked at random, this would be the share of wrong ones; with longer proofs,
    and pairs asked because they are in doubt, it is less.

    Args:
        contradicted: 0…1, of the answers that earlier ones implied, or the opposite of them.

    Returns:
        0…1.

    Raises:
        InputError: `contradicted` is no share.
    """
    _check_share(contradicted)
    return float(1 - (1 - contradicted) ** (1 / _SHORTEST_CIRCLE))


def longest_proof(error: float) -> int | None:
    """How many answers may stand in the proof of an implied label; None: any number.

    Never less than the two of the paper's single step.

    Args:
        error: 0…1, the share of wrong answers.

    Raises:
        InputError: `error` is no share.
    """
    _check_share(error)
    if error == 0:
        return None
    if error >= MOST_DOUBT:
        return ONE_STEP
    return max(ONE_STEP, math.floor(math.log(1 - MOST_DOUBT) / math.log(1 - error)))


def _check_share(value: float) -> None:
    if not 0 <= value <= 1:
        raise InputError(f"A share is {value}; it must be from 0 to 1.", "Divide by the total.")
