"""Nearest rows against a search of all pairs, exact and by cells."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from annealing.components import cells
from annealing.components.cells import cells_of, nearest


def clustered(rows: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(12, 8))[rng.integers(12, size=rows)]
    vectors = vectors + 0.3 * rng.normal(size=(rows, 8))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def by_all_pairs(unit: np.ndarray, count: int) -> np.ndarray:
    return NearestNeighbors(n_neighbors=count, algorithm="brute").fit(unit).kneighbors()[1]


def test_a_small_archive_is_searched_exactly() -> None:
    unit = clustered(300)
    cosine, near = nearest(unit, 7)
    expected = by_all_pairs(unit, 7)
    assert [set(row) for row in near.tolist()] == [set(row) for row in expected.tolist()]
    np.testing.assert_allclose(cosine, np.einsum("nd,nkd->nk", unit, unit[near]), atol=1e-6)


def test_a_large_archive_finds_nearly_all_by_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "EXACT_ROWS", 500)
    unit = clustered(3000)
    near = nearest(unit, 10)[1]
    expected = by_all_pairs(unit, 10)
    shared = [len(set(a) & set(b)) for a, b in zip(near.tolist(), expected.tolist(), strict=True)]
    assert np.mean(shared) > 9.5
    assert not (near == np.arange(3000)[:, None]).any()


@pytest.mark.parametrize("exact", [10, 1000], ids=["by cells", "exact"])
def test_equal_rows_have_neighbours(exact: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "EXACT_ROWS", exact)
    cosine, near = nearest(np.ones((60, 1), np.float32), 5)
    np.testing.assert_array_equal(cosine, 1)
    assert all(len(set(row)) == 5 for row in near.tolist())


def test_cells_learnt_from_a_sample_hold_near_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "EXACT_ROWS", 400)
    unit = clustered(2000)
    cell = cells_of(unit, 12)
    assert sorted(set(cell.tolist())) == list(range(cell.max() + 1))
    same = cell[:, None] == cell[None, :]
    cosine = unit @ unit.T
    assert cosine[same].mean() > 0.7 > 0.2 > cosine[~same].mean()
