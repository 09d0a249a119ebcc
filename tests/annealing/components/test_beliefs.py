"""What answers say about images: probabilities, leave-one-out, wrong answers."""

import numpy as np
import pytest

from annealing.components.beliefs import beliefs
from annealing.components.evidence import Answers
from annealing.components.graph import NeighbourGraph
from annealing.components.space import Space, kernel, space_of
from tests.annealing.components.conftest import KINDS, answers_of, together


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
