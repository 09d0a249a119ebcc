"""Whether going on is worth it: what the models so far say of the next ones, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from retrieval.learning_curve import FARTHEST, FEWEST_POINTS, LearningCurve, fit_learning_curve
from workflow.curves import CurvePoint

# By which figure models are compared, the first that enough of them have: classes are fairest,
# then random pairs; pairs chosen for their uncertainty get harder as models get better.
FIGURES = {
    "map_at_5_min": "mAP@5",
    "auc_random": "AUC on random pairs",
    "balanced_accuracy_random": "Balanced accuracy on random pairs",
}
WORTH = 0.005  # half a percentage point: less is hard to see in a list of results


@dataclass(frozen=True)
class Outlook:
    """A fitted curve of one figure.

    Attributes:
        figure: the figure's name, a key of `FIGURES`.
        last_round_bits: what the newest model had more than the one before it.
        gains: of the newest models over the one before each, oldest first; at most three.
    """

    figure: str
    curve: LearningCurve
    last_round_bits: int
    gains: tuple[float, ...]
    now: float


def outlook(points: Sequence[CurvePoint]) -> Outlook | None:
    """What the models say; None before enough of them can be compared fairly."""
    for figure in FIGURES:
        known = [point for point in points if figure in point.metrics]
        curve = fit_learning_curve(
            [point.bits for point in known], [point.metrics[figure] for point in known]
        )
        if curve is not None:
            values = [point.metrics[figure] for point in known]
            steps = [after - before for before, after in pairwise(values)]
            bits = sorted({point.bits for point in known})
            return Outlook(figure, curve, bits[-1] - bits[-2], tuple(steps[-3:]), values[-1])
    return None


def another_round(found: Outlook) -> str:
    """Whether another round like the last is worth it, in words."""
    gain = found.curve.gain(found.last_round_bits)
    seen = ", ".join(f"{100 * each:+.1f}" for each in found.gains)
    said = (
        f"The last models changed {FIGURES[found.figure]} by {seen} percentage points. Another "
        f"{found.last_round_bits:,} bits would bring about {100 * gain.expected:+.1f}, likely "
        f"between {100 * gain.low:+.1f} and {100 * gain.high:+.1f}."
    )
    if gain.high < WORTH:
        return f"{said} That is hardly worth it."
    if gain.low > WORTH:
        return f"{said} It is worth it."
    return f"{said} Whether that is worth it cannot be told from the models so far."


def bits_to_reach(found: Outlook, target: float) -> str:
    """How many bits a target needs, in words."""
    name = f"{FIGURES[found.figure]} of {100 * target:.0f} %"
    present = round(found.curve.present)
    if found.now >= target:
        return f"{name}: the newest model has it already, with {present:,} bits."
    reach = found.curve.reach(target)
    if reach.low is None:
        return f"{name}: not reachable as seen, not even with {FARTHEST:.0f} times the bits."
    low = f"{round(reach.low):,}" if reach.low > found.curve.present else "a few more than now"
    high = f"{round(reach.high):,}" if reach.high is not None else "more than can be told"
    if reach.bits is None:
        return (
            f"{name}: not within {FARTHEST:.0f} times the bits on the curve as seen; with luck "
            f"from {low} bits on."
        )
    return f"{name}: at about {round(reach.bits):,} bits, likely between {low} and {high}."


def too_few(points: Sequence[CurvePoint]) -> str:
    """Why nothing can be foretold."""
    learnt = [point for point in points if point.bits > 0]
    most = max(sum(figure in point.metrics for point in learnt) for figure in FIGURES)
    return (
        f"It needs {FEWEST_POINTS} trained models that can be compared fairly, by classes or by "
        f"answers to random pairs; there are {most}. More random pairs are asked with a higher "
        "check_share under [selection] in project.toml."
    )
