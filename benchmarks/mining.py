"""How fast the most uncertain pairs are found, against the bare product that nothing can beat.

`python -m benchmarks.mining [--quick]` prints one JSON object as its last line:

- ratio_to_product: time over the bare blockwise float32 product of the upper triangle, with
  memory allocated beforehand, at the best of three tile sizes;
- ratio_to_dense: time over numpy's whole matrix and argpartition;
- same_as_brute_force: whether float64 brute force gives the same pairs in the same order, on
  scattered images, on copies and on images that are all the same;
- bf16_hardware: whether this machine multiplies bfloat16 faster than float32;
- peak_mb: memory that mining adds, at its worst (null where the system does not tell).
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

from annealing.mining import most_uncertain_pairs
from annealing.pool import Keys, draw_pairs, pair_keys
from domain.arrays import FloatArray, IntArray

DIMENSIONS = 256  # the head's output
COUNT = 1476  # p = 4 h of the paper's UC Merced rounds
KNOWN_PAIRS = 20_000
TILES = (1024, 2048, 4096)
ALPHA = 0.5
REPEATS = 5


@dataclass(frozen=True)
class Sizes:
    rows: int
    brute_force_rows: int


QUICK = Sizes(rows=8000, brute_force_rows=1500)
FULL = Sizes(rows=16_000, brute_force_rows=5000)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the mining of uncertain pairs.")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, same keys")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; the default is cpu")
    options = parser.parse_args()
    print(json.dumps(measure(QUICK if options.quick else FULL, options.device)))


def measure(sizes: Sizes, device: str) -> dict[str, object]:
    rng = np.random.default_rng(0)
    embeddings = archive(sizes.rows, rng)
    known = pair_keys(draw_pairs(sizes.rows, KNOWN_PAIRS, np.zeros(0, np.int64), rng), sizes.rows)

    def mine() -> object:
        return most_uncertain_pairs(embeddings, ALPHA, COUNT, excluded=known, device=device)

    most_uncertain_pairs(embeddings[:2000], ALPHA, COUNT, device=device)  # wakes the libraries
    peak_mb = added_memory_mb(mine)
    products = [bare_product(embeddings, tile, device) for tile in TILES]
    # In turn, so that a busy machine slows all of them alike
    times = best_times([mine, *products, lambda: dense(embeddings, ALPHA, COUNT)])
    product_s = min(times[1:-1])
    print(f"{sizes.rows} rows of {DIMENSIONS}: mining {times[0]:.3f} s, bare product")
    print(f"{product_s:.3f} s, dense {times[-1]:.3f} s, {torch.get_num_threads()} threads")
    return {
        "ratio_to_product": round(times[0] / product_s, 3),
        "ratio_to_dense": round(times[0] / times[-1], 3),
        "same_as_brute_force": same_as_brute_force(sizes.brute_force_rows, device, rng),
        "bf16_hardware": bf16_hardware(device),
        "peak_mb": peak_mb,
        "rows": sizes.rows,
        "pairs_per_s": round(sizes.rows * (sizes.rows - 1) / 2 / times[0]),
    }


def archive(rows: int, rng: np.random.Generator) -> FloatArray:
    """Unit vectors of 30 kinds of images, as a trained head gives them."""
    kinds = rng.normal(size=(30, DIMENSIONS))
    vectors = kinds[rng.integers(0, 30, rows)] + rng.normal(size=(rows, DIMENSIONS))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def bare_product(embeddings: FloatArray, tile: int, device: str) -> Callable[[], None]:
    vectors = torch.from_numpy(embeddings).to(device)
    out = torch.empty(tile * tile, device=device)

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


def best_times(works: list[Callable[[], object]]) -> list[float]:
    best = [float("inf")] * len(works)
    for _ in range(REPEATS):
        for place, work in enumerate(works):
            start = time.perf_counter()
            work()
            best[place] = min(best[place], time.perf_counter() - start)
    return best


def same_as_brute_force(rows: int, device: str, rng: np.random.Generator) -> bool:
    scattered = archive(rows, rng)
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


def bf16_hardware(device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    info = Path("/proc/cpuinfo")
    return info.exists() and "bf16" in info.read_text()


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
