"""Pair metrics against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

from domain.errors import InputError
from retrieval.pair_metrics import balanced_accuracy, pair_average_precision, roc_auc

PAIR_METRICS = [
    roc_auc,
    pair_average_precision,
    lambda similarity, similar: balanced_accuracy(similarity, similar, 0.5),
]


@st.composite
def judged_pairs(draw):
    """Similarities on a coarse grid, so that many are equal, with both kinds of answers."""
    count = draw(st.integers(2, 40))
    similarity = draw(st.lists(st.integers(-10, 10), min_size=count, max_size=count))
    similar = draw(
        st.lists(st.booleans(), min_size=count, max_size=count).filter(
            lambda answers: 0 < sum(answers) < len(answers)
        )
    )
    return np.array(similarity) / 10, np.array(similar)


@given(judged_pairs())
def test_auc_agrees_with_scikit_learn_also_with_ties(pairs):
    similarity, similar = pairs
    assert roc_auc(similarity, similar) == pytest.approx(roc_auc_score(similar, similarity))


@given(judged_pairs())
def test_average_precision_agrees_with_scikit_learn_also_with_ties(pairs):
    similarity, similar = pairs
    expected = average_precision_score(similar, similarity)
    assert pair_average_precision(similarity, similar) == pytest.approx(expected)


@given(judged_pairs(), st.sampled_from([-0.5, 0.0, 0.3, 0.31]))
def test_balanced_accuracy_agrees_with_scikit_learn_and_includes_the_threshold(pairs, threshold):
    similarity, similar = pairs
    expected = balanced_accuracy_score(similar, similarity >= threshold)
    assert balanced_accuracy(similarity, similar, threshold) == pytest.approx(expected)


@given(judged_pairs(), st.randoms())
def test_the_order_of_the_pairs_does_not_matter(pairs, random):
    similarity, similar = pairs
    order = random.sample(range(len(similar)), len(similar))
    for metric in PAIR_METRICS:
        assert metric(similarity[order], similar[order]) == pytest.approx(
            metric(similarity, similar)
        )


@pytest.mark.parametrize("answers", [[], [True, True], [False]], ids=["none", "all", "one"])
def test_one_kind_of_answers_gives_none(answers):
    for metric in PAIR_METRICS:
        assert metric(np.zeros(len(answers)), np.array(answers, dtype=bool)) is None


@pytest.mark.parametrize(
    ("similarity", "words"), [([0.1], "do not fit"), ([0.1, np.nan], "not a number")]
)
def test_what_does_not_fit_is_refused(similarity, words):
    for metric in PAIR_METRICS:
        with pytest.raises(InputError, match=words):
            metric(np.array(similarity), np.array([True, False]))
