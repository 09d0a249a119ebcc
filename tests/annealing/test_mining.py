"""Mining against brute force in float64, and its memory."""

import os
import subprocess
import sys
import tracemalloc
from functools import reduce
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from annealing import tiles
from annealing.mining import QUANTILE_ERROR, merged, most_uncertain_pairs, similarity_quantile
from annealing.pool import pair_keys
from annealing.tiles import tile_count
from domain.errors import Cancelled, InputError
from tests.annealing.oracles import ORACLES, all_pairs_by_uncertainty, tuples


def scattered(rng, rows, dimensions):
    return rng.normal(size=(rows, dimensions))


def all_equal(rng, rows, dimensions):
    return np.tile(rng.normal(size=dimensions), (rows, 1)) * rng.uniform(0.1, 9, (rows, 1))


def with_copies(rng, rows, dimensions):
    return rng.normal(size=(rows, dimensions))[rng.integers(0, max(1, rows // 6), rows)]


def on_a_grid(rng, rows, dimensions):
    """Few different similarities, so that most pairs tie."""
    return rng.integers(-1, 2, (rows, dimensions))


def nearly_equal(rng, rows, dimensions):
    """Differences far below the rounding of float32."""
    return 1 + 1e-7 * rng.normal(size=(rows, dimensions))


ARCHIVES = [scattered, all_equal, with_copies, on_a_grid, nearly_equal]


def _bfloat16_product(left, right, *, out=None):
    """As on machines that cut float32 factors; float64 ones are never cut."""
    if left.dtype == torch.float64:
        return left @ right
    return out.copy_(left.bfloat16().double() @ right.bfloat16().double())


@pytest.mark.parametrize("name", ["mgue", "mgue_out_of_range"])
def test_mining_agrees_with_a_worked_example(name):
    inputs, expected = ORACLES[name]["inputs"], ORACLES[name]["expected"]
    known = pair_keys(np.array(inputs["labels"])[:, :2], 12)
    mined = most_uncertain_pairs(
        np.array(inputs["embeddings"]), expected["alpha"], inputs["p"], excluded=known
    )
    assert tuples(mined.pairs) == tuples(expected["top_p"])
    assert -mined.score == pytest.approx(expected["top_p_unc"], abs=1e-9)


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda archive: archive.__name__)
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(0, 33),
    count=st.integers(0, 700),
    alpha=st.sampled_from([-2.5, -0.4, 0.0, 0.3, 1.0, 1.2, 1e6]),
    tile_rows=st.sampled_from([1, 4, 7, 64]),
    half=st.sampled_from([torch.bfloat16, torch.float16, None]),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_mining_gives_what_brute_force_gives(
    archive, seed, rows, count, alpha, tile_rows, half, dtype
):
    """Whatever precision the first pass has, also one that this machine is slow in."""
    rng = np.random.default_rng(seed)
    embeddings = archive(rng, rows, 6).astype(dtype)
    everything = list(combinations(range(rows), 2))
    known = [pair for pair in everything if rng.random() < 0.2]
    excluded = pair_keys(np.array(known, dtype=int).reshape(-1, 2), rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "fast_half", lambda device: half)
        mined = most_uncertain_pairs(
            embeddings, alpha, count, excluded=excluded, tile_rows=tile_rows
        )
    expected = all_pairs_by_uncertainty(embeddings, alpha, known)[:count]
    assert tuples(mined.pairs) == expected


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda archive: archive.__name__)
@pytest.mark.parametrize("tile_rows", [32, 128])
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16, None], ids=str)
def test_mining_many_pairs_over_many_tiles_gives_what_brute_force_gives(
    monkeypatch, archive, tile_rows, half
):
    monkeypatch.setattr(tiles, "fast_half", lambda device: half)
    embeddings = archive(np.random.default_rng(1), 200, 48).astype(np.float32)
    mined = most_uncertain_pairs(embeddings, 0.1, 900, tile_rows=tile_rows)
    assert tuples(mined.pairs) == all_pairs_by_uncertainty(embeddings, 0.1)[:900]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(2, 40),
    count=st.integers(0, 100),
    archive=st.sampled_from(ARCHIVES),
    data=st.data(),
)
def test_ranges_of_tiles_in_any_order_merge_to_the_whole(seed, rows, count, archive, data):
    rng = np.random.default_rng(seed)
    embeddings = archive(rng, rows, 5)
    excluded = np.flatnonzero(rng.random(rows * rows) < 0.2)
    excluded = excluded[excluded // rows < excluded % rows]
    total = tile_count(rows, 8)
    cuts = sorted(data.draw(st.lists(st.integers(0, total), max_size=4)))
    ranges = [range(a, b) for a, b in pairwise([0, *cuts, total])]
    shards = [
        most_uncertain_pairs(embeddings, 0.1, count, excluded=excluded, tile_rows=8, tiles=part)
        for part in data.draw(st.permutations(ranges))
    ]
    whole = most_uncertain_pairs(embeddings, 0.1, count, excluded=excluded, tile_rows=8)
    in_turn = reduce(lambda a, b: merged(a, b, count), shards)
    from_the_end = reduce(lambda a, b: merged(b, a, count), shards[::-1])
    assert tuples(in_turn.pairs) == tuples(from_the_end.pairs) == tuples(whole.pairs)
    assert np.array_equal(in_turn.score, whole.score)
    assert np.array_equal(in_turn.similarity, whole.similarity)


def test_a_range_mined_twice_changes_nothing():
    mined = most_uncertain_pairs(scattered(np.random.default_rng(0), 20, 5), 0.1, 30)
    assert tuples(merged(mined, mined, 30).pairs) == tuples(mined.pairs)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(2, 30), count=st.integers(1, 60))
def test_the_order_of_the_images_changes_nothing(seed, rows, count):
    """Without ties; those go by key, so by the order of the images."""
    rng = np.random.default_rng(seed)
    embeddings, order = scattered(rng, rows, 12), rng.permutation(rows)
    mined = most_uncertain_pairs(embeddings, 0.1, count)
    again = order[most_uncertain_pairs(embeddings[order], 0.1, count).pairs]
    assert tuples(np.sort(again, axis=1)) == tuples(mined.pairs)


def test_everything_known_leaves_nothing():
    everything = pair_keys(np.array(list(combinations(range(9), 2))), 9)
    mined = most_uncertain_pairs(np.eye(9), 0.0, 5, excluded=everything)
    assert mined.pairs.shape == (0, 2)
    assert len(mined.similarity) == len(mined.score) == 0


def test_progress_goes_to_one_and_can_end_the_mining():
    told = []
    embeddings = scattered(np.random.default_rng(0), 40, 5)
    most_uncertain_pairs(
        embeddings, 0.0, 9, tile_rows=10, progress=lambda done, _: told.append(done)
    )
    assert told == pytest.approx(np.arange(1, 11) / 10)

    def stop(done, message):
        raise Cancelled("Enough.")

    with pytest.raises(Cancelled):
        most_uncertain_pairs(embeddings, 0.0, 9, progress=stop)


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda archive: archive.__name__)
def test_several_threads_give_what_one_gives(two_threads, archive):
    """Tiles come in another order each time; what they leave behind is the same."""
    embeddings = archive(np.random.default_rng(1), 300, 24)
    expected = all_pairs_by_uncertainty(embeddings, 0.1)[:500]
    for _ in range(5):
        mined = most_uncertain_pairs(embeddings, 0.1, 500, tile_rows=32)
        assert tuples(mined.pairs) == expected


def test_known_pairs_leave_room_for_others():
    """Nine of ten pairs known: the tenth still comes, whatever its uncertainty."""
    known = [pair for pair in combinations(range(5), 2) if pair != (1, 3)]
    mined = most_uncertain_pairs(np.eye(5), 0.0, 4, excluded=pair_keys(np.array(known), 5))
    assert tuples(mined.pairs) == [(1, 3)]


@pytest.fixture
def loose_products():
    """What a training may set: float32 products with factors cut to bfloat16."""
    matmul = torch.backends.mkldnn.matmul
    before, matmul.fp32_precision = matmul.fp32_precision, "bf16"
    yield
    matmul.fp32_precision = before


@pytest.mark.usefixtures("loose_products")
@pytest.mark.parametrize("product", [torch.mm, _bfloat16_product], ids=["cpu", "emulated"])
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16, None], ids=str)
def test_low_precision_products_change_nothing(monkeypatch, half, product):
    """Training may allow bfloat16 factors; mining must then look at more candidates."""
    embeddings = scattered(np.random.default_rng(0), 120, 16)
    monkeypatch.setattr(tiles, "fast_half", lambda device: half)
    monkeypatch.setattr(torch, "mm", product)
    mined = most_uncertain_pairs(embeddings, 0.2, 50, tile_rows=32)
    assert tuples(mined.pairs) == all_pairs_by_uncertainty(embeddings, 0.2)[:50]


@pytest.mark.parametrize("archive", [scattered, all_equal], ids=lambda archive: archive.__name__)
def test_memory_does_not_grow_with_the_number_of_pairs(archive):
    """2,000 rows have 2 million pairs, 16 MB as float64; numpy's share of the work stays below."""
    embeddings = archive(np.random.default_rng(0), 2000, 4).astype(np.float32)
    tracemalloc.start()
    most_uncertain_pairs(embeddings, 0.1, 50, tile_rows=128)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6


def test_memory_does_not_grow_with_the_number_of_known_pairs():
    """A million known pairs are 9 MB; copies of them would show."""
    embeddings = scattered(np.random.default_rng(0), 2000, 4).astype(np.float32)
    a, b = np.triu_indices(1500, 1)
    known = a * 2000 + b
    tracemalloc.start()
    most_uncertain_pairs(embeddings, 0.1, 50, excluded=known, tile_rows=128)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6


@pytest.mark.parametrize("archive", ["scattered", "all_equal"])
def test_the_whole_process_needs_little_memory(archive):
    """6,000 rows have 18 million pairs, 72 MB as float32; torch's memory is seen only here."""
    ended = subprocess.run(
        [sys.executable, "-c", _PEAK, archive],
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # each core would have a tile of its own
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert float(ended.stdout) < 40


_PEAK = """
import resource, sys
import numpy as np
from annealing.mining import most_uncertain_pairs
from tests.annealing import test_mining

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

embeddings = getattr(test_mining, sys.argv[1])(np.random.default_rng(0), 6000, 8)
most_uncertain_pairs(embeddings[:300], 0.1, 500)
before = peak_mb()
most_uncertain_pairs(embeddings, 0.1, 500, tile_rows=512)
print(peak_mb() - before)
"""


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000), rows=st.integers(3, 40), share=st.sampled_from([0.0, 0.5, 0.95])
)
def test_the_quantile_agrees_with_sorting_all_pairs(seed, rows, share):
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(rows, 5))
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    known = [(0, 1)]
    cosines = sorted(
        float(unit[a] @ unit[b]) for a, b in combinations(range(rows), 2) if (a, b) not in known
    )
    found = similarity_quantile(
        embeddings, share, excluded=pair_keys(np.array(known), rows), tile_rows=8
    )
    place = max(1, int(np.ceil(share * len(cosines)))) - 1
    assert found == pytest.approx(cosines[place], abs=QUANTILE_ERROR)


@pytest.mark.parametrize("quantile", [0.0, 0.5, 1.0])
def test_the_quantile_of_equal_similarities_is_that_similarity(quantile):
    found = similarity_quantile(np.ones((30, 3)), quantile)
    assert found == pytest.approx(1.0, abs=QUANTILE_ERROR)


@pytest.mark.parametrize(
    ("embeddings", "count", "words"),
    [
        pytest.param(np.ones(3), 1, r"\[images, dimensions\]", id="one dimension"),
        pytest.param(np.array([[1.0], [np.nan]]), 1, "row 1", id="nan"),
        pytest.param(np.ones((3, 2)), -1, "0 or more", id="negative count"),
    ],
)
def test_what_cannot_be_mined_is_refused(embeddings, count, words):
    with pytest.raises(InputError, match=words):
        most_uncertain_pairs(embeddings, 0.0, count)


def test_the_quantile_can_leave_copies_out_unless_there_is_nothing_else():
    half_copies = np.concatenate([np.eye(8), np.ones((8, 8))])
    assert similarity_quantile(half_copies, 0.99) == pytest.approx(1.0, abs=QUANTILE_ERROR)
    without = similarity_quantile(half_copies, 0.99, below=0.9)
    assert without == pytest.approx(np.sqrt(1 / 8), abs=QUANTILE_ERROR)
    only_copies = similarity_quantile(np.ones((8, 8)), 0.5, below=0.9)
    assert only_copies == pytest.approx(1.0, abs=QUANTILE_ERROR)


def test_an_empty_pool_has_no_quantile():
    with pytest.raises(InputError, match="No pair is left"):
        similarity_quantile(np.ones((2, 2)), 0.95, excluded=np.array([1]))
    with pytest.raises(InputError, match="from 0 to 1"):
        similarity_quantile(np.ones((2, 2)), 1.5)
