"""Every image as a query against all others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from domain.errors import InputError
from retrieval.leave_one_out import evaluate_leave_one_out


def _archive(seed: int, images: int = 40, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=images)
    return rng.normal(size=(images, 6)) + 0.5 * np.eye(6)[labels], labels


@settings(deadline=None)  # a busy machine is no defect
@given(st.integers(0, 20))
def test_the_mean_is_that_of_scikit_learn(seed: int) -> None:
    vectors, labels = _archive(seed)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = {}
    for query in range(40):
        others = np.arange(40) != query
        relevant = labels[others] == labels[query]
        if relevant.any():
            cosines = unit[others] @ unit[query]
            expected[query] = average_precision_score(relevant, cosines)
    found = evaluate_leave_one_out(vectors, labels)
    assert found.map == pytest.approx(np.mean(list(expected.values())))
    for label, value in found.map_by_class.items():
        mine = [expected[query] for query in expected if labels[query] == label]
        assert value == pytest.approx(np.mean(mine))


def test_precision_divides_by_k_also_beyond_the_gallery() -> None:
    vectors = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]])
    found = evaluate_leave_one_out(vectors, np.array([0, 0, 1, 1]), depths=(1, 2, 10))
    assert found.precision == {1: 1.0, 2: 0.5, 10: 0.1}
    assert found.map == 1.0


def test_a_query_in_its_own_gallery_is_found_first() -> None:
    vectors, labels = _archive(1)
    found = evaluate_leave_one_out(vectors, labels, include_self=True, depths=(1,))
    assert found.precision == {1: 1.0}
    without = evaluate_leave_one_out(vectors, labels).map
    assert found.map is not None
    assert without is not None
    assert found.map > without


def test_the_only_image_of_a_class_is_no_query() -> None:
    vectors = np.array([[1, 0], [1, 0.1], [0, 1]])
    found = evaluate_leave_one_out(vectors, np.array([0, 0, 1]))
    assert found.queries == 2
    assert found.map_by_class == {0: 1.0}


def test_without_any_two_of_a_class_nothing_is_measured() -> None:
    found = evaluate_leave_one_out(np.eye(3), np.arange(3))
    assert (found.map, found.queries) == (None, 0)


def test_each_image_needs_a_label() -> None:
    with pytest.raises(InputError, match="labels of shape"):
        evaluate_leave_one_out(np.eye(3), np.arange(2))
