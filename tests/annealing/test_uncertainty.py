"""The MGUE threshold against worked examples, and its degenerate cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annealing.uncertainty import mgue_threshold
from domain.errors import InputError
from tests.annealing.oracles import ORACLES

EDGES = ORACLES["mgue_edges"]["expected"]
cosines = st.lists(st.floats(-1, 1), min_size=1, max_size=20).map(np.array)


@pytest.mark.parametrize("name", ["mgue", "mgue_out_of_range"])
def test_the_threshold_agrees_with_a_worked_example(name):
    expected = ORACLES[name]["expected"]
    similar, dissimilar = np.array(expected["sim_pos"]), np.array(expected["sim_neg"])
    threshold = mgue_threshold(similar, dissimilar, lam=3)
    assert threshold.alpha == pytest.approx(expected["alpha"], abs=1e-9)
    assert threshold.mean_similar == pytest.approx(expected["mu_sim"], abs=1e-9)
    assert threshold.std_similar == pytest.approx(expected["sigma_sim"], abs=1e-9)
    assert threshold.mean_dissimilar == pytest.approx(expected["mu_dis"], abs=1e-9)
    assert threshold.std_dissimilar == pytest.approx(expected["sigma_dis"], abs=1e-9)
    assert (threshold.clipped, threshold.degenerate) == (False, None)


def test_clipping_brings_a_threshold_above_one_back_to_the_mean_of_similar_pairs():
    expected = ORACLES["mgue_out_of_range"]["expected"]
    similar, dissimilar = np.array(expected["sim_pos"]), np.array(expected["sim_neg"])
    threshold = mgue_threshold(similar, dissimilar, clip="means")
    assert expected["alpha"] > 1
    assert threshold.alpha == pytest.approx(expected["alpha_clipped_to_means"], abs=1e-9)
    assert threshold.clipped


def test_clipping_leaves_a_threshold_between_the_means_alone():
    expected = ORACLES["mgue"]["expected"]
    similar, dissimilar = np.array(expected["sim_pos"]), np.array(expected["sim_neg"])
    assert mgue_threshold(similar, dissimilar, clip="means") == mgue_threshold(similar, dissimilar)


@pytest.mark.parametrize("lam", range(1, 7))
def test_lambda_moves_the_threshold_as_in_the_worked_example(lam):
    expected = ORACLES["mgue"]["expected"]
    similar, dissimilar = np.array(expected["sim_pos"]), np.array(expected["sim_neg"])
    alpha = mgue_threshold(similar, dissimilar, lam=lam).alpha
    assert alpha == pytest.approx(EDGES["lambda_1_to_6"][lam - 1], abs=1e-9)


@pytest.mark.parametrize(
    ("similar", "dissimilar", "edge", "words"),
    [
        pytest.param([0.8, 0.8], [0.2, 0.4], "zero_std_pos_lambda3", None, id="no spread"),
        pytest.param([], [0.2, 0.4], "no_positive", "No similar", id="no similar pair"),
        pytest.param([0.8, 0.9], [], "no_negative", "No dissimilar", id="no dissimilar pair"),
        pytest.param([0.7], [0.1], "single_each", None, id="one pair of each kind"),
    ],
)
def test_edge_cases_give_the_worked_value_and_say_why(similar, dissimilar, edge, words):
    threshold = mgue_threshold(np.array(similar), np.array(dissimilar))
    assert threshold.alpha == pytest.approx(EDGES[edge], abs=1e-9)
    assert threshold.degenerate is None if words is None else words in threshold.degenerate


@pytest.mark.parametrize(
    ("similar", "dissimilar", "alpha"),
    [
        pytest.param([], [0.0, 1.0], 1.0, id="upper edge beyond one"),
        pytest.param([-1.0, 1.0], [], -1.0, id="lower edge beyond minus one"),
    ],
)
def test_a_threshold_from_one_kind_stays_a_cosine(similar, dissimilar, alpha):
    assert mgue_threshold(np.array(similar), np.array(dissimilar)).alpha == alpha


def test_without_any_pair_the_quantile_of_the_pool_is_the_threshold():
    threshold = mgue_threshold(np.zeros(0), np.zeros(0), pool_quantile=0.61)
    assert threshold.alpha == 0.61
    assert "No pair" in threshold.degenerate


def test_means_in_the_wrong_order_are_reported_and_never_clipped():
    similar, dissimilar = np.array([0.1, 0.3]), np.array([0.4, 1.0])
    threshold = mgue_threshold(similar, dissimilar, clip="means")
    assert threshold.alpha == pytest.approx((0.2 + 0.7 - 3 * (0.1 - 0.3)) / 2)
    assert not threshold.clipped
    assert "does not tell them apart" in threshold.degenerate


@given(cosines, cosines)
def test_a_clipped_threshold_is_between_the_means(similar, dissimilar):
    threshold = mgue_threshold(similar, dissimilar, clip="means")
    if threshold.degenerate is None:
        assert dissimilar.mean() - 1e-9 <= threshold.alpha <= similar.mean() + 1e-9


@given(cosines, cosines, st.integers(2, 4))
def test_repeating_every_pair_changes_nothing(similar, dissimilar, times):
    once = mgue_threshold(similar, dissimilar)
    repeated = mgue_threshold(np.repeat(similar, times), np.repeat(dissimilar, times))
    assert repeated.alpha == pytest.approx(once.alpha, abs=1e-9)


@pytest.mark.parametrize(
    ("similar", "dissimilar", "options", "words"),
    [
        pytest.param([np.nan], [0.1], {}, "not a number", id="nan"),
        pytest.param([0.3], [0.1], {"lam": -1}, "lambda = -1", id="negative lambda"),
        pytest.param([0.3], [0.1], {"clip": "mean"}, '"none" or "means"', id="unknown clip"),
        pytest.param([], [], {}, "at least one known pair", id="nothing at all"),
    ],
)
def test_what_makes_no_threshold_is_refused(similar, dissimilar, options, words):
    with pytest.raises(InputError, match=words):
        mgue_threshold(np.array(similar), np.array(dissimilar), **options)
