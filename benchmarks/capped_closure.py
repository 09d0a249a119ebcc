"""How wrong implied labels are where answers are, and which limit on the closure helps.

    python -m benchmarks.capped_closure [--quick]

Simulated people answer about 840 images of 21 kinds, either image against group (as `components`
asks) or about pairs of which half are similar (as MGUE does); a share of their answers is wrong.
The last line is one JSON object with every figure.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from annealing.expansion import known_relations
from annealing.reliability import longest_proof
from annealing.transitivity import Closure
from domain.answers import KnownRelation, Propagation
from domain.pairs import Pair, pair

KINDS, OF_A_KIND = 21, 40
IMAGES = KINDS * OF_A_KIND
SEEDS = 3
MODEL_RIGHT = 0.8  # how often the model's first guess of a group is right
MOST_GUESSES = 4
LARGEST_DOUBT = 0.2  # of a group to hold a wrong answer, for the limit on its size

Labels = dict[Pair, bool]


class Person:
    """Answers about images whose kinds are their numbers' hundreds, wrongly now and then."""

    def __init__(self, error: float, rng: np.random.Generator) -> None:
        self.labels: Labels = {}
        self._error, self._rng = error, rng

    def says(self, first: int, second: int) -> bool:
        """Their answer; a pair is answered once."""
        asked = pair(first, second)
        if asked not in self.labels:
            wrong = bool(self._rng.random() < self._error)
            self.labels[asked] = alike(asked) != wrong
        return self.labels[asked]


def alike(asked: Pair) -> bool:
    """Whether two images are of one kind."""
    return asked.a // OF_A_KIND == asked.b // OF_A_KIND


def ask_about_groups(person: Person, budget: int, rng: np.random.Generator) -> None:
    """Each image against members of its likeliest groups until one is similar; then any pairs."""
    groups: list[list[int]] = []
    for image in map(int, rng.permutation(IMAGES)):
        if len(person.labels) >= budget:
            return
        for group in _guesses(groups, image, rng):
            if person.says(image, group[int(rng.integers(len(group)))]):
                group.append(image)
                break
        else:
            groups.append([image])
    while len(person.labels) < budget:
        person.says(*map(int, rng.choice(IMAGES, 2, replace=False)))


def _guesses(groups: list[list[int]], image: int, rng: np.random.Generator) -> list[list[int]]:
    own = [each for each in groups if alike(pair(each[0], image))]
    others = [each for each in groups if each not in own]
    rest = [others[place] for place in rng.permutation(len(others))[: MOST_GUESSES - 1]]
    first = 0 if rng.random() < MODEL_RIGHT else 1
    return [*rest[:first], *own, *rest[first:]][:MOST_GUESSES]


def ask_about_pairs(person: Person, budget: int, rng: np.random.Generator) -> None:
    """Any pairs, half of them of one kind."""
    while len(person.labels) < budget:
        first, second = map(int, rng.choice(IMAGES, 2, replace=False))
        if rng.random() < 0.5:
            second = first // OF_A_KIND * OF_A_KIND + second % OF_A_KIND
        if first != second:
            person.says(first, second)


ASKING = {"groups": ask_about_groups, "pairs": ask_about_pairs}


def limited(labels: Labels, error: float) -> Iterator[tuple[str, list[KnownRelation]]]:
    """What is implied under each limit."""
    everything = known_relations(labels, Propagation.CLOSURE, proofs=False)
    one_step = known_relations(labels, Propagation.ONE_STEP, proofs=False)
    short = known_relations(
        labels, Propagation.CLOSURE, proofs=False, longest_proof=longest_proof(error)
    )
    yield "no limit", everything
    yield "short proofs", short
    yield "small groups", _of_small_groups(labels, everything, error) + one_step
    yield "two links", _of_two_links(labels, everything)
    yield "one step", one_step


def _closure(labels: Mapping[Pair, bool]) -> Closure:
    closure = Closure()
    for answered, similar in labels.items():
        closure.add(answered, similar)
    return closure


def _of_small_groups(
    labels: Labels, relations: list[KnownRelation], error: float
) -> list[KnownRelation]:
    """Only from groups that hold a wrong answer with little probability."""
    closure = _closure(labels)
    most = np.log(1 - LARGEST_DOUBT) / np.log(1 - error) if error else np.inf

    def answers_behind(each: KnownRelation) -> int:
        roots = {closure.root(number) for number in each.pair}
        return sum(len(closure.members(root)) for root in roots) - 1

    return [each for each in relations if answers_behind(each) <= most]


def _of_two_links(labels: Labels, relations: list[KnownRelation]) -> list[KnownRelation]:
    """Dissimilar ones only where two answers say that two groups are."""
    closure = _closure(labels)

    def groups(each: Pair) -> frozenset[int]:
        return frozenset(closure.root(number) for number in each)

    links = Counter(groups(q) for q, similar in closure.accepted().items() if not similar)
    return [each for each in relations if each.similar or links[groups(each.pair)] > 1]


def counted(relations: list[KnownRelation]) -> tuple[int, int, int, int]:
    """Implied pairs called similar, those of them that are not, and the same for dissimilar."""
    implied = {each.pair: each.similar for each in relations if each.implied}
    wrong = [similar for each, similar in implied.items() if similar != alike(each)]
    similar = sum(implied.values())
    return similar, sum(wrong), len(implied) - similar, len(wrong) - sum(wrong)


def measure(asking: str, budget: int, error: float) -> dict[str, list[float]]:
    """For each limit the mean of `counted` over the seeds."""
    found: dict[str, list[tuple[int, int, int, int]]] = {}
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        person = Person(error, rng)
        ASKING[asking](person, budget, rng)
        for name, relations in limited(person.labels, error):
            found.setdefault(name, []).append(counted(relations))
    return {name: np.mean(each, axis=0).tolist() for name, each in found.items()}


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one number of answers, two errors")
    quick = parser.parse_args().quick
    figures: dict[str, dict[str, list[float]]] = {}
    for asking in ASKING:
        for budget in (1000,) if quick else (1000, 2000):
            for error in (0.01, 0.03) if quick else (0.0, 0.01, 0.02, 0.03, 0.05, 0.1):
                found = measure(asking, budget, error)
                figures[f"{asking}, {budget} answers, {error:.0%} wrong"] = found
                print(f"{asking}, {budget} answers, {error:.0%} wrong")
                for name, (similar, wrong, dissimilar, wrong_too) in found.items():
                    print(
                        f"  {name:13} {similar:7.0f} similar, {wrong / max(similar, 1):6.1%} wrong"
                        f" {dissimilar:8.0f} dissimilar, {wrong_too / max(dissimilar, 1):5.1%}"
                    )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
