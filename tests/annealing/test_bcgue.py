"""The least sure pairs are those of a naive forward over all pairs, whatever the block size."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from annealing.bcgue import at_share, most_unsure_pairs
from annealing.classifier_floats import FloatClassifier
from annealing.classifier_fused import FusedClassifier
from annealing.machine_code import NARROW, WIDE
from annealing.pair_classifier import PairClassifier
from annealing.pool import pair_keys
from domain.errors import InputError
from tests.annealing.oracles import ORACLES, all_pairs, tuples
from tests.annealing.test_pair_classifier import (
    classifier_with,
    naive_probability,
    random_classifier,
)


def by_uncertainty(classifier, embeddings, excluded=()):
    """Every open pair by |P - 0.5| rounded to 1e-9, then by pair; one forward for each."""
    ranked = []
    for a, b in all_pairs(len(embeddings)).tolist():
        if (a, b) not in excluded:
            first, second = embeddings[a].astype(float), embeddings[b].astype(float)
            p = naive_probability(classifier, first, second)
            if classifier.symmetric:
                p = (p + naive_probability(classifier, second, first)) / 2
            ranked.append((round(abs(p - 0.5), 9), a, b))
    return [(a, b) for _, a, b in sorted(ranked)]


def test_the_order_agrees_with_the_worked_example():
    example = ORACLES["bcgue"]
    embeddings, classifier = classifier_with(example["inputs"]["logits"])
    mined = most_unsure_pairs(classifier, embeddings, 6)
    assert tuples(mined.pairs) == [tuple(each) for each in example["expected"]["order"]]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(0, 12),
    count=st.integers(0, 70),
    block_rows=st.integers(1, 13),
    symmetric=st.booleans(),
)
def test_mined_pairs_are_those_of_the_naive_forward(seed, rows, count, block_rows, symmetric):
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(rows, 5)).astype(np.float32)
    embeddings[rows // 2 :] = embeddings[: rows - rows // 2]  # copies: many ties
    classifier = random_classifier(rng, symmetric=symmetric)
    closed = all_pairs(rows)[rng.random(rows * (rows - 1) // 2) < 0.3]
    mined = most_unsure_pairs(
        classifier,
        embeddings,
        count,
        excluded=pair_keys(closed, max(1, rows)),
        block_rows=block_rows,
    )
    expected = by_uncertainty(classifier, embeddings, set(tuples(closed)))
    assert tuples(mined.pairs) == expected[:count]


def network(rng, *, scale=1.0, last_scale=0.25, symmetric=True):
    """A classifier of embeddings of 24 dimensions, as wide as trained ones are."""
    first, second = rng.normal(size=(128, 48)) * scale, rng.normal(size=(32, 128))
    return PairClassifier(
        left=first[:, :24],
        right=first[:, 24:],
        first_bias=rng.normal(size=128),
        second=second / 8,
        second_bias=rng.normal(size=32),
        last=rng.normal(size=32) * last_scale,
        last_bias=0.1,
        symmetric=symmetric,
    )


def fused(shape):
    return lambda classifier, *sides: FusedClassifier(classifier, *sides, shape=shape)


def by_torch(classifier, *sides):
    return FloatClassifier(classifier, *sides, device=torch.device("cpu"))


@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 30.0])
@pytest.mark.parametrize(
    "make", [fused(WIDE), fused(NARROW), by_torch], ids=["wide", "narrow", "torch"]
)
@pytest.mark.parametrize("symmetric", [True, False])
def test_no_distance_is_further_off_than_its_bound_which_is_small(scale, make, symmetric):
    rng = np.random.default_rng(1)
    embeddings = rng.normal(size=(300, 24))
    classifier = network(rng, scale=scale, symmetric=symmetric)
    layers = make(classifier, *classifier.projections(embeddings))
    assert layers.error < 3e-3 * max(1, scale)
    lane = layers.lane()
    for rows, columns in [(slice(0, 128), slice(0, 128)), (slice(128, 256), slice(199, 300))]:
        a, b = (each.ravel() for each in np.mgrid[rows, columns])
        inside = a < b
        exact = classifier.uncertainties(embeddings, np.stack([a, b], axis=1)[inside])
        found = lane.distance(rows, columns).numpy().ravel()[inside]
        assert np.abs(found - exact).max() <= layers.error


@pytest.mark.parametrize("last_scale", [0.0, 1e-4, 0.25], ids=["even", "nearly even", "some"])
def test_whatever_float32_leaves_open_the_pairs_are_those_of_all_exact_ones(
    last_scale, two_threads
):
    rng = np.random.default_rng(2)
    embeddings = rng.normal(size=(250, 24))
    classifier = network(rng, last_scale=last_scale)
    pairs = all_pairs(250)
    exact = np.round(classifier.uncertainties(embeddings, pairs), 9)
    order = np.lexsort((pairs[:, 1], pairs[:, 0], exact))
    mined = most_unsure_pairs(classifier, embeddings, 300, block_rows=60)
    assert np.array_equal(mined.pairs, pairs[order[:300]])


def test_a_classifier_that_is_sure_of_everything_is_asked_in_the_order_of_the_pairs():
    embeddings, classifier = classifier_with([(a, b, 60.0) for a, b in all_pairs(9).tolist()])
    mined = most_unsure_pairs(classifier, embeddings, 7, block_rows=4)
    assert tuples(mined.pairs) == tuples(all_pairs(9))[:7]
    assert mined.score == pytest.approx(np.full(7, -0.5))


@pytest.mark.parametrize(
    ("embeddings", "count", "words"),
    [
        (np.zeros((3, 4)), 1, "reads \\[images, 5\\]"),
        (np.full((3, 5), np.nan), 1, "row 0 is not finite"),
        (np.zeros((3, 5)), -1, "0 or more"),
    ],
)
def test_what_does_not_fit_is_refused(embeddings, count, words):
    with pytest.raises(InputError, match=words):
        most_unsure_pairs(random_classifier(np.random.default_rng(0)), embeddings, count)


def test_at_a_share_probabilities_are_those_of_bayes_rule():
    rng = np.random.default_rng(0)
    classifier, embeddings = random_classifier(rng, symmetric=False), rng.normal(size=(9, 5)) / 9
    pairs = all_pairs(9)
    even = classifier.probabilities(embeddings, pairs)
    expected = 0.1 * even / (0.1 * even + 0.9 * (1 - even))
    shifted = at_share(classifier, 0.1)
    assert shifted.probabilities(embeddings, pairs) == pytest.approx(expected, abs=1e-9)
