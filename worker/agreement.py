"""How far people agree, beyond what chance would bring: Cohen's and Fleiss' kappa."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from domain.arrays import IntArray
from domain.clock import utc_now
from domain.pairs import Pair
from domain.people import Agreement, PeopleReport
from labeling_store.agreement import Word, activities, common_words, keep_report
from labeling_store.answers import last_event_id
from workflow.project import Project


def report_on_people(project: Project) -> PeopleReport:
    """Compare what members answered, and keep the result for the pages."""
    with project.store.snapshot() as db:
        words, found = common_words(db), activities(db)
        newest = last_event_id(db)
    counts = label_counts(words)
    report = PeopleReport(
        computed_at=utc_now(),
        last_event_id=newest,
        pairs=len(counts),
        agreed=int((counts.max(axis=1) == counts.sum(axis=1)).sum()) if len(counts) else 0,
        kappa=fleiss_kappa(counts),
        activities=found,
        agreements=agreements(words),
    )
    with project.store.transaction() as db:
        keep_report(db, report)
    return report


def agreements(words: Sequence[Word]) -> tuple[Agreement, ...]:
    """The agreement of every two members with common pairs, by ascending ids."""
    said: defaultdict[Pair, dict[int, bool]] = defaultdict(dict)
    for word in words:
        said[word.pair][word.member_id] = word.similar
    both: defaultdict[tuple[int, int], list[tuple[bool, bool]]] = defaultdict(list)
    for labels in said.values():
        for first, second in combinations(sorted(labels), 2):
            both[first, second].append((labels[first], labels[second]))
    return tuple(_agreement(who, both[who]) for who in sorted(both))


def label_counts(words: Sequence[Word]) -> IntArray:
    """[P, 2] how many members call each common pair dissimilar and similar."""
    counts: Mapping[Pair, Counter[bool]] = defaultdict(Counter)
    for word in words:
        counts[word.pair][word.similar] += 1
    rows = [(count[False], count[True]) for count in counts.values()]
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def fleiss_kappa(counts: IntArray) -> float | None:
    """Agreement of any number of raters, of whom each subject may have others; -1…1.

    Args:
        counts: [P, K] how many raters put each subject into each category; two or more each.

    Returns:
        0 is what chance would bring, 1 full agreement; None where it is undefined: there are no
        subjects, or all ratings are the same.

    Source: Fleiss (1971), Measuring nominal scale agreement among many raters. Differs where
    subjects have different numbers of raters: the agreement of a subject is that among its own
    raters, and all subjects weigh the same.
    """
    raters = counts.sum(axis=1)  # [P]
    if len(counts) == 0:
        return None
    shares = counts.sum(axis=0) / raters.sum()  # [K]
    by_chance = float((shares**2).sum())
    if by_chance == 1.0:
        return None
    same = (counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))  # [P]
    return float((same.mean() - by_chance) / (1 - by_chance))


def cohen_kappa(labels: Sequence[tuple[bool, bool]]) -> float | None:
    """Agreement of two raters who say yes or no of the same subjects; -1…1.

    Returns:
        0 is what chance would bring, 1 full agreement; None where it is undefined: there are no
        subjects, or both always say the same one thing.

    Source: Cohen (1960), A coefficient of agreement for nominal scales.
    """
    said = np.array(labels, dtype=bool).reshape(-1, 2)
    if len(np.unique(said)) < 2:
        return None
    first, second = said.mean(axis=0)
    by_chance = first * second + (1 - first) * (1 - second)
    same = float((said[:, 0] == said[:, 1]).mean())
    return float((same - by_chance) / (1 - by_chance))


def _agreement(who: tuple[int, int], labels: Sequence[tuple[bool, bool]]) -> Agreement:
    agreed = sum(a == b for a, b in labels)
    return Agreement(who[0], who[1], len(labels), agreed, cohen_kappa(labels))
