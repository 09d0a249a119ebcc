"""Which answers to doubt where answers contradict each other.

Takes answered pairs, gives those worth asking again. One wrong answer can contradict many right
ones; it stands in all of their contradictions, so that the pair in most of them comes first.

Source: ours; greedy hitting set.
"""

from collections import Counter
from collections.abc import Mapping, Set

from annealing.transitivity import Closure
from domain.pairs import Pair


def worth_repeating(
    labels: Mapping[Pair, bool], count: int, *, but: Set[Pair] = frozenset()
) -> list[Pair]:
    """Answered pairs that stand in most contradictions, each in others than those before it.

    Args:
        labels: answered pairs, True for similar, in the order of their answers.
        count: how many at most.
        but: pairs not to give.

    Returns:
        At most `count` pairs, the one in most contradictions first; of equal ones the latest
        answered. Empty where nothing contradicts.

    Corner cases: a contradiction all of whose answers are in `but` gives none.
    """
    closure = Closure()
    for answered, similar in labels.items():
        closure.add(answered, similar)
    place = {answered: number for number, answered in enumerate(labels)}
    left = [{each.pair, *each.evidence} - but for each in closure.contradictions]
    chosen: list[Pair] = []
    while len(chosen) < count and any(left):
        times = Counter(answered for answers in left for answered in answers)
        best = max(times, key=lambda answered: (times[answered], place[answered]))
        chosen.append(best)
        left = [answers for answers in left if best not in answers]
    return chosen
