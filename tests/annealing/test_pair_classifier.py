"""A pair classifier against the worked example, a plain forward, and torch's sigmoid."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from annealing.pair_classifier import PairClassifier
from tests.annealing.oracles import ORACLES, all_pairs


def classifier_with(logits, *, symmetric=True):
    """One that gives these logits to pairs of one-hot rows: one hidden unit for each pair."""
    rows = 1 + max(max(a, b) for a, b, _ in logits)
    ends = np.array([(np.eye(rows)[a] + np.eye(rows)[b]) for a, b, _ in logits])
    units = len(logits)
    return np.eye(rows), PairClassifier(
        left=ends,
        right=ends,
        first_bias=np.full(units, -1.0),
        second=np.eye(units),
        second_bias=np.zeros(units),
        last=np.array([logit for _, _, logit in logits]),
        last_bias=0.0,
        symmetric=symmetric,
    )


def random_classifier(rng, width=5, *, symmetric=True):
    first, second, last = rng.normal(size=(7, 2 * width)), rng.normal(size=(4, 7)), rng.normal(4)
    return PairClassifier(
        left=first[:, :width],
        right=first[:, width:],
        first_bias=rng.normal(size=7),
        second=second,
        second_bias=rng.normal(size=4),
        last=np.full(4, last),
        last_bias=0.3,
        symmetric=symmetric,
    )


def naive_probability(classifier, first, second):
    """The concatenation through three layers, as the paper draws it."""
    weights = np.concatenate([classifier.left, classifier.right], axis=1)
    hidden = np.maximum(weights @ np.concatenate([first, second]) + classifier.first_bias, 0)
    hidden = np.maximum(classifier.second @ hidden + classifier.second_bias, 0)
    logit = torch.tensor(classifier.last @ hidden + classifier.last_bias, dtype=torch.float64)
    return torch.sigmoid(logit).item()


def test_probabilities_and_uncertainties_agree_with_the_worked_example():
    example = ORACLES["bcgue"]
    embeddings, classifier = classifier_with(example["inputs"]["logits"])
    for expected, found in (
        (example["expected"]["P"], classifier.probabilities),
        (example["expected"]["unc"], classifier.uncertainties),
    ):
        pairs = np.array([[a, b] for a, b, _ in expected])
        values = [value for _, _, value in expected]
        assert found(embeddings, pairs) == pytest.approx(values, abs=1e-9)


@given(seed=st.integers(0, 99), symmetric=st.booleans())
def test_a_probability_is_that_of_the_plain_forward(seed, symmetric):
    rng = np.random.default_rng(seed)
    embeddings, classifier = rng.normal(size=(6, 5)), random_classifier(rng, symmetric=symmetric)
    pairs = all_pairs(6)
    expected = []
    for a, b in pairs:
        forth = naive_probability(classifier, embeddings[a], embeddings[b])
        back = naive_probability(classifier, embeddings[b], embeddings[a])
        expected.append((forth + back) / 2 if symmetric else forth)
    assert classifier.probabilities(embeddings, pairs) == pytest.approx(expected, abs=1e-12)
    assert np.array_equal(
        classifier.probabilities(embeddings, pairs),
        classifier.probabilities(embeddings, pairs[:, ::-1]),
    )


def test_a_sure_classifier_keeps_its_order():
    embeddings, classifier = classifier_with([(0, 1, 20.0), (0, 2, 21.0), (1, 2, -20.5)])
    unsure = classifier.uncertainties(embeddings, np.array([[0, 1], [0, 2], [1, 2]]))
    assert unsure[0] < unsure[2] < unsure[1] < 0.5


def test_no_pair_has_no_probability():
    embeddings, classifier = classifier_with([(0, 1, 1.0)])
    assert classifier.probabilities(embeddings, np.zeros((0, 2), int)).shape == (0,)
