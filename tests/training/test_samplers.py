"""Batches hold both kinds of pairs alike, use every pair, and repeat by seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InputError
from training.samplers import balanced_batches


def _epoch(similar: list[bool], *, seed: int = 0, **options: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return list(balanced_batches(np.array(similar, dtype=bool), rng=rng, **options))


@given(st.integers(1, 30), st.integers(1, 30), st.integers(2, 16), st.integers(0, 5))
def test_every_batch_holds_both_kinds_alike(
    similar: int, dissimilar: int, batch_pairs: int, seed: int
) -> None:
    labels = np.array([True] * similar + [False] * dissimilar)
    batches = _epoch(labels.tolist(), seed=seed, batch_pairs=batch_pairs)
    assert all(labels[batch].sum() * 2 == len(batch) for batch in batches)
    assert all(len(batch) <= batch_pairs for batch in batches)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 5))
def test_every_pair_comes_and_the_commoner_kind_exactly_once(
    similar: int, dissimilar: int, seed: int
) -> None:
    labels = [True] * similar + [False] * dissimilar
    drawn = [row for batch in _epoch(labels, seed=seed) for row in batch.tolist()]
    assert set(drawn) == set(range(similar + dissimilar))
    common = range(similar) if similar > dissimilar else range(similar, similar + dissimilar)
    assert all(drawn.count(row) == 1 for row in common)


@pytest.mark.parametrize("kind", [True, False], ids=["only similar", "only dissimilar"])
def test_an_absent_kind_is_not_made_up(kind: bool) -> None:
    batches = _epoch([kind] * 5, batch_pairs=4)
    assert sorted(np.concatenate(batches).tolist()) == [0, 1, 2, 3, 4]
    assert [len(batch) for batch in batches] == [4, 1]


def test_no_pair_gives_no_batch() -> None:
    assert _epoch([]) == []


def test_max_pairs_bounds_each_kind() -> None:
    drawn = np.concatenate(_epoch([True] * 50 + [False] * 90, max_pairs=20))
    assert (drawn < 50).sum() == 20
    assert (drawn >= 50).sum() == 20


def test_a_seed_repeats_and_another_differs() -> None:
    labels = [True] * 20 + [False] * 200
    first, again, other = (np.concatenate(_epoch(labels, seed=seed)) for seed in (1, 1, 2))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


@pytest.mark.parametrize("options", [{"batch_pairs": 1}, {"max_pairs": 0}], ids=str)
def test_too_small_sizes_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        _epoch([True, False], **options)
