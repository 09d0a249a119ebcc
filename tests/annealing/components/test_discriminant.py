"""Directions in which kinds differ: the formulas by others' means, and what they do for images."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from annealing.components import discriminant
from annealing.components.discriminant import (
    FEWEST_IMAGES,
    NEIGHBOURS,
    SHRINKAGES,
    discriminant_map,
    neighbour_scatter,
    shrinkage,
    shrunk,
)
from domain.vectors import unit_rows

KINDS, EACH = 20, 12


def archive(*, nuisance: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Kinds that differ in eight directions, and images that differ in two others, whatever kind.

    Returns:
        The rows, centred and of length 1, and the kind of each.
    """
    rng = np.random.default_rng(seed)
    kind = np.repeat(np.arange(KINDS), EACH)
    rows = np.zeros((len(kind), 10))
    rows[:, :8] = rng.normal(size=(KINDS, 8))[kind] + 0.35 * rng.normal(size=(len(kind), 8))
    rows[:, 8:] = nuisance * rng.normal(size=(len(kind), 2))
    return unit_rows(rows - rows.mean(axis=0)).astype(np.float32), kind


def found_first(rows: np.ndarray, kind: np.ndarray) -> float:
    """How many of the nearest five of each row are of its kind."""
    unit = unit_rows(rows)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -2)
    nearest = np.argsort(-cosine, axis=1)[:, :5]
    return float((kind[nearest] == kind[:, None]).mean())


def test_kinds_are_found_better_where_images_of_a_kind_differ_in_something_else() -> None:
    rows, kind = archive(nuisance=1.2)
    assert found_first(rows @ discriminant_map(rows), kind) > found_first(rows, kind) + 0.03


def test_products_are_the_log_likelihood_ratio_of_one_kind_against_two() -> None:
    """What depends on both images, of densities that SciPy works out."""
    rows, _ = archive(nuisance=0.5)
    rows = unit_rows(rows[:, :4]).astype(np.float32)
    inside = shrunk(neighbour_scatter(rows), shrinkage(rows))
    whole = np.cov(rows.T.astype(np.float64))
    between = whole - inside
    assert np.linalg.eigvalsh(between).min() > 0, "else some direction is left out"
    alike = multivariate_normal(np.zeros(8), np.block([[whole, between], [between, whole]]))
    alone = multivariate_normal(np.zeros(4), whole)

    def ratio(one: np.ndarray, other: np.ndarray) -> float:
        both = alike.logpdf(np.concatenate([one, other]))
        return float(both - alone.logpdf(one) - alone.logpdf(other))

    mapped, nothing = (rows @ discriminant_map(rows)).astype(np.float64), np.zeros(4)
    for a, b in [(0, 1), (0, 50), (7, 130), (200, 3)]:
        of_both = ratio(rows[a], rows[b]) - ratio(rows[a], nothing) - ratio(nothing, rows[b])
        assert mapped[a] @ mapped[b] == pytest.approx(of_both + ratio(nothing, nothing), rel=1e-3)


def test_neighbours_scatter_is_that_of_pairs_near_each_other() -> None:
    rows, _ = archive(nuisance=0.5, seed=3)
    cosine = rows @ rows.T - 3 * np.eye(len(rows))
    near = [set(np.argsort(-line)[:NEIGHBOURS].tolist()) for line in cosine]
    pairs = [(a, b) for a, b in combinations(range(len(rows)), 2) if b in near[a] and a in near[b]]
    expected = sum(np.outer(rows[a] - rows[b], rows[a] - rows[b]) for a, b in pairs) / 2
    np.testing.assert_allclose(neighbour_scatter(rows), expected / len(pairs), rtol=1e-5, atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(SHRINKAGES))
def test_shrinking_evens_directions_out_and_keeps_the_whole(seed: int, share: float) -> None:
    root = np.random.default_rng(seed).normal(size=(5, 5))
    before = np.linalg.eigvalsh(root @ root.T)
    after = np.linalg.eigvalsh(shrunk(root @ root.T, share))
    assert after.sum() == pytest.approx(before.sum())
    np.testing.assert_allclose(after - after.mean(), (1 - share) * (before - before.mean()))


def test_differences_without_directions_of_their_own_are_shrunk_most() -> None:
    rng = np.random.default_rng(0)
    noise = unit_rows(rng.normal(size=(300, 30))).astype(np.float32)
    uneven = unit_rows(rng.normal(size=(300, 30)) * np.geomspace(1, 0.03, 30)).astype(np.float32)
    assert shrinkage(noise) >= 0.7
    assert shrinkage(uneven) <= 0.1


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_the_order_of_images_does_not_matter(seed: int) -> None:
    rows, _ = archive(nuisance=1.0)
    order = np.random.default_rng(seed).permutation(len(rows))
    here, there = (unit_rows(rows @ discriminant_map(each)) for each in (rows, rows[order]))
    np.testing.assert_allclose(here @ here.T, there @ there.T, atol=1e-4)


@pytest.mark.parametrize(
    "rows",
    [
        archive(nuisance=1.0)[0][: FEWEST_IMAGES - 1],
        np.ones((100, 10), np.float32) / np.sqrt(np.float32(10)),
        np.zeros((100, 10), np.float32),
        archive(nuisance=1.0)[0][:0],
    ],
    ids=["few", "all alike", "nothing to see", "none"],
)
def test_where_neighbours_tell_nothing_nothing_is_changed(rows: np.ndarray) -> None:
    np.testing.assert_array_equal(discriminant_map(rows), np.eye(10))


def test_of_many_images_some_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = archive(nuisance=1.0)
    monkeypatch.setattr(discriminant, "EXACT_ROWS", 100)
    expected = discriminant_map(rows[::3])
    np.testing.assert_array_equal(discriminant_map(rows), expected)
