"""Exact search against float64 brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InputError
from retrieval import search
from retrieval.search import nearest


def brute_force(query, embeddings, k, exclude=()):
    lengths = np.linalg.norm(embeddings.astype(float), axis=1) * np.linalg.norm(query)
    cosine = embeddings.astype(float) @ query / np.maximum(lengths, 1e-12)
    rows = [row for row in range(len(embeddings)) if row not in set(exclude)]
    return sorted(rows, key=lambda row: (-round(cosine[row], 9), row))[:k]


@given(
    seed=st.integers(0, 10_000),
    k=st.integers(1, 60),
    kind=st.sampled_from([np.float32, np.float64]),
    copies=st.booleans(),
)
def test_search_finds_what_brute_force_finds(seed, k, kind, copies):
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(50, 8)).astype(kind)
    if copies:
        embeddings = embeddings[rng.integers(0, 5, 50)]
    exclude = rng.choice(50, 7, replace=False)
    query = rng.normal(size=8)
    rows, similarity = nearest(query, embeddings, k, exclude=exclude)
    assert rows.tolist() == brute_force(query, embeddings, k, exclude)
    assert np.all(np.diff(similarity) <= 1e-9)


@given(seed=st.integers(0, 10_000), k=st.integers(1, 60), copies=st.booleans())
def test_rows_known_to_have_length_1_are_found_as_others_are(seed, k, copies):
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(50, 8))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    embeddings = embeddings.astype(np.float32)
    embeddings[7] = 0
    if copies:
        embeddings = embeddings[rng.integers(0, 5, 50)]
    query = rng.normal(size=8)
    assert nearest(query, embeddings, k, unit=True)[0].tolist() == brute_force(query, embeddings, k)


def test_copies_come_in_row_order_whatever_their_length():
    rng = np.random.default_rng(0)
    image = rng.normal(size=256)
    embeddings = np.stack([image * scale for scale in rng.uniform(0.1, 10, 50)])
    rows, similarity = nearest(image, embeddings.astype(np.float32), 10)
    assert rows.tolist() == list(range(10))
    assert similarity == pytest.approx(1.0)


def test_blocks_do_not_change_the_answer(monkeypatch):
    rng = np.random.default_rng(0)
    query, embeddings = rng.normal(size=6), rng.normal(size=(100, 6))
    whole = nearest(query, embeddings, 20)[0]
    monkeypatch.setattr(search, "_BLOCK_ROWS", 7)
    assert nearest(query, embeddings, 20)[0].tolist() == whole.tolist()


def test_a_memory_mapped_file_is_searched(tmp_path):
    embeddings = np.eye(5, dtype=np.float32)
    np.save(tmp_path / "embeddings.npy", embeddings)
    mapped = np.load(tmp_path / "embeddings.npy", mmap_mode="r")
    assert nearest(np.eye(5)[3], mapped, 1)[0].tolist() == [3]


def test_a_zero_embedding_has_similarity_zero():
    rows, similarity = nearest(np.array([1.0, 0.0]), np.array([[0.0, 0.0], [-1.0, 0.0]]), 2)
    assert rows.tolist() == [0, 1]
    assert similarity.tolist() == [0.0, -1.0]


def test_excluding_everything_finds_nothing():
    rows, similarity = nearest(np.ones(2), np.ones((3, 2)), 5, exclude=np.arange(3))
    assert len(rows) == len(similarity) == 0


@pytest.mark.parametrize(
    ("query", "embeddings", "k", "words"),
    [
        pytest.param(np.ones(2), np.ones((3, 2)), 0, "1 or more", id="no results"),
        pytest.param(np.ones(3), np.ones((3, 2)), 1, "dimensions", id="dimensions"),
        pytest.param(np.array([1, np.nan]), np.ones((3, 2)), 1, "query", id="nan query"),
        pytest.param(np.ones(2), np.full((3, 2), np.nan), 1, "embedding", id="nan row"),
    ],
)
def test_what_cannot_be_searched_is_refused(query, embeddings, k, words):
    with pytest.raises(InputError, match=words):
        nearest(query, embeddings, k)
