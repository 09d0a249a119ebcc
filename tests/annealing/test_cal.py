"""CAL takes the least confident images, spread over clusters, none twice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annealing.cal import least_confident_images
from domain.errors import InputError


def probabilities_of(rng, images, classes=3):
    values = rng.random((images, classes))
    return values / values.sum(axis=1, keepdims=True)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), images=st.integers(0, 30), count=st.integers(0, 40))
def test_images_are_open_different_and_as_many_as_there_are(seed, images, count):
    rng = np.random.default_rng(seed)
    labelled = np.flatnonzero(rng.random(images) < 0.3)
    inputs = probabilities_of(rng, images), rng.normal(size=(images, 4)), labelled
    chosen = least_confident_images(*inputs, count, rng=np.random.default_rng(0))
    again = least_confident_images(*inputs, count, rng=np.random.default_rng(0))
    assert chosen.tolist() == again.tolist()
    assert len(set(chosen.tolist())) == min(count, images - len(labelled))
    assert not set(chosen.tolist()) & set(labelled.tolist())


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), images=st.integers(1, 30), count=st.integers(0, 40))
def test_the_order_of_the_images_does_not_matter(seed, images, count):
    rng = np.random.default_rng(seed)
    probabilities, embeddings = probabilities_of(rng, images), rng.normal(size=(images, 4))
    labelled, order = np.flatnonzero(rng.random(images) < 0.3), rng.permutation(images)
    chosen = least_confident_images(
        probabilities, embeddings, labelled, count, rng=np.random.default_rng(0)
    )
    moved = least_confident_images(
        probabilities[order],
        embeddings[order],
        np.argsort(order)[labelled],
        count,
        rng=np.random.default_rng(0),
    )
    assert order[moved].tolist() == chosen.tolist()


@pytest.mark.parametrize("count", [1, 4, 12, 20])
def test_equal_doubt_and_equal_images_still_give_as_many_as_there_are(count):
    chosen = least_confident_images(
        np.full((12, 3), 1 / 3),
        np.ones((12, 4)),
        np.array([2]),
        count,
        rng=np.random.default_rng(0),
    )
    assert chosen.tolist() == [row for row in range(12) if row != 2][:count]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), copies=st.integers(1, 9), count=st.integers(1, 9))
def test_copies_of_one_image_do_not_fill_the_round(seed, copies, count):
    rng = np.random.default_rng(seed)
    image = np.append(np.arange(9), np.zeros(copies, int))
    probabilities = probabilities_of(rng, 9)
    probabilities[0] = 1 / 3  # nothing is in more doubt than the image of which there are copies
    doubt = 1 - probabilities[image].max(axis=1)
    candidates = set(image[np.argsort(-doubt, kind="stable")[: 4 * count]].tolist())
    chosen = least_confident_images(
        probabilities[image],
        rng.normal(size=(9, 4))[image],
        np.zeros(0, int),
        count,
        rng=np.random.default_rng(0),
    )
    assert len(set(image[chosen].tolist())) == min(count, len(candidates))


def test_the_least_confident_image_of_each_cluster_is_labelled():
    embeddings = np.repeat(np.eye(3), 4, axis=0)  # three clusters of four
    doubt = np.array([0.1, 0.5, 0.2, 0.3] * 3) + np.repeat([0.0, 0.01, 0.02], 4)
    probabilities = np.stack([1 - doubt, doubt / 2, doubt / 2], axis=1)
    chosen = least_confident_images(
        probabilities, embeddings, np.zeros(0, int), 3, rng=np.random.default_rng(0)
    )
    assert chosen.tolist() == [9, 5, 1]


def test_only_the_four_times_as_many_least_confident_are_looked_at():
    embeddings = np.eye(10)
    confidence = np.linspace(0.4, 0.9, 10)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    doubt = 1 - probabilities.max(axis=1)
    chosen = least_confident_images(
        probabilities, embeddings, np.zeros(0, int), 2, rng=np.random.default_rng(0)
    )
    assert set(chosen.tolist()) <= set(np.argsort(-doubt)[:8].tolist())


@pytest.mark.parametrize(("rows", "count"), [(4, 1), (5, -1)])
def test_what_does_not_fit_is_refused(rows, count):
    with pytest.raises(InputError):
        least_confident_images(
            np.ones((rows, 2)) / 2,
            np.zeros((5, 3)),
            np.zeros(0, int),
            count,
            rng=np.random.default_rng(0),
        )
