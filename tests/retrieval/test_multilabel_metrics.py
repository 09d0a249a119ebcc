"""Agreement of label sets against the oracle's figures, sets of Python and corner cases."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from domain.errors import InputError
from retrieval.multilabel_metrics import agreement, evaluate_multilabel

_ORACLE = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "oracles_fine_tuning.json").read_text()
)["multilabel"]
ALONG = np.eye(5)


def sets(*labels: list[int], width: int = 5) -> np.ndarray:
    return np.array([[label in each for label in range(width)] for each in labels])


def test_the_scores_agree_with_the_oracle() -> None:
    retrieved = _ORACLE["inputs"]["retrieved"]
    scores = evaluate_multilabel(
        np.ones((1, 5)),
        np.ones((len(retrieved), 5)),
        sets(_ORACLE["inputs"]["q"]),
        sets(*retrieved),
        k=10,
    )
    expected = _ORACLE["expected"]
    assert scores.accuracy == pytest.approx(expected["accuracy"], abs=1e-9)
    assert scores.precision == pytest.approx(expected["precision"], abs=1e-9)
    assert scores.recall == pytest.approx(expected["recall"], abs=1e-9)
    assert scores.f1_macro == pytest.approx(expected["f1_macro"], abs=1e-9)
    assert scores.f1_pairwise == pytest.approx(expected["f1_pairwise"], abs=1e-9)


def test_only_the_nearest_k_count() -> None:
    gallery = sets([0], [1], [0, 1])
    close = evaluate_multilabel(ALONG[:1], ALONG[:3] + 0.1, sets([0]), gallery, k=1)
    assert (close.accuracy, close.precision, close.recall) == (1, 1, 1)
    all_three = evaluate_multilabel(ALONG[:1], ALONG[:3] + 0.1, sets([0]), gallery, k=3)
    assert all_three.accuracy == pytest.approx((1 + 0 + 0.5) / 3)


def test_it_is_the_mean_over_queries_of_the_mean_over_the_retrieved() -> None:
    rng = np.random.default_rng(0)
    queries, gallery = rng.normal(size=(7, 4)), rng.normal(size=(11, 4))
    query_labels, gallery_labels = rng.random((7, 6)) < 0.4, rng.random((11, 6)) < 0.4
    query_labels[:, 0] = gallery_labels[:, 1] = True
    found = evaluate_multilabel(queries, gallery, query_labels, gallery_labels, k=3)
    cosines = queries @ gallery.T / np.linalg.norm(gallery, axis=1)
    terms = []
    for row, query in enumerate(query_labels):
        wanted = set(np.flatnonzero(query))
        for place in np.argsort(-cosines[row])[:3]:
            got = set(np.flatnonzero(gallery_labels[place]))
            both = wanted & got
            terms.append(
                (len(both) / len(wanted | got), len(both) / len(got), len(both) / len(wanted))
            )
    assert (found.accuracy, found.precision, found.recall) == pytest.approx(np.mean(terms, axis=0))
    assert found.queries == 7


def test_a_pair_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    query, retrieved = rng.random((2, 30, 8)) < 0.4
    query[:, 0] = retrieved[:, 1] = True
    _, precision, recall, f1 = agreement(query, retrieved)
    expected = [
        precision_recall_fscore_support(truth, guess, average="binary", zero_division=0)[:3]
        for truth, guess in zip(query, retrieved, strict=True)
    ]
    np.testing.assert_allclose(np.stack([precision, recall, f1], axis=1), np.array(expected))


@pytest.mark.parametrize(
    ("query", "retrieved", "expected"),
    [([], [], [1, 1, 1, 1]), ([], [1], [0, 0, 0, 0]), ([1], [], [0, 0, 0, 0])],
    ids=["both empty", "query empty", "retrieved empty"],
)
def test_empty_label_sets(query: list[int], retrieved: list[int], expected: list[int]) -> None:
    assert agreement(sets(query), sets(retrieved))[:, 0].tolist() == expected


@pytest.mark.parametrize(
    ("rows", "labels", "k"), [(0, 5, 3), (2, 4, 3), (2, 5, 0)], ids=["no query", "labels", "k"]
)
def test_what_does_not_fit_is_told(rows: int, labels: int, k: int) -> None:
    with pytest.raises(InputError):
        evaluate_multilabel(
            ALONG[:rows], ALONG, sets(*[[0]] * rows, width=labels), sets(*[[0]] * 5), k=k
        )
