"""The map's plane against scikit-learn's principal components."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from domain.errors import InputError
from retrieval import projection
from retrieval.projection import principal_plane


def some_embeddings(rows=300, dimensions=12):
    rng = np.random.default_rng(3)
    return (rng.normal(size=(rows, dimensions)) * np.arange(1, dimensions + 1)).astype(np.float32)


def test_it_is_the_plane_of_the_two_first_principal_components():
    embeddings = some_embeddings()
    plane = principal_plane(embeddings)
    reference = PCA(2, svd_solver="full").fit(embeddings.astype(np.float64))
    expected = reference.transform(embeddings.astype(np.float64))
    signs = np.sign((expected * plane.points).sum(0))
    np.testing.assert_allclose(plane.points, expected * signs, atol=1e-4)
    np.testing.assert_allclose(plane.shares, reference.explained_variance_ratio_, rtol=1e-6)


def test_axes_point_to_their_largest_weight():
    embeddings = some_embeddings()
    plane = principal_plane(embeddings)
    mirrored = principal_plane(-embeddings)
    weights = np.linalg.lstsq(embeddings - embeddings.mean(0), plane.points, rcond=None)[0]
    assert (weights[np.abs(weights).argmax(0), [0, 1]] > 0).all()
    np.testing.assert_allclose(mirrored.points, -plane.points, atol=1e-4)


def test_blocks_of_a_memory_mapped_file_give_the_same(tmp_path, monkeypatch):
    embeddings = some_embeddings()
    whole = principal_plane(embeddings)
    np.save(tmp_path / "embeddings.npy", embeddings)
    monkeypatch.setattr(projection, "_BLOCK_ROWS", 7)
    mapped = np.load(tmp_path / "embeddings.npy", mmap_mode="r")
    np.testing.assert_allclose(principal_plane(mapped).points, whole.points, atol=1e-4)


def test_images_that_are_all_the_same_lie_at_the_origin():
    plane = principal_plane(np.ones((4, 3), np.float32))
    assert not plane.points.any()
    assert plane.shares == (0.0, 0.0)


@pytest.mark.parametrize(
    "embeddings",
    [np.ones((0, 4)), np.ones((3, 1)), np.ones(5), np.full((3, 3), np.nan)],
    ids=["no rows", "one dimension", "no matrix", "not a number"],
)
def test_what_has_no_plane_is_refused(embeddings):
    with pytest.raises(InputError):
        principal_plane(embeddings)
