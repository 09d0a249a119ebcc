"""What answers say about images: probabilities, leave-one-out, wrong answers."""

from collections.abc import Iterable

import numpy as np
import pytest

from annealing.components.beliefs import beliefs
from annealing.components.evidence import NO_GROUP, Answers
from annealing.components.graph import NeighbourGraph
from annealing.components.parts import parts_of
from annealing.components.space import Space, kernel, space_of
from tests.annealing.components.conftest import EACH, KINDS, answers_of, together


@pytest.fixture
def clear(space: Space, answered: Answers, kinds: np.ndarray) -> int:
    """The image without answers that looks most like its own kind."""
    found = beliefs(space, answered, error=0.05)
    own = found.probability[np.arange(len(kinds)), kinds].copy()
    own[found.known] = 0
    return int(own.argmax())


def dense_spread(graph: NeighbourGraph, rows: int) -> np.ndarray:
    """[N, N] what a unit of each image leaves on each other, step by step."""
    return np.stack([graph.spread(unit) for unit in np.eye(rows, dtype=np.float32)], axis=1)


def test_rows_are_probabilities(space: Space, answered: Answers) -> None:
    for error in (0, 0.05, 0.3):
        found = beliefs(space, answered, error=error)
        assert np.isfinite(found.probability).all()
        np.testing.assert_allclose(found.probability.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(found.by_looks.sum(axis=1), 1, atol=1e-5)
        assert found.probability.min() >= 0


def test_images_nobody_was_asked_about_are_told_by_their_looks(
    space: Space, answered: Answers, kinds: np.ndarray
) -> None:
    found = beliefs(space, answered, error=0.05)
    assert found.groups == KINDS
    rest = np.setdiff1d(np.arange(len(kinds)), found.known)
    right = found.probability[rest].argmax(axis=1) == kinds[rest]  # groups are in order of rows
    assert right.mean() > 0.85  # one in six is right by chance


def test_answers_beyond_doubt_are_taken_as_they_are(space: Space, answered: Answers) -> None:
    found = beliefs(space, answered, error=0)
    own = found.probability[found.known, found.group[found.known]]
    np.testing.assert_array_equal(own, 1)
    assert found.is_certain[found.known].all()
    assert found.is_certain.sum() == len(found.known)


def test_members_and_sizes_are_of_the_groups(space: Space, answered: Answers) -> None:
    found = beliefs(space, answered, error=0.05)
    for group, members in enumerate(found.members):
        assert members.tolist() == np.flatnonzero(found.group == group).tolist()
        assert len(members) == found.size[group]


def test_what_returns_to_an_image_is_the_diagonal_of_all_that_spreads(space: Space) -> None:
    whole = dense_spread(space.graph, len(space))
    np.testing.assert_allclose(space.graph.own, np.diag(whole), rtol=1e-5)
    np.testing.assert_allclose(whole, whole.T, atol=1e-6)


def test_looks_are_those_without_the_image_itself(
    space: Space, answered: Answers, kinds: np.ndarray
) -> None:
    """Really leaving each image out: from the seeds of the graph, and from the regression."""
    found = beliefs(space, answered, error=0)
    whole = dense_spread(space.graph, len(space)).astype(np.float64)
    for place in (0, 7, len(found.known) - 1):
        image = found.known[place]
        rest = np.delete(found.known, place)
        target = np.eye(KINDS)[found.group[rest]]
        reached = whole[image, rest] @ (target / np.sqrt(target.sum(axis=0)))
        weights = np.linalg.solve(space.kernel(rest, rest) + 0.03 * np.eye(len(rest)), target)
        scores = (space.kernel(np.array([image]), rest) @ weights)[0]
        expected = np.maximum(reached, 1e-12) * np.exp(7.5 * scores)
        np.testing.assert_allclose(
            found.by_looks[place], expected / expected.sum(), rtol=2e-3, atol=1e-5
        )


def test_a_wrong_answer_is_outweighed_and_its_image_leaves_the_group(
    space: Space, answered: Answers, clear: int, kinds: np.ndarray
) -> None:
    """Called alike with a wrong kind once, then not alike with another image of that kind."""
    wrong = np.flatnonzero(kinds != kinds[clear])[:2]
    said = answers_of([(clear, int(wrong[0]), True), (clear, int(wrong[1]), False)])
    fooled = beliefs(space, together(answered, answers_of([(clear, int(wrong[0]), True)])), error=0)
    assert fooled.group[clear] == fooled.group[wrong[0]]
    found = beliefs(space, together(answered, said), error=0.05)
    assert found.group[clear] != found.group[wrong[0]]
    assert found.probability[clear].argmax() == kinds[clear]


def test_an_answer_that_looks_speak_against_stays_in_doubt(
    space: Space, answered: Answers, clear: int, kinds: np.ndarray
) -> None:
    mate, stranger = (
        int(np.flatnonzero(same)[0]) for same in (kinds == kinds[clear], kinds != kinds[clear])
    )
    sure = together(answered, answers_of([(clear, mate, True)]))
    wrong = together(answered, answers_of([(clear, stranger, True)]))
    assert beliefs(space, sure, error=0.05).is_certain[clear]
    assert not beliefs(space, wrong, error=0.05).is_certain[clear]


def test_the_order_and_direction_of_answers_do_not_matter(space: Space, answered: Answers) -> None:
    order = np.random.default_rng(1).permutation(len(answered))
    turned = Answers(answered.pairs[order][:, ::-1], answered.similar[order])
    one, other = (beliefs(space, each, error=0.05) for each in (answered, turned))
    np.testing.assert_array_equal(one.group, other.group)
    np.testing.assert_allclose(one.probability, other.probability, atol=1e-5)


def test_the_order_of_images_does_not_matter(
    space: Space, answered: Answers, kinds: np.ndarray
) -> None:
    order = np.random.default_rng(2).permutation(len(kinds))
    place = np.argsort(order)
    moved = space_of(space.unit[order])
    one = beliefs(space_of(space.unit), answered, error=0.05)
    other = beliefs(moved, Answers(place[answered.pairs], answered.similar), error=0.05)
    np.testing.assert_allclose(
        one.probability.max(axis=1), other.probability.max(axis=1)[place], atol=2e-4
    )


@pytest.mark.parametrize(
    "rows",
    [np.eye(3), np.ones((5, 4)), np.zeros((5, 4))],
    ids=["three images", "identical images", "all zero"],
)
def test_degenerate_archives_give_finite_beliefs(rows: np.ndarray) -> None:
    found = beliefs(space_of(rows), answers_of([(0, 1, True), (1, 2, False)]), error=0.05)
    assert np.isfinite(found.probability).all()
    assert found.groups == 2


def test_one_answer_and_one_group_leave_nothing_to_doubt() -> None:
    found = beliefs(space_of(np.eye(4)), answers_of([(0, 1, True)]), error=0.05)
    np.testing.assert_allclose(found.probability, 1)


def test_the_kernel_is_one_for_equal_directions() -> None:
    rows = np.eye(3)[:2]
    np.testing.assert_allclose(kernel(rows, rows), [[1, np.exp(-1)], [np.exp(-1), 1]])


def test_directions_are_kept_by_as_many_components_as_there_are() -> None:
    rows = np.random.default_rng(3).normal(size=(30, 8))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    centred = unit - unit.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    found = space_of(rows).unit
    np.testing.assert_allclose(found @ found.T, centred @ centred.T, atol=1e-5)


@pytest.fixture
def newcomers(space: Space, answered: Answers, kinds: np.ndarray) -> np.ndarray:
    """Images that nobody was asked about and that do not stand for a part."""
    rest = np.setdiff1d(np.arange(len(kinds)), answered.pairs)
    return np.setdiff1d(rest, parts_of(space).middle)


def told_apart(image: int, from_kinds: Iterable[int]) -> Answers:
    """From the first image of each of these kinds."""
    return answers_of([(image, kind * EACH, False) for kind in from_kinds])


def test_an_image_told_apart_from_one_group_is_no_group_of_its_own(
    space: Space, answered: Answers, newcomers: np.ndarray, kinds: np.ndarray
) -> None:
    before = beliefs(space, answered, error=0.05)
    second = np.argsort(before.probability[newcomers], axis=1)[:, -2]
    looks_of_two = before.probability[newcomers, second] > 0.1
    image, group = int(newcomers[looks_of_two][0]), int(second[looks_of_two][0])
    best = int(before.probability[image].argmax())
    found = beliefs(space, together(answered, told_apart(image, [best])), error=0.05)
    assert found.groups == KINDS
    assert found.group[image] == NO_GROUP
    assert found.probability[image].argmax() == group
    odds = before.probability[image] * np.where(np.arange(KINDS) == best, 0.05 / 0.95, 1)
    np.testing.assert_allclose(found.probability[image], odds / odds.sum(), atol=1e-5)


@pytest.mark.parametrize("times", [3, KINDS])
def test_an_image_told_apart_from_several_groups_is_one_of_its_own(
    space: Space, answered: Answers, newcomers: np.ndarray, kinds: np.ndarray, times: int
) -> None:
    image = int(newcomers[0])
    found = beliefs(space, together(answered, told_apart(image, range(times))), error=0.05)
    assert found.groups == KINDS + 1
    assert found.size[found.group[image]] == 1


def test_an_image_that_looks_like_one_group_only_is_no_other_once_told_apart(
    space: Space, answered: Answers, clear: int, kinds: np.ndarray
) -> None:
    found = beliefs(space, together(answered, told_apart(clear, [kinds[clear]])), error=0)
    assert found.size[found.group[clear]] == 1


def test_the_image_of_a_part_is_a_group_whatever_it_was_told_apart_from(
    space: Space, answered: Answers
) -> None:
    before = beliefs(space, answered, error=0.05)
    middles = np.setdiff1d(parts_of(space).middle, answered.pairs)
    middle = int(middles[before.probability[middles].max(axis=1).argmin()])  # the least clear
    best = int(before.probability[middle].argmax())
    found = beliefs(space, together(answered, told_apart(middle, [best])), error=0.05)
    assert 1 - before.probability[middle, best] > 0.06
    assert found.size[found.group[middle]] == 1


def test_images_that_were_only_told_apart_are_groups_where_there_are_no_others(
    space: Space, newcomers: np.ndarray
) -> None:
    a, b, c = newcomers[:3].tolist()
    found = beliefs(space, answers_of([(a, b, False), (b, c, False)]), error=0.05)
    assert found.groups == 3
