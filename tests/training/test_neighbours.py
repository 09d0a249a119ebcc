"""Mutual neighbours against scikit-learn, in blocks and in the corner cases."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import kneighbors_graph

import training.neighbours
from training.neighbours import mutual_neighbours


def _unit(images: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.nn.functional.normalize(torch.randn(images, 6, generator=generator), dim=1)


@pytest.mark.parametrize("block_rows", [1024, 7], ids=["one block", "many blocks"])
def test_it_is_the_mutual_part_of_the_neighbour_graph(
    block_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.neighbours, "_BLOCK_ROWS", block_rows)
    vectors = _unit(50)
    graph = kneighbors_graph(vectors.numpy(), 4).toarray()
    expected = graph * graph.T
    np.testing.assert_array_equal(mutual_neighbours(vectors, 4).toarray(), expected)


@pytest.mark.parametrize(
    ("images", "count", "links"), [(5, 0, 0), (1, 3, 0), (3, 9, 6)], ids=["none", "alone", "few"]
)
def test_corner_cases(images: int, count: int, links: int) -> None:
    found = mutual_neighbours(_unit(images), count)
    assert found.shape == (images, images)
    assert found.nnz == links


def test_copies_are_neighbours_of_each_other_not_of_themselves() -> None:
    vectors = _unit(10)
    vectors[7] = vectors[2]
    found = mutual_neighbours(vectors, 1).toarray()
    assert found[2, 7] == found[7, 2] == 1
    assert not found.diagonal().any()
