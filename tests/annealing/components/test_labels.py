"""What a model learns from groups: labels with weights, and which groups may be one."""

import numpy as np

from annealing.components.beliefs import beliefs
from annealing.components.evidence import Answers
from annealing.components.labels import soft_labels
from annealing.components.likeness import group_likeness, matrix_root
from annealing.components.space import Space
from tests.annealing.components.conftest import answers_of


def test_answered_images_weigh_more_than_guessed_ones(space: Space, answered: Answers) -> None:
    found = beliefs(space, answered, error=0.05)
    labels = soft_labels(found, group_likeness(space, found))
    guessed = np.setdiff1d(np.arange(len(space)), found.known)
    np.testing.assert_allclose(labels.probability.sum(axis=1), 1, atol=1e-5)
    assert labels.weight[found.is_certain].min() > labels.weight[guessed].max() > 0
    assert labels.weight.max() <= 1
    some = labels.of_rows(guessed[:3])
    np.testing.assert_array_equal(some.probability, labels.probability[guessed[:3]])
    assert (len(some.weight), some.alike.shape) == (3, labels.alike.shape)


def test_guesses_are_sharpened_answers_are_not(space: Space, answered: Answers) -> None:
    found = beliefs(space, answered, error=0.05)
    labels = soft_labels(found, group_likeness(space, found))
    surest = found.probability.max(axis=1)
    guessed = np.setdiff1d(np.arange(len(space)), found.known)
    np.testing.assert_array_equal(labels.probability[found.known], found.probability[found.known])
    assert (labels.probability[guessed].max(axis=1) >= surest[guessed] - 1e-6).all()
    assert (labels.probability.argmax(axis=1) == found.probability.argmax(axis=1)).all()


def test_groups_told_apart_are_not_alike_others_by_their_looks(
    space: Space, kinds: np.ndarray
) -> None:
    """Kind 0 in two groups that nobody compared; kind 1 told apart from the first of them."""
    rows = [np.flatnonzero(kinds == kind) for kind in (0, 1)]
    zero, one = rows[0].tolist(), rows[1].tolist()
    similar = [(zero[0], zero[1]), (zero[2], zero[3]), (one[0], one[1])]
    answers = answers_of([*((a, b, True) for a, b in similar), (zero[0], one[0], False)])
    found = beliefs(space, answers, error=0.05)
    likeness = group_likeness(space, found)
    np.testing.assert_array_equal(likeness, likeness.T)
    np.testing.assert_array_equal(np.diag(likeness), 1)
    first, second, other = (found.group[row] for row in (zero[0], zero[2], one[0]))
    assert likeness[first, other] == 0
    assert likeness[first, second] > likeness[second, other] >= 0
    assert likeness.max() <= 1


def test_the_root_times_itself_is_the_matrix() -> None:
    values = np.random.default_rng(0).normal(size=(5, 4))
    matrix = values @ values.T
    root = matrix_root(matrix)
    np.testing.assert_allclose(root @ root, matrix, atol=1e-9)
    np.testing.assert_allclose(matrix_root(-np.eye(3)), 0, atol=1e-12)
