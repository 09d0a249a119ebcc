"""Retrieval metrics against hand-made rankings and scikit-learn."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from domain.errors import InputError
from retrieval import metrics
from retrieval.metrics import evaluate_retrieval, rank_gallery

FIXTURE = Path(__file__).parents[1] / "fixtures" / "oracles_selection.json"
ORACLE = json.loads(FIXTURE.read_text())["ranking"]
MEANS = ORACLE["expected"]["mean_over_queries_with_relevant"]


def full_ranking(query):
    """The oracle's list, with the relevant images that lie beyond it put at its far end."""
    case = ORACLE["inputs"][query]
    missing = case["n_relevant"] - sum(case["rel"])
    return np.array([case["rel"]], dtype=bool), missing


@pytest.mark.parametrize("query", ["a", "b", "c", "d"])
@pytest.mark.parametrize("k", [1, 2, 5, 8])
def test_parts_of_the_metrics_agree_with_hand_made_rankings(query, k):
    expected = ORACLE["expected"]["per_query"][query]
    relevant, missing = full_ranking(query)
    total = relevant.sum() + missing
    hits = max(1, relevant[:, :k].sum())
    assert metrics.precision_at(relevant, k) == pytest.approx(expected[f"P@{k}"], abs=1e-9)
    assert metrics.recall_at(relevant, k) == pytest.approx(expected[f"R@{k}"], abs=1e-9)
    precision = metrics.precision_sum(relevant, k)
    assert precision / hits == pytest.approx(expected[f"ap@{k}_hits(N3)"], abs=1e-9)
    assert precision / total == pytest.approx(expected[f"ap@{k}_rel(N1)"], abs=1e-9)
    assert precision / min(k, total) == pytest.approx(expected[f"ap@{k}_min(N2)"], abs=1e-9)


def on_a_line(relevance):
    """A query and a gallery on the unit circle, ranked in the order given; labels 1 and 0."""
    angles = np.deg2rad(np.linspace(5, 80, len(relevance)))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1), np.array(relevance)


@pytest.mark.parametrize("query", ["b", "c", "d"])  # whose relevant images are all in the list
def test_evaluation_agrees_with_hand_made_rankings(query):
    gallery, labels = on_a_line(ORACLE["inputs"][query]["rel"])
    expected = ORACLE["expected"]["per_query"][query]
    scores = evaluate_retrieval(np.array([[2.0, 0.0]]), gallery, np.array([1]), labels)
    assert scores.map_at_5_hits == pytest.approx(expected["ap@5_hits(N3)"], abs=1e-9)
    assert scores.map_at_5_min == pytest.approx(expected["ap@5_min(N2)"], abs=1e-9)
    assert scores.map_at_5_rel == pytest.approx(expected["ap@5_rel(N1)"], abs=1e-9)
    assert scores.map == pytest.approx(expected["AP"], abs=1e-9)
    assert scores.map_at_r == pytest.approx(expected["mAP@R"], abs=1e-9)
    assert scores.p_at_5 == pytest.approx(expected["P@5"], abs=1e-9)
    assert scores.recall_at_1 == expected["R@1"]
    assert scores.recall_at_5 == expected["R@5"]


def test_a_query_with_relevant_images_beyond_the_first_five_divides_by_all_of_them():
    """Query "a" of the oracle: four relevant, the fourth just after the eight listed."""
    gallery, labels = on_a_line([*ORACLE["inputs"]["a"]["rel"], 1])
    expected = ORACLE["expected"]["per_query"]["a"]
    scores = evaluate_retrieval(np.array([[1.0, 0.0]]), gallery, np.array([1]), labels)
    assert scores.map_at_5_min == pytest.approx(expected["ap@5_min(N2)"], abs=1e-9)
    assert scores.map_at_5_rel == pytest.approx(expected["ap@5_rel(N1)"], abs=1e-9)
    assert scores.map == pytest.approx(expected["AP"] + (4 / 9) / 4, abs=1e-9)


def test_queries_without_a_relevant_image_are_excluded_and_counted():
    gallery, labels = on_a_line([1, 0, 1])
    queries = np.array([[1.0, 0.0], [1.0, 0.0]])
    scores = evaluate_retrieval(queries, gallery, np.array([1, 7]), labels)
    assert (scores.queries, scores.excluded) == (1, 1)
    assert scores.map == pytest.approx((1 + 2 / 3) / 2)
    assert "excluded" not in scores.defined()
    assert scores.defined()["map"] == scores.map


@pytest.mark.parametrize(
    ("queries", "gallery"),
    [
        pytest.param(2, 0, id="empty gallery"),
        pytest.param(0, 3, id="no query"),
        pytest.param(2, 3, id="no relevant image"),
    ],
)
def test_nothing_to_average_gives_none_not_zero(queries, gallery):
    scores = evaluate_retrieval(
        np.ones((queries, 2)), np.ones((gallery, 2)), np.full(queries, 9), np.zeros(gallery)
    )
    assert scores.map is None
    assert scores.excluded == queries
    assert scores.defined() == {}


def test_p_at_ten_of_a_small_gallery_still_divides_by_ten():
    gallery, labels = on_a_line([1, 1])
    scores = evaluate_retrieval(np.array([[1.0, 0.0]]), gallery, np.array([1]), labels)
    assert scores.p_at_10 == pytest.approx(0.2)


@given(st.integers(0, 10_000))
def test_map_agrees_with_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    queries, gallery = rng.normal(size=(4, 5)), rng.normal(size=(30, 5))
    query_labels, gallery_labels = rng.integers(0, 3, 4), rng.integers(0, 3, 30)
    scores = evaluate_retrieval(queries, gallery, query_labels, gallery_labels)
    unit = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    expected = [
        average_precision_score(gallery_labels == label, unit @ query)
        for query, label in zip(queries, query_labels, strict=True)
        if (gallery_labels == label).any()
    ]
    assert scores.map == pytest.approx(np.mean(expected), abs=1e-9)


@given(st.integers(0, 10_000))
def test_the_three_divisors_are_ordered(seed):
    rng = np.random.default_rng(seed)
    queries, gallery = rng.normal(size=(5, 3)), rng.normal(size=(40, 3))
    scores = evaluate_retrieval(queries, gallery, rng.integers(0, 4, 5), rng.integers(0, 4, 40))
    if scores.map_at_5_rel is not None:
        assert 0 <= scores.map_at_5_rel <= scores.map_at_5_min <= scores.map_at_5_hits <= 1


def test_equally_similar_images_stand_in_gallery_order_whatever_their_rounding():
    rng = np.random.default_rng(0)
    image = rng.normal(size=256)
    gallery = np.stack([image * scale for scale in rng.uniform(0.1, 10, 50)])
    assert rank_gallery(rng.normal(size=(3, 256)), gallery).tolist() == [list(range(50))] * 3


def test_blocks_of_queries_do_not_change_the_scores(monkeypatch):
    rng = np.random.default_rng(0)
    arrays = rng.normal(size=(23, 4)), rng.normal(size=(31, 4))
    labels = rng.integers(0, 3, 23), rng.integers(0, 3, 31)
    whole = evaluate_retrieval(*arrays, *labels)
    monkeypatch.setattr(metrics, "_BLOCK_ENTRIES", 31 * 5)
    parts = evaluate_retrieval(*arrays, *labels)
    assert parts.defined() == pytest.approx(whole.defined(), abs=1e-12)


@pytest.mark.parametrize(
    ("queries", "gallery", "labels", "words"),
    [
        pytest.param(np.ones((2, 3)), np.ones((4, 2)), np.ones(2), "equal dimensions", id="dims"),
        pytest.param(np.full((2, 3), np.nan), np.ones((4, 3)), np.ones(2), "number", id="nan"),
        pytest.param(np.ones((2, 3)), np.ones((4, 3)), np.ones(5), "one label", id="labels"),
    ],
)
def test_what_does_not_fit_is_refused(queries, gallery, labels, words):
    with pytest.raises(InputError, match=words):
        evaluate_retrieval(queries, gallery, labels, np.ones(4))
