"""The keeper of the best pairs against sorting all of them, whatever the distances are of."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from annealing import shortlist
from annealing.shortlist import Block, SecondLook, Shortlist
from tests.annealing.oracles import tuples

ROUNDING = {torch.bfloat16: 2.0**-8, torch.float16: 2.0**-11, torch.float32: 2.0**-24}


@dataclass(frozen=True)
class Looked:
    """Distances that stand in a matrix; counts how many were asked for one by one."""

    distance: np.ndarray

    def of_pairs(self, pairs):
        return self.distance[pairs[:, 0], pairs[:, 1]]

    def of_block(self, rows, columns):
        return self.distance[rows, columns]


class NeverAsked(Looked):
    """Whose blocks nobody may ask for."""

    def of_block(self, rows, columns):
        raise AssertionError(f"asked for {rows} and {columns}")


def distances(rng, rows, kind):
    if kind == "scattered":
        return rng.uniform(0, 1.5, (rows, rows))
    if kind == "few values":
        return rng.integers(0, 3, (rows, rows)) / 3
    if kind == "equal":
        return np.full((rows, rows), 0.7)
    return 0.3 + 1e-8 * rng.integers(0, 50, (rows, rows))  # apart by less than any float tells


def blocks(matrix, size, dtype, noise, rng, *, second_look):
    """The upper triangle in random order, each distance as wrong as its block admits."""
    error = noise + 2 * ROUNDING[dtype]
    starts = range(0, len(matrix), size)
    for row, column in rng.permutation([(i, j) for i in starts for j in starts if i <= j]):
        part = matrix[row : row + size, column : column + size]
        wrong = np.abs(part + rng.uniform(-noise, noise, part.shape))
        look = _second_look(part, noise / 50) if second_look else None
        yield Block(int(row), int(column), torch.from_numpy(wrong).to(dtype), error, look)


def _second_look(part, error):
    def better(rows, columns):
        return torch.from_numpy(part[rows.numpy(), columns.numpy()] + error / 2)

    return SecondLook(better, error)


def sorted_pairs(matrix, excluded):
    """Every pair not excluded, by its distance rounded to 1e-9, then by key."""
    ranked = [
        (round(float(matrix[a, b]), 9), a, b)
        for a in range(len(matrix))
        for b in range(a + 1, len(matrix))
        if a * len(matrix) + b not in excluded
    ]
    return [(a, b) for _, a, b in sorted(ranked)]


def shortlisted(matrix, count, excluded, given_blocks):
    keeper = Shortlist(len(matrix), count, Looked(matrix), excluded=excluded)
    for block in given_blocks:
        keeper.offer(block)
    return keeper.best()


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 40),
    count=st.integers(0, 800),
    size=st.sampled_from([1, 7, 16, 64]),
    dtype=st.sampled_from(sorted(ROUNDING, key=str)),
    noise=st.sampled_from([0.0, 1e-3, 0.2]),
    kind=st.sampled_from(["scattered", "few values", "equal", "nearly equal"]),
    closed=st.sampled_from([0.0, 0.3, 0.98, 1.0]),
    second_look=st.booleans(),
)
def test_the_best_are_those_that_sorting_gives(
    seed, rows, count, size, dtype, noise, kind, closed, second_look
):
    rng = np.random.default_rng(seed)
    matrix = distances(rng, rows, kind)
    excluded = np.flatnonzero(rng.random(rows * rows) < closed)
    offered = blocks(matrix, size, dtype, noise, rng, second_look=second_look)
    best = shortlisted(matrix, count, excluded, offered)
    assert tuples(best.pairs) == sorted_pairs(matrix, set(excluded.tolist()))[:count]
    assert best.distance == pytest.approx(matrix[best.pairs[:, 0], best.pairs[:, 1]])


@pytest.mark.parametrize("kind", ["scattered", "equal", "nearly equal"])
@pytest.mark.parametrize("second_look", [True, False])
def test_little_is_held_and_still_the_best_come(monkeypatch, kind, second_look):
    """Limits so low that lists of 300 rows reach them: what is dropped must not be missed."""
    monkeypatch.setattr(shortlist, "_SPARE", 50)
    monkeypatch.setattr(shortlist, "_PENDING", 20)
    monkeypatch.setattr(shortlist, "_CROWDED", 4)
    monkeypatch.setattr(shortlist, "_STRIP_PAIRS", 500)
    rng = np.random.default_rng(3)
    matrix = distances(rng, 300, kind)
    offered = blocks(matrix, 64, torch.bfloat16, 0.01, rng, second_look=second_look)
    best = shortlisted(matrix, 100, np.arange(0, 90_000, 5), offered)
    assert tuples(best.pairs) == sorted_pairs(matrix, set(range(0, 90_000, 5)))[:100]


@pytest.mark.parametrize(("second_look", "exactly"), [(True, 1), (False, 0)])
def test_most_pairs_are_never_ranked_exactly(second_look, exactly):
    """Else the first pass would be in vain: 1 block of 36 is at most, to know where to begin."""
    rng = np.random.default_rng(0)
    matrix = distances(rng, 512, "scattered")
    asked = []

    class Counting(Looked):
        def of_block(self, rows, columns):
            asked.append((rows, columns))
            return super().of_block(rows, columns)

    keeper = Shortlist(512, 20, Counting(matrix))
    for block in blocks(matrix, 64, torch.float32, 1e-4, rng, second_look=second_look):
        keeper.offer(block)
    assert tuples(keeper.best().pairs) == sorted_pairs(matrix, set())[:20]
    assert len(asked) == exactly


def test_a_block_that_is_better_than_all_before_it_is_not_ranked_exactly():
    rng = np.random.default_rng(0)
    matrix = rng.uniform(1.0, 1.5, (192, 192))
    matrix[:64, 64:128] = rng.uniform(0, 1, (64, 64))
    keeper = Shortlist(192, 20, NeverAsked(matrix))
    for row, column in [(0, 0), (0, 64), (0, 128), (64, 64), (64, 128), (128, 128)]:
        part = torch.from_numpy(matrix[row : row + 64, column : column + 64]).float()
        keeper.offer(Block(row, column, part.contiguous(), 1e-6))
    assert tuples(keeper.best().pairs) == sorted_pairs(matrix, set())[:20]
