"""Which pairs of groups to compare when all questions are chosen before the first answer.

Takes the pairs in the order of how alike they look, gives them in the order of how much each is
expected to tell. Of three groups that are probably one kind the third pair is worth little, and so
is a second pair between two kinds of which one pair is asked already. So the archive's kinds are
drawn at random, many times, from what looks say; a pair is worth the share of these worlds in
which it joins groups that the pairs before it do not join there.

Source: ours; agglomerative clustering of noisy odds, greedy choice of edges as in Kruskal (1956).
"""

from collections.abc import Sequence

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from domain.arrays import FloatArray, IntArray

# How probably pairs of parts are one kind, by their place in the order of closeness: of training
# images of five archives, whose shares lie on both sides of it (UC Merced: within 0.1).
_LIKELY = 0.9  # of the first pair
_HALF_LIKELY = 1.6  # times the number of groups: the place where it has fallen by half
_WEIGHED = 4  # times the number of groups: pairs beyond are too improbable to be weighed
_WORLDS = 100
_NOISE = 1.0  # standard deviation of what looks do not say, in log odds
_UNSURE = 1.0  # worlds have from 1/e to e times as many pairs of one kind as expected
_TOLD_APART = -20.0  # log odds of pairs that are not given


def joining_most(pairs: Sequence[tuple[int, int]], groups: int) -> list[tuple[int, int]]:
    """Pairs of groups in the order of how probably each joins what those before it do not.

    Args:
        pairs: most alike first, each once; others are known to be different kinds.
        groups: how many there are; pairs are of 0…groups-1.
    """
    if not pairs:
        return []
    first, second = np.array(pairs, dtype=np.int64).T
    weighed = min(len(pairs), _WEIGHED * groups)
    order = _greedily(first[:weighed], second[:weighed], drawn_kinds(pairs, groups))
    return [pairs[place] for place in order] + list(pairs[weighed:])


def drawn_kinds(pairs: Sequence[tuple[int, int]], groups: int) -> IntArray:
    """[W, groups] which groups are one kind in each of many worlds that looks leave possible.

    In each the odds of all pairs are disturbed, and the groups with the largest mean odds are
    joined until there are as many pairs of one kind as that world has.

    Args:
        pairs: most alike first; at least one.
        groups: how many there are.
    """
    chance = _LIKELY / (1 + (np.arange(len(pairs)) / (_HALF_LIKELY * groups)) ** 2)
    log_odds = np.log(chance / (1 - chance))
    first, second = np.array(pairs, dtype=np.int64).T
    rng = np.random.default_rng(0)
    worlds = []
    for more in np.exp(np.linspace(-_UNSURE, _UNSURE, _WORLDS)):
        odds = np.full((groups, groups), _TOLD_APART)
        noisy = log_odds + _NOISE * rng.normal(size=len(pairs))
        odds[first, second] = odds[second, first] = noisy
        worlds.append(_joined_closest(odds, more * chance.sum()))
    return np.array(worlds)


def _joined_closest(odds: FloatArray, wanted: float) -> IntArray:
    """[G] clusters of average linkage, with about so many pairs inside clusters."""
    groups = len(odds)
    distance = odds.max() - odds
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average")
    size = np.ones(2 * groups - 1)
    inside = np.zeros(groups - 1)
    for step, (one, other) in enumerate(tree[:, :2].astype(np.int64)):
        size[groups + step] = size[one] + size[other]
        inside[step] = size[one] * size[other]
    joins = int(np.searchsorted(np.cumsum(inside), wanted))
    return np.asarray(fcluster(tree, max(1, groups - joins), "maxclust"), dtype=np.int64)


def _greedily(first: IntArray, second: IntArray, kinds: IntArray) -> list[int]:
    """Places of pairs in the order of in how many worlds each joins what those before do not."""
    same = kinds[:, first] == kinds[:, second]
    joined = np.tile(np.arange(kinds.shape[1]), (len(kinds), 1))  # numbers of what is joined
    waiting = np.ones(len(first), dtype=bool)
    order: list[int] = []
    while waiting.any():
        joins = (same & (joined[:, first] != joined[:, second])).sum(axis=0)
        best = int(np.where(waiting, joins, -1).argmax())
        waiting[best] = False
        order.append(best)
        here = np.flatnonzero(same[:, best])
        one, other = joined[here, first[best]], joined[here, second[best]]
        now = joined[here]
        joined[here] = np.where(now == other[:, None], one[:, None], now)
    return order
