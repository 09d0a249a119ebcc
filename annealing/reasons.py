"""Why a pair is asked, in one sentence for the person who answers."""

from collections.abc import Mapping

import numpy as np

from annealing.implications import Gain
from annealing.proposals import Proposals, Question

_RIGHT_AT = 0.005  # two decimals are shown: nearer than this, both numbers read the same

_FIXED: Mapping[Question, str] = {
    Question.NEIGHBOURS: "Close neighbours in one cluster: a likely similar pair to start with.",
    Question.BORDER: "About as alike as similar pairs begin to be: a telling pair to start with.",
    Question.RANDOM: "Random pair: checks how good the model is.",
}


def explain(proposals: Proposals) -> tuple[str, ...]:
    """One sentence for each proposed pair, in their order.

    It gives the numbers and never the answer that the model expects, so that people judge the
    images. The exception is the cold start, where there is no model yet.
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
    kind, similarity = proposals.kinds[place], float(proposals.similarity[place])
    if kind is Question.UNCERTAIN and proposals.threshold is not None:
        alpha = proposals.threshold.alpha
        return _beyond(similarity, alpha) if beyond else _uncertain(similarity, alpha)
    if kind is Question.CLASSIFIER:
        return f"Similarity {similarity:.2f}; the classifier of pairs is unsure of this one."
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


def _beyond(similarity: float, alpha: float) -> str:
    side = "below" if similarity < alpha else "above"
    return (
        f"Similarity {similarity:.2f}, {side} the model's threshold {alpha:.2f}, as all pairs of "
        "this round are: these are the nearest to it."
    )


def _uncertain(similarity: float, alpha: float) -> str:
    if abs(similarity - alpha) < _RIGHT_AT:
        where = f"right at the model's threshold {alpha:.2f}: the model cannot tell"
    else:
        where = f"near the model's threshold {alpha:.2f}: the model is unsure"
    return f"Similarity {similarity:.2f}, {where}."
