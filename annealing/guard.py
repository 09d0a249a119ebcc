"""Where to ask when MGUE's threshold is of no use, and how to say so.

The paper's formula can put the threshold where nothing is ambiguous: outside of all similarities
when a head is overfitted, among typical similar pairs when the spreads differ much, anywhere when
the model does not tell the kinds apart. People then press one key a hundred times and teach the
model nothing.

Source: ours; the paper says nothing of these cases.
"""

from dataclasses import replace

from annealing.mining import most_uncertain_pairs, similarity_quantile
from annealing.proposals import Pool, Proposals
from annealing.uncertainty import Threshold
from domain.arrays import BoolArray
from domain.jobs import Progress, silent

ONE_SIDED = 0.9  # of a round's answers of one kind: questions at its threshold taught little
FEWEST_ANSWERS = 20  # with fewer, chance alone can make a round one-sided


def guarded(
    pool: Pool, threshold: Threshold, *, progress: Progress = silent
) -> tuple[Threshold, str]:
    """The threshold to ask at, and in words why it is another; the same with "" where all is well.

    Args:
        pool: its setting `guard_threshold` says whether anything is done.
        threshold: by the formula.
        progress: told where all pairs are looked at.
    """
    low, high = threshold.mean_dissimilar, threshold.mean_similar
    if not pool.settings.guard_threshold or low is None or high is None:
        return threshold, ""
    if low >= high:
        return _at_expected_share(pool, threshold, progress)
    answers = pool.last_answers
    if answers is None or not _is_one_sided(answers):
        return threshold, ""
    similar = int(answers.sum())
    kind, other = ("similar", low) if similar * 2 > len(answers) else ("dissimilar", high)
    if (other < threshold.alpha) != (kind == "similar"):
        return threshold, ""  # it is beyond the other kind already
    alpha = (threshold.alpha + other) / 2
    return replace(threshold, alpha=alpha), (
        f"{max(similar, len(answers) - similar)} of the last round's {len(answers)} answers were "
        f'"{kind}", which taught the model little. This round asks at similarity {alpha:.2f} '
        f"instead of {threshold.alpha:.2f}, closer to the other kind."
    )


def nearest_if_beyond(
    pool: Pool, proposals: Proposals, alpha: float, *, progress: Progress = silent
) -> float | None:
    """The similarity of the open pair nearest to the threshold if all lie on one side of it.

    Args:
        pool: with an open pair.
        proposals: questions asked at this threshold; if they lie on both sides, no pair is mined.
        alpha: the threshold.
        progress: of the mining.
    """
    above = proposals.similarity > alpha
    if above.any() and not above.all():
        return None
    end = -2.0 if above.all() else 2.0  # the pair furthest on the other side decides
    furthest = most_uncertain_pairs(
        pool.embeddings, end, 1, excluded=pool.closed, device=pool.device, progress=progress
    )
    similarity = float(furthest.similarity[0])
    return similarity if above.all() == (similarity > alpha) else None


def between_means(threshold: Threshold) -> Threshold | None:
    """The threshold midway between the two means; None without both, in the right order."""
    low, high = threshold.mean_dissimilar, threshold.mean_similar
    if low is None or high is None or low >= high:
        return None
    return replace(threshold, alpha=(low + high) / 2)


def beyond_in_words(nearest: float, alpha: float, asked_at: float | None) -> str:
    """That no open pair is at the threshold, and what is asked instead."""
    side, kind = ("below", "dissimilar") if nearest <= alpha else ("above", "similar")
    done = (
        "The nearest pairs are asked."
        if asked_at is None
        else f"This round asks at {asked_at:.2f}, midway between similar and dissimilar pairs."
    )
    return (
        f"Every open pair is {side} the model's threshold {alpha:.2f} (the nearest has similarity "
        f"{nearest:.2f}): the model calls them all {kind}. {done}"
    )


def _at_expected_share(
    pool: Pool, threshold: Threshold, progress: Progress
) -> tuple[Threshold, str]:
    share = pool.settings.similar_share
    alpha = similarity_quantile(
        pool.embeddings, 1 - share, excluded=pool.closed, device=pool.device, progress=progress
    )
    return replace(threshold, alpha=alpha), (
        f"This round asks at similarity {alpha:.2f}, which only the expected {share:.0%} of all "
        "pairs exceed."
    )


def _is_one_sided(answers: BoolArray) -> bool:
    larger = max(int(answers.sum()), int((~answers).sum()))
    return len(answers) >= FEWEST_ANSWERS and larger >= ONE_SIDED * len(answers)
