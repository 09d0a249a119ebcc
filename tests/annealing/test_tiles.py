"""Tiles cover each pair once, and no product is further off than its bound says."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from annealing import tiles
from annealing.factors import fast_half, full_factors, half_factors, single_error
from annealing.shortlist import Shortlist
from annealing.tiles import Distances, Tiles, tile_corners, tile_count, tile_rows_for
from domain.errors import InputError

CPU = torch.device("cpu")


def hard_archive(rng, rows, dimensions, kind):
    """Embeddings at the limits of what floats hold."""
    vectors = rng.normal(size=(rows, dimensions))
    if kind == "uneven":
        vectors *= 10.0 ** rng.uniform(-30, 30, (rows, 1)) * 10.0 ** rng.uniform(-4, 4, dimensions)
    if kind == "alike":
        vectors = 1 + 1e-3 * vectors
    if kind == "zeros":
        vectors[rng.random(rows) < 0.5] = 0
    return vectors


def exact_values(embeddings, alpha):
    unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    return np.abs(unit @ unit.T - alpha)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 40),
    dimensions=st.integers(1, 300),
    alpha=st.floats(-2, 2),
    kind=st.sampled_from(["scattered", "uneven", "alike", "zeros"]),
    half=st.sampled_from([torch.bfloat16, torch.float16]),
)
def test_no_product_is_further_off_than_its_bound(seed, rows, dimensions, alpha, kind, half):
    embeddings = hard_archive(np.random.default_rng(seed), rows, dimensions, kind)
    full = full_factors(embeddings, alpha, device=CPU)
    everything = slice(0, rows)
    for factors in (full, half_factors(full, alpha, half)):
        exact = exact_values(embeddings, alpha)
        off = np.abs(Distances(factors, 64).of(everything, everything).double().numpy() - exact)
        rounded = torch.finfo(factors.vectors.dtype).eps * exact
        assert (off <= factors.error(everything, everything) + rounded).all()


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16], ids=str)
def test_the_bound_of_halves_is_tighter_than_the_worst_case(half):
    """Rounding keeps each value to half an epsilon; of a whole vector, less is lost."""
    vectors = np.random.default_rng(0).normal(size=(50, 256))
    halves = half_factors(full_factors(vectors, 0.5, device=CPU), 0.5, half)
    assert halves.error(slice(0, 50), slice(0, 50)) < torch.finfo(half).eps


@pytest.mark.parametrize("summed_in", [torch.float32, torch.float64], ids=str)
def test_single_pairs_are_as_good_as_their_bound(monkeypatch, summed_in):
    """float64 is what a GPU takes; the parts it is made in are small here."""
    monkeypatch.setattr(tiles, "_GATHERED", 10)
    monkeypatch.setattr(tiles, "fast_half", lambda device: torch.bfloat16)
    embeddings = np.random.default_rng(0).normal(size=(60, 300))
    source = Tiles(embeddings, 0.3, tile_rows=32)
    source._single = summed_in
    source._single_error = single_error(300, 0.3, summed_in)
    exact = exact_values(embeddings, 0.3)
    for block in source.blocks(range(source.count)):
        rows, columns = torch.arange(28).repeat_interleave(20), torch.arange(20).repeat(28)
        look = block.second_look
        expected = exact[block.first_row + rows.numpy(), block.first_column + columns.numpy()]
        assert np.abs(look.distance(rows, columns).double().numpy() - expected).max() <= look.error


@given(rows=st.integers(0, 60), size=st.integers(1, 20))
def test_tiles_cover_each_pair_once(rows, size):
    seen = np.zeros((rows, rows), int)
    for row, column in tile_corners(rows, size, range(tile_count(rows, size))):
        seen[row, column] += 1
    assert (seen[np.triu_indices(rows)] == 1).all()
    assert seen.max(initial=1) == 1


@pytest.mark.parametrize("numbers", [range(5, 7), range(-1, 2)])
def test_a_tile_that_does_not_exist_is_refused(numbers):
    with pytest.raises(InputError, match="tiles 0 to 5"):
        list(tile_corners(30, 10, numbers))


def test_halves_are_left_alone_while_they_are_no_help(monkeypatch):
    """All similarities equal the threshold: after 3 tiles in vain, 32 come in float32."""
    monkeypatch.setattr(tiles, "fast_half", lambda device: torch.bfloat16)
    embeddings = np.ones((300, 4))
    source = Tiles(embeddings, 1.0, tile_rows=20)

    class Exact:
        def of_pairs(self, pairs):
            return np.zeros(len(pairs))

        def of_block(self, rows, columns):
            return np.zeros((rows.stop - rows.start, columns.stop - columns.start))

    keeper, halves = Shortlist(300, 10, Exact()), []
    for block in source.blocks(range(80)):
        halves.append(block.distance.dtype == torch.bfloat16)
        keeper.offer(block)
    assert halves[:35] == [True] * 3 + [False] * 32


def test_a_cpu_without_fast_halves_has_none(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "amx_bf16": False})
    assert fast_half(CPU) is None
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert fast_half(CPU) == torch.bfloat16
    assert fast_half(torch.device("cuda")) == torch.float16


def test_a_gpu_gets_larger_tiles():
    assert tile_rows_for("cuda") > tile_rows_for("cpu")
