"""What two answered pairs that share an image imply: the paper's single step of transitivity.

Similar to the same image means similar; similar to one and dissimilar to the other means
dissimilar. Works on any integers, row numbers or image ids. No answer is ever overwritten.

Source: ANNEAL, transitivity of pair labels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from domain.pairs import Pair, pair


@dataclass(frozen=True)
class Implied:
    """What one step of transitivity gives.

    Attributes:
        relations: new pairs (not answered themselves) and whether they are similar.
        proofs: for each new pair, every two answers that imply it, by ascending shared number.
        conflicts: pairs whose implications disagree, or contradict their own answer; ascending.
    """

    relations: dict[Pair, bool]
    proofs: dict[Pair, tuple[tuple[Pair, Pair], ...]]
    conflicts: tuple[Pair, ...]


def one_step(labels: Mapping[Pair, bool]) -> Implied:
    """The pairs implied by two answered pairs that share one member.

    Args:
        labels: answered pairs, True for similar.

    Returns:
        New relations in ascending order of pairs; an answered pair keeps its answer, and where
        implications disagree none is given. Two dissimilar answers imply nothing.

    Source: ANNEAL, transitivity of pair labels. Cost: the sum of squared numbers of answers.
    """
    neighbours = _neighbours(labels)
    found: dict[Pair, list[tuple[bool, tuple[Pair, Pair]]]] = {}
    for shared in sorted(neighbours):
        for first, second in combinations(sorted(neighbours[shared]), 2):
            left, right = pair(first, shared), pair(shared, second)
            if labels[left] or labels[right]:
                implied = labels[left] and labels[right]
                found.setdefault(Pair(first, second), []).append((implied, (left, right)))
    return _agreed(labels, found)


def _neighbours(labels: Mapping[Pair, bool]) -> dict[int, list[int]]:
    neighbours: dict[int, list[int]] = {}
    for a, b in labels:
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    return neighbours


def _agreed(
    labels: Mapping[Pair, bool], found: Mapping[Pair, list[tuple[bool, tuple[Pair, Pair]]]]
) -> Implied:
    relations: dict[Pair, bool] = {}
    proofs: dict[Pair, tuple[tuple[Pair, Pair], ...]] = {}
    conflicts: list[Pair] = []
    for implied_pair in sorted(found):
        said = {similar for similar, _ in found[implied_pair]}
        if implied_pair in labels:
            said.add(labels[implied_pair])
        if len(said) > 1:
            conflicts.append(implied_pair)
        elif implied_pair not in labels:
            relations[implied_pair] = said.pop()
            proofs[implied_pair] = tuple(proof for _, proof in found[implied_pair])
    return Implied(relations, proofs, tuple(conflicts))
