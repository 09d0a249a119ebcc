"""Why a pair is asked, in one sentence for the person who answers."""

from collections.abc import Mapping

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
    alpha = proposals.threshold.alpha if proposals.threshold else None
    return tuple(
        _uncertain(float(similarity), alpha)
        if kind is Question.UNCERTAIN and alpha is not None
        else _FIXED[kind]
        for kind, similarity in zip(proposals.kinds, proposals.similarity, strict=True)
    )


def _uncertain(similarity: float, alpha: float) -> str:
    if abs(similarity - alpha) < _RIGHT_AT:
        where = f"right at the model's threshold {alpha:.2f}: the model cannot tell"
    else:
        where = f"near the model's threshold {alpha:.2f}: the model is unsure"
    return f"Similarity {similarity:.2f}, {where}."
