"""Why a pair is asked, in one sentence for the person who answers."""

from collections.abc import Mapping

import numpy as np

from annealing.implications import Gain
from annealing.proposals import Proposals, Question

_RIGHT_AT = 0.005  # nearer to the threshold than this, nobody can say on which side a pair is

RANDOM = "Random pair: checks how good the model is."
_FIXED: Mapping[Question, str] = {
    Question.NEIGHBOURS: "Close neighbours in one cluster: a telling pair to start with.",
    Question.BORDER: "About as alike as similar pairs begin to be: a telling pair to start with.",
    Question.RANDOM: RANDOM,
}
_BEYOND = "As near to the model's threshold as any: all pairs of this round are on one side of it."
_UNCERTAIN = {
    True: "Right at the model's threshold: the model cannot tell.",
    False: "Near the model's threshold: the model is unsure.",
}


def explain(proposals: Proposals) -> tuple[str, ...]:
    """One sentence for each proposed pair, in their order.

    It gives neither the model's figures nor the answer that it expects, so that people judge the
    images; the figures are in `proposals`.
    """
    beyond = _are_beyond(proposals)
    sentences = (
        (_why(proposals, place, beyond=beyond), _settles(proposals.gains[place]))
        for place in range(len(proposals.pairs))
    )
    return tuple(" ".join(each for each in parts if each) for parts in sentences)


def _are_beyond(proposals: Proposals) -> bool:
    """Whether all uncertain pairs are on one side of the threshold, and none at it."""
    if proposals.threshold is None:
        return False
    uncertain = np.array([kind is Question.UNCERTAIN for kind in proposals.kinds], dtype=bool)
    away = proposals.similarity[uncertain] - proposals.threshold.alpha
    return bool((away >= _RIGHT_AT).all() or (away <= -_RIGHT_AT).all())


def _why(proposals: Proposals, place: int, *, beyond: bool) -> str:
    kind = proposals.kinds[place]
    if kind is Question.UNCERTAIN and proposals.threshold is not None:
        away = abs(float(proposals.similarity[place]) - proposals.threshold.alpha)
        return _BEYOND if beyond else _UNCERTAIN[away < _RIGHT_AT]
    if kind is Question.CLASSIFIER:
        return "The classifier of pairs is unsure of this one."
    return _FIXED[kind]


def _settles(gain: Gain) -> str:
    """How many pairs an answer settles, where it is more than this one."""
    if max(gain.if_similar, gain.if_dissimilar) <= 1:
        return ""
    if gain.if_similar == gain.if_dissimilar:
        return f"Either answer settles {gain.if_similar} pairs."
    return f"“Similar” settles {_pairs(gain.if_similar)}, “different” {gain.if_dissimilar}."


def _pairs(count: int) -> str:
    return "1 pair" if count == 1 else f"{count} pairs"
