"""The questions of a round: what they are about, that none is asked twice, that they help."""

from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annealing.components.beliefs import beliefs
from annealing.components.choosing import next_chains
from annealing.components.evidence import NO_GROUP, Answers, evidence_between
from annealing.components.parts import part_likeness, parts_of, parts_wanted
from annealing.components.questions import LONGEST, Asker, Chain, group_checks, image_chains
from annealing.components.space import Space, principal_rows, space_of
from annealing.components.start import first_answers, first_chains
from annealing.proposals import Question
from tests.annealing.components.conftest import (
    EACH,
    KINDS,
    answers_of,
    asked,
    no_answers,
    together,
    truth,
)


def simulated(space: Space, kinds: np.ndarray, count: int, wrong: float = 0) -> Answers:
    """Answers of some rounds of 20, a share of them wrong."""
    rng = np.random.default_rng(5)
    said: list[tuple[int, int, bool]] = []
    while len(said) < count:
        chains = next_chains(space, answers_of(said), 20, error=0.05)
        new = asked(chains, lambda a, b: bool((kinds[a] == kinds[b]) != (rng.random() < wrong)), 20)
        if not new:
            break
        said += new
    return answers_of(said)


def keys(chains: Iterable[Chain]) -> list[tuple[int, int]]:
    return [(min(each), max(each)) for chain in chains for each in chain.pairs]


@pytest.fixture(scope="module")
def clean(space: Space, kinds: np.ndarray) -> Answers:
    return simulated(space, kinds, 60)


def test_most_images_are_sorted_with_fewer_answers_than_images(
    space: Space, kinds: np.ndarray, clean: Answers
) -> None:
    found = beliefs(space, clean, error=0.05)
    kind_of = np.array([np.bincount(kinds[rows]).argmax() for rows in found.members])
    assert len(clean) < len(kinds)
    assert (kind_of[found.probability.argmax(axis=1)] == kinds).mean() > 0.9


@pytest.mark.parametrize("wrong", [0, 0.15], ids=["all right", "15 % wrong"])
def test_no_pair_is_asked_twice(space: Space, kinds: np.ndarray, wrong: float) -> None:
    answers = simulated(space, kinds, 100, wrong)
    assert len(answers.keys) == len(answers)
    chains = next_chains(space, answers, 20, error=0.05)
    assert not set(keys(chains)) & answers.keys


def test_no_pair_of_a_round_stands_in_two_chains(space: Space, clean: Answers) -> None:
    chains = next_chains(space, clean, 30, error=0.05)
    assert len(set(keys(chains))) == len(keys(chains)) > 0


def test_a_chain_asks_of_one_image_whether_it_belongs_to_one_group_after_another(
    space: Space, clean: Answers
) -> None:
    found = beliefs(space, clean, error=0.05)
    chains = list(image_chains(Asker(space, found), 20))
    assert len(chains) == 20
    for chain in chains:
        image = chain.pairs[0][0]
        assert {a for a, _ in chain.pairs} == {image}
        groups = [int(found.group[other]) for _, other in chain.pairs]
        assert chain.sizes == tuple(found.size[groups])
        assert groups[0] == found.probability[image].argmax() or found.group[image] >= 0
        assert 1 <= len(groups) <= LONGEST
        assert chain.kind is Question.WHICH_KIND


def test_without_look_ups_images_come_first_whose_group_one_question_tells(
    kinds: np.ndarray, answered: Answers
) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(KINDS, 12))[kinds] + 2 * rng.normal(size=(len(kinds), 12))
    blurred = Space.of_unit(principal_rows(rows))
    found = beliefs(blurred, answered, error=0.05)

    def surest(*, look_ups: bool) -> float:
        chains = image_chains(Asker(blurred, found), 10, look_ups=look_ups)
        return float(np.mean([found.probability[chain.pairs[0][0]].max() for chain in chains]))

    assert surest(look_ups=False) > surest(look_ups=True) + 0.05


def test_a_round_has_chains_for_each_answer_wanted(space: Space, answered: Answers) -> None:
    assert len(next_chains(space, answered, 25, error=0.05)) >= 25


def test_a_group_of_two_kinds_is_checked_across_its_halves(
    space: Space, answered: Answers, kinds: np.ndarray
) -> None:
    """All of two kinds were joined by wrong answers."""
    first, second = np.flatnonzero(kinds == 0)[:6], np.flatnonzero(kinds == 1)[:6]
    within = [pair for rows in (first, second) for pair in combinations(rows.tolist(), 2)]
    across = [(int(first[0]), int(second[0]), True), (int(first[1]), int(second[1]), True)]
    answers = together(truth(within, kinds), answers_of(across))
    # Two answers, since with one the groups would be joined by nothing that is left to check
    found = beliefs(space, Answers(answers.pairs[:-1], answers.similar[:-1]), error=0)
    checks = [
        chain for chain in group_checks(Asker(space, found), 40) if chain.kind is Question.ONE_KIND
    ]
    assert len(checks) == 1
    assert checks[0].repeats
    (pair,) = checks[0].pairs
    assert set(kinds[list(pair)]) == {0, 1}
    assert checks[0].sizes == (12,)


def test_groups_that_look_like_one_are_compared(space: Space, kinds: np.ndarray) -> None:
    """Kind 0 in two groups that nobody compared, and kind 1."""
    rows = np.flatnonzero(kinds == 0)[:6].tolist()
    said = [*combinations(rows[:3], 2), *combinations(rows[3:], 2)]
    other = np.flatnonzero(kinds == 1)[:3].tolist()
    found = beliefs(space, truth([*said, *combinations(other, 2)], kinds), error=0.05)
    checks = group_checks(Asker(space, found), 100)
    assert checks[0].kind is Question.SAME_KIND
    assert set(kinds[list(checks[0].pairs[0])]) == {0}


def test_checks_take_no_more_than_their_share(space: Space, answered: Answers) -> None:
    found = beliefs(space, answered, error=0.05)
    assert len(group_checks(Asker(space, found), 10)) <= 1
    assert group_checks(Asker(space, found), 0) == []


def test_questions_depend_on_what_was_said_not_on_its_order(
    space: Space, answered: Answers
) -> None:
    order = np.random.default_rng(1).permutation(len(answered))
    turned = Answers(answered.pairs[order][:, ::-1], answered.similar[order])
    one, other = (next_chains(space, each, 12, error=0.05) for each in (answered, turned))
    assert one == other


def test_the_first_questions_compare_the_middles_of_parts(space: Space, kinds: np.ndarray) -> None:
    chains = next_chains(space, no_answers(), 10, error=0.05)
    middles = set(parts_of(space).middle.tolist())
    assert {row for pair in keys(chains) for row in pair} <= middles
    assert {chain.kind for chain in chains} == {Question.FIRST_KINDS}
    similar = [kinds[a] == kinds[b] for a, b in keys(chains)]
    assert np.mean(similar) > 2 / KINDS


def test_parts_are_small_clusters_with_an_image_of_each_in_the_middle(
    space: Space, kinds: np.ndarray
) -> None:
    parts = parts_of(space)
    count = parts_wanted(len(space))
    assert sorted(set(parts.part)) == list(range(count))
    np.testing.assert_array_equal(parts.part[parts.middle], np.arange(count))
    pure = [np.bincount(kinds[parts.part == part]).max() for part in range(count)]
    assert sum(pure) / len(space) > 0.9


def test_groups_that_answers_told_apart_are_not_compared_again_at_the_start(
    space: Space, kinds: np.ndarray
) -> None:
    said = asked(first_chains(space, no_answers(), error=0.05), lambda a, b: False, 8)
    chains = list(first_chains(space, answers_of(said), error=0.05))
    assert not set(keys(chains)) & answers_of(said).keys


def test_the_start_ends_after_so_many_answers(space: Space, kinds: np.ndarray) -> None:
    answers = simulated(space, kinds, first_answers(len(space)))
    later = next_chains(space, answers, 10, error=0.05)
    assert Question.FIRST_KINDS not in {chain.kind for chain in later}
    assert len(evidence_between(answers, beliefs(space, answers, error=0.05).group)) > 0


@pytest.mark.parametrize(("missing", "whole_round"), [(5, True), (4, False)])
def test_a_round_that_starts_with_half_of_it_asks_nothing_else(
    space: Space, missing: int, whole_round: bool
) -> None:
    first = first_chains(space, no_answers(), error=0.05)
    answers = answers_of(asked(first, lambda a, b: False, first_answers(len(space)) - missing))
    of_kind = [chain.kind for chain in next_chains(space, answers, 10, error=0.05)]
    assert of_kind[:missing] == [Question.FIRST_KINDS] * missing
    assert (set(of_kind) == {Question.FIRST_KINDS}) == whole_round


def test_the_order_without_look_ups_leaves_no_pair_out(space: Space) -> None:
    at_once = keys(first_chains(space, no_answers(), error=0.05, look_ups=False))
    followed = keys(first_chains(space, no_answers(), error=0.05))
    assert sorted(at_once) == sorted(followed)
    assert list(at_once) != list(followed)


def test_answers_about_images_without_a_group_are_evidence_for_none() -> None:
    said = answers_of([(0, 1, True), (0, 2, False), (2, 3, True)])
    group = np.array([0, 0, NO_GROUP, 1])
    assert evidence_between(said, group) == {}


def test_parts_are_as_alike_as_walks_of_up_to_four_links_between_them_are_many(
    space: Space,
) -> None:
    parts = parts_of(space)
    step = np.stack([space.graph.spread(row) for row in np.eye(len(space), dtype=np.float32)])
    size = np.bincount(parts.part)
    expected = np.empty((len(size), len(size)))
    for i, j in np.ndindex(*expected.shape):
        walks = step[np.ix_(parts.part == i, parts.part == j)].sum()
        expected[i, j] = np.log(walks / np.sqrt(size[i] * size[j]) + 1e-3)
    np.testing.assert_allclose(part_likeness(space, parts), expected, atol=1e-4)


def test_the_most_closely_linked_parts_are_compared_first(space: Space, kinds: np.ndarray) -> None:
    parts = parts_of(space)
    likeness = part_likeness(space, parts)
    np.fill_diagonal(likeness, -np.inf)
    i, j = np.unravel_index(int(likeness.argmax()), likeness.shape)
    first = next(first_chains(space, no_answers(), error=0.05)).pairs[0]
    assert sorted(first) == sorted((int(parts.middle[i]), int(parts.middle[j])))


@pytest.mark.parametrize(
    "rows",
    [np.eye(3), np.ones((9, 4)), np.zeros((9, 4)), np.eye(2)],
    ids=["three images", "identical images", "all zero", "two images"],
)
@pytest.mark.parametrize("alike", [True, False], ids=["all alike", "none alike"])
def test_degenerate_archives_are_asked_until_nothing_is_left(rows: np.ndarray, alike: bool) -> None:
    space = space_of(rows)
    kinds = np.zeros(len(rows)) if alike else np.arange(len(rows))
    answers = simulated(space, kinds, 50)
    every = len(rows) * (len(rows) - 1) // 2
    assert 0 < len(answers) <= every
    assert len(answers.keys) == len(answers)


def test_one_image_has_nothing_to_ask() -> None:
    assert next_chains(space_of(np.eye(4)[:1]), no_answers(), 5, error=0.05) == []


def test_images_of_a_kind_never_seen_are_asked_about(space: Space, kinds: np.ndarray) -> None:
    """Answers about two kinds only: the chains still reach images of the others."""
    rows = np.flatnonzero(kinds < 2)
    answers = truth(combinations(rows[rows % EACH < 5].tolist(), 2), kinds)
    found = beliefs(space, answers, error=0.05)
    images = [chain.pairs[0][0] for chain in image_chains(Asker(space, found), 30)]
    assert len(set(kinds[images])) > 2


def test_pairs_whose_answers_say_nothing_are_not_asked_again() -> None:
    rng = np.random.default_rng(3)
    kinds = np.repeat(np.arange(4), 15)
    space = space_of(rng.normal(size=(60, 8)) + 2 * np.eye(8)[kinds])
    nothing = Answers(np.zeros((0, 2), np.int64), np.zeros(0, bool))
    first = next_chains(space, nothing, 10, error=0.05)
    unclear = [pair for chain in first for pair in chain.pairs]
    again = next_chains(space, nothing, 10, error=0.05, unclear=unclear)
    assert again
    asked = {(min(pair), max(pair)) for chain in again for pair in chain.pairs}
    assert not asked & {(min(pair), max(pair)) for pair in unclear}


def test_while_all_answers_are_one_group_others_are_compared_with_it() -> None:
    rng = np.random.default_rng(3)
    space = space_of(rng.normal(size=(12, 8)))
    said = Answers(np.array([(0, 1), (1, 2), (2, 3)]), np.ones(3, bool))
    chains = next_chains(space, said, 20, error=0.05)
    compared = {image for chain in chains for pair in chain.pairs for image in pair}
    assert compared >= set(range(4, 12))


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 1000),
    images=st.integers(1, 14),
    said=st.integers(0, 40),
    wanted=st.integers(0, 60),
    copies=st.booleans(),
    look_ups=st.booleans(),
)
def test_a_round_asks_different_open_pairs_and_the_same_again(
    seed: int, images: int, said: int, wanted: int, copies: bool, look_ups: bool
) -> None:
    rng = np.random.default_rng(seed)
    vectors, kinds = rng.normal(size=(images, 6)), rng.integers(0, 3, images)
    space = space_of(np.ones((images, 6)) if copies else vectors)
    upper = rng.permutation(np.stack(np.triu_indices(images, 1), axis=1))
    answers, unclear = truth(upper[:said].tolist(), kinds), upper[said : said + 2].tolist()
    options = {"error": 0.05, "look_ups": look_ups, "unclear": [tuple(each) for each in unclear]}
    chains = next_chains(space, answers, wanted, **options)
    pairs = keys(chains)
    assert len(pairs) == len(set(pairs))
    assert set(pairs) <= {tuple(each) for each in upper[said + 2 :].tolist()}
    assert all(chain.pairs for chain in chains)
    assert chains == next_chains(space, answers, wanted, **options)
