"""How fast the most uncertain pairs are found, against the bare product that nothing can beat.

`python -m benchmarks.mining [--quick] [--large] [--device cuda]` prints one JSON object as its
last line:

- ratio_to_product: time over the bare blockwise float32 product of the upper triangle, with
  memory allocated beforehand, at the best of three tile sizes;
- float32_ratio_to_product: the same without halves, as on machines that are slow in them;
- ratio_to_half_product: the same over the bare product in half precision, where that is fast;
- ratio_to_dense: time over numpy's whole matrix and argpartition, at dense_rows;
- same_as_brute_force: whether float64 brute force gives the same pairs in the same order, on
  scattered images, on copies and on images that are all the same;
- bf16_hardware: whether this machine multiplies halves faster than float32;
- peak_mb: memory that mining adds, at its worst (null where the system does not tell);
- propose_ucm_s: a whole proposal, clustering included, for an archive like UC Merced;
- large: with --large, time and memory for 100,000 images scattered, and all the same; takes some
  minutes; else null.
"""

import argparse
import ctypes
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from annealing.factors import fast_half
from annealing.mining import most_uncertain_pairs
from annealing.pool import Keys, draw_pairs, pair_keys
from annealing.strategies import propose
from domain.arrays import FloatArray, IntArray

DIMENSIONS = 512  # of ResNet-18's features, which are mined at full depth
COUNT = 1476  # p = 4 h of the paper's UC Merced rounds
KNOWN_PAIRS = 20_000
TILES = {"cpu": (1024, 2048, 4096), "cuda": (4096, 8192, 16_384)}
ALPHA = 0.5
REPEATS = 5
QUICK_REPEATS = 8  # short works need more for one of them to meet a quiet moment
LARGE_ROWS = 100_000
# UC Merced: training images, questions a round, and what some rounds have made known
UCM_ROWS, UCM_DIMENSIONS, UCM_QUESTIONS, UCM_KNOWN = 1680, 256, 369, 7000


@dataclass(frozen=True)
class Sizes:
    rows: int
    dense_rows: int
    brute_force_rows: int


QUICK = Sizes(rows=10_000, dense_rows=16_000, brute_force_rows=1500)
FULL = Sizes(rows=30_000, dense_rows=20_000, brute_force_rows=5000)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the mining of uncertain pairs.")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, same keys")
    parser.add_argument("--large", action="store_true", help="100,000 images too: some minutes")
    parser.add_argument("--rows", type=int, help="other than the usual number of images")
    parser.add_argument("--dimensions", type=int, default=DIMENSIONS, help="512 by default")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; the default is cpu")
    options = parser.parse_args()
    sizes = QUICK if options.quick else FULL
    rows, device = options.rows or sizes.rows, options.device
    rng = np.random.default_rng(0)
    found: dict[str, object] = {
        **against_products(
            archive(rows, options.dimensions, rng),
            device,
            rng,
            repeats=QUICK_REPEATS if options.quick else REPEATS,
        ),
        **against_dense(archive(sizes.dense_rows, options.dimensions, rng), device),
        "same_as_brute_force": same_as_brute_force(sizes.brute_force_rows, device, rng),
        "bf16_hardware": fast_half(torch.device(device)) is not None,
        "propose_ucm_s": propose_ucm_s(device, rng),
        "large": large(options.dimensions, device, rng) if options.large else None,
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(found))


def against_products(
    embeddings: FloatArray, device: str, rng: np.random.Generator, *, repeats: int
) -> dict[str, object]:
    rows = len(embeddings)
    known = pair_keys(draw_pairs(rows, KNOWN_PAIRS, np.zeros(0, np.int64), rng), rows)

    def mine(*, halves: bool = True) -> None:
        most_uncertain_pairs(embeddings, ALPHA, COUNT, excluded=known, device=device, halves=halves)

    most_uncertain_pairs(embeddings[:2000], ALPHA, COUNT, device=device)  # wakes the libraries
    peak_mb = added_memory_mb(mine)
    tiles, half = TILES[device], fast_half(torch.device(device))
    types = [torch.float32] if half is None else [torch.float32, half]
    products = [bare_product(embeddings, tile, device, dtype) for dtype in types for tile in tiles]
    # In turn, so that a busy machine slows all of them alike
    mine_s, float32_s, *product_s = best_times(
        [mine, lambda: mine(halves=False), *products], repeats=repeats
    )
    full_s = min(product_s[: len(tiles)])
    half_s = min(product_s[len(tiles) :], default=None)
    return {
        "ratio_to_product": round(mine_s / full_s, 3),
        "float32_ratio_to_product": round(float32_s / full_s, 3),
        "ratio_to_half_product": None if half_s is None else round(mine_s / half_s, 3),
        "peak_mb": peak_mb,
        "rows": rows,
        "dimensions": embeddings.shape[1],
        "mine_s": round(mine_s, 3),
        "product_s": round(full_s, 3),
        "pairs_per_s": round(rows * (rows - 1) / 2 / mine_s),
    }


def against_dense(embeddings: FloatArray, device: str) -> dict[str, object]:
    def mine() -> None:
        most_uncertain_pairs(embeddings, ALPHA, COUNT, device=device)

    mine_s, dense_s = best_times([mine, lambda: dense(embeddings, ALPHA, COUNT)], repeats=3)
    return {"ratio_to_dense": round(mine_s / dense_s, 3), "dense_rows": len(embeddings)}


def propose_ucm_s(device: str, rng: np.random.Generator) -> float:
    """Mining, leaving out what is known, and clustering."""
    embeddings = archive(UCM_ROWS, UCM_DIMENSIONS, rng)
    known = draw_pairs(UCM_ROWS, UCM_KNOWN, np.zeros(0, np.int64), rng)
    similar = np.einsum("pd,pd->p", embeddings[known[:, 0]], embeddings[known[:, 1]]) > ALPHA / 2

    def ask() -> None:
        propose("mgue", embeddings, known, similar, UCM_QUESTIONS, rng=rng, device=device)

    return round(best_times([ask])[0], 3)


def large(dimensions: int, device: str, rng: np.random.Generator) -> dict[str, float | None]:
    """Whether memory stays small however many pairs there are, and however many are equal."""
    scattered = archive(LARGE_ROWS, dimensions, rng)
    same = scattered[:1].repeat(LARGE_ROWS, 0)
    found: dict[str, float | None] = {"rows": LARGE_ROWS}
    for name, embeddings in (("scattered", scattered), ("same", same)):
        start = time.perf_counter()
        found[f"{name}_peak_mb"] = added_memory_mb(
            lambda each=embeddings: most_uncertain_pairs(each, ALPHA, COUNT, device=device)
        )
        found[f"{name}_s"] = round(time.perf_counter() - start, 1)
    return found


def archive(rows: int, dimensions: int, rng: np.random.Generator) -> FloatArray:
    """Unit vectors of 30 kinds of images, as a trained head gives them."""
    kinds = rng.normal(size=(30, dimensions))
    vectors = kinds[rng.integers(0, 30, rows)] + rng.normal(size=(rows, dimensions))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def bare_product(
    embeddings: FloatArray, tile: int, device: str, dtype: torch.dtype
) -> Callable[[], None]:
    vectors = torch.from_numpy(embeddings).to(device, dtype)
    out = torch.empty(tile * tile, device=device, dtype=dtype)

    def multiply() -> None:
        for first in range(0, len(vectors), tile):
            left = vectors[first : first + tile]
            for second in range(first, len(vectors), tile):
                right = vectors[second : second + tile]
                place = out[: len(left) * len(right)].view(len(left), len(right))
                torch.mm(left, right.T, out=place)
        if device == "cuda":
            torch.cuda.synchronize()

    return multiply


def dense(embeddings: FloatArray, alpha: float, count: int) -> IntArray:
    """What one writes first: the whole matrix, then argpartition."""
    distance = embeddings @ embeddings.T
    distance -= alpha
    np.abs(distance, out=distance)
    distance[np.tri(len(embeddings), dtype=bool)] = np.inf
    return np.argpartition(distance.ravel(), count)[:count]


def best_times(works: list[Callable[[], object]], *, repeats: int = REPEATS) -> list[float]:
    best = [float("inf")] * len(works)
    for _ in range(repeats):
        for place, work in enumerate(works):
            start = time.perf_counter()
            work()
            best[place] = min(best[place], time.perf_counter() - start)
    return best


def same_as_brute_force(rows: int, device: str, rng: np.random.Generator) -> bool:
    scattered = archive(rows, DIMENSIONS, rng)
    archives = [
        scattered,
        scattered[rng.integers(0, rows // 10, rows)],
        scattered[:1].repeat(rows, 0),
    ]
    known = pair_keys(draw_pairs(rows, KNOWN_PAIRS, np.zeros(0, np.int64), rng), rows)
    return all(
        np.array_equal(
            most_uncertain_pairs(each, ALPHA, COUNT, excluded=known, device=device).pairs,
            brute_force(each, ALPHA, COUNT, known),
        )
        for each in archives
    )


def brute_force(embeddings: FloatArray, alpha: float, count: int, known: Keys) -> IntArray:
    """All pairs in float64, sorted by distance rounded to 1e-9, then by pair."""
    vectors = embeddings.astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    a, b = np.triu_indices(len(vectors), 1)
    keys = a * len(vectors) + b
    distance = np.round(np.abs((vectors @ vectors.T)[a, b] - alpha), 9)
    distance[np.isin(keys, known)] = np.inf
    order = np.lexsort((keys, distance))[:count]
    return np.stack([a[order], b[order]], axis=1)


def added_memory_mb(work: Callable[[], object]) -> float | None:
    """Peak of the process while it works, above what it held before (Linux)."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    try:
        ctypes.CDLL(None).malloc_trim(0)  # memory freed earlier must not hide what is added
        reset.write_text("5")  # the peak so far is forgotten
        before = memory_kb(status, "VmRSS")
        work()
        return round((memory_kb(status, "VmHWM") - before) / 1024, 1)
    except (OSError, AttributeError):
        return None


def memory_kb(status: Path, name: str) -> int:
    line = next(line for line in status.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])


if __name__ == "__main__":
    main()
