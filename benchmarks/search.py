"""How fast the images most like a query are found, exactly, against the bare product.

`python -m benchmarks.search [--quick]` prints one JSON object as its last line:

- p95_ms_2100: 95 of 100 searches in an archive like UC Merced take no longer, vectors read from a
  memory-mapped file as in the app;
- p95_ms_590k: the same for 590,000 images, the size of BigEarthNet (590,326); 100,000 with
  --quick, see `large_rows`;
- ratio_to_product: time over numpy's bare product of all vectors with the query in memory and
  argpartition, at large_rows: what an exact search cannot do without;
- ratio_to_faiss_flat: time over faiss's exact flat index on as many threads; null, with the reason
  in `faiss`, where it is not installed;
- upload_median_s, upload_most_s: from the end of the upload of a picture to the ranked grid with
  its first pictures in a browser, while the worker trains (`benchmarks.uploads`);
- same_as_brute_force: whether float64 brute force gives the same images in the same order, also
  where many are equal.
"""

import argparse
import importlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import uploads
from benchmarks.mining import archive
from domain.arrays import FloatArray, IntArray
from retrieval.search import nearest

DIMENSIONS = 256  # of the head's output
SMALL_ROWS = 2100
LARGE_ROWS, QUICK_ROWS = 590_326, 100_000
K = 24  # a page of results
SEARCHES, QUICK_SEARCHES = 100, 20
BLOCK_ROWS = 50_000
UPLOADS, QUICK_UPLOADS = 20, 5


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the exact search.")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, same keys")
    quick = parser.parse_args().quick
    large_rows = QUICK_ROWS if quick else LARGE_ROWS
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        small = on_disk(Path(folder) / "small.npy", SMALL_ROWS, rng)
        large = on_disk(Path(folder) / "large.npy", large_rows, rng)
        found: dict[str, object] = {
            "p95_ms_2100": p95_ms(small, SEARCHES, rng),
            "p95_ms_590k": p95_ms(large, QUICK_SEARCHES if quick else SEARCHES, rng),
            "large_rows": large_rows,
            **against_product(large, rng),
            **against_faiss(large, rng),
            "same_as_brute_force": same_as_brute_force(rng),
            **uploads.measure(QUICK_UPLOADS if quick else UPLOADS),
            "threads": os.environ.get("OMP_NUM_THREADS", "all"),
            "load": round(os.getloadavg()[0], 1),
        }
    print(json.dumps(found))


def on_disk(path: Path, rows: int, rng: np.random.Generator) -> FloatArray:
    """Unit vectors in a memory-mapped file, as a run keeps them."""
    mapped = np.lib.format.open_memmap(path, "w+", np.float32, (rows, DIMENSIONS))
    for start in range(0, rows, BLOCK_ROWS):
        block = mapped[start : start + BLOCK_ROWS]
        block[:] = archive(len(block), DIMENSIONS, rng)
    mapped.flush()
    vectors: FloatArray = np.load(path, mmap_mode="r")
    return vectors


def p95_ms(vectors: FloatArray, searches: int, rng: np.random.Generator) -> float:
    nearest(vectors[0], vectors, K, unit=True)  # the file is in memory from here on
    took = []
    for row in rng.integers(0, len(vectors), searches):
        start = time.perf_counter()
        nearest(vectors[row], vectors, K, exclude=int(row), unit=True)
        took.append(1000 * (time.perf_counter() - start))
    return round(float(np.percentile(took, 95)), 2)


def against_product(vectors: FloatArray, rng: np.random.Generator) -> dict[str, float]:
    in_memory = np.array(vectors)

    def bare(query: FloatArray) -> IntArray:
        return np.argpartition(-(in_memory @ query), K)[:K]

    def ours(query: FloatArray) -> object:
        return nearest(query, vectors, K, unit=True)

    ours_ms, bare_ms = best_ms(vectors, [ours, bare], rng)
    return {
        "ratio_to_product": round(ours_ms / bare_ms, 2),
        "search_ms": round(ours_ms, 2),
        "product_ms": round(bare_ms, 2),
    }


def against_faiss(vectors: FloatArray, rng: np.random.Generator) -> dict[str, object]:
    try:
        faiss = importlib.import_module("faiss")
    except ImportError:
        return {"ratio_to_faiss_flat": None, "faiss": "not installed; it is no requirement"}
    index = faiss.IndexFlatIP(DIMENSIONS)
    index.add(np.array(vectors))
    ours_ms, flat_ms = best_ms(
        vectors,
        [
            lambda query: nearest(query, vectors, K, unit=True),
            lambda query: index.search(query[None], K),
        ],
        rng,
    )
    return {"ratio_to_faiss_flat": round(ours_ms / flat_ms, 2), "faiss": faiss.__version__}


def best_ms(
    vectors: FloatArray, works: list[Callable[[FloatArray], object]], rng: np.random.Generator
) -> list[float]:
    """The best of ten for each work, in turn, so that a busy machine slows all alike."""
    best = [float("inf")] * len(works)
    for row in rng.integers(0, len(vectors), 10):
        query = np.array(vectors[row])
        for place, work in enumerate(works):
            start = time.perf_counter()
            work(query)
            best[place] = min(best[place], 1000 * (time.perf_counter() - start))
    return best


def same_as_brute_force(rng: np.random.Generator) -> bool:
    scattered = archive(5000, DIMENSIONS, rng)
    copies = scattered[rng.integers(0, 500, 5000)]
    return all(
        np.array_equal(
            nearest(vectors[row], vectors, K, unit=True)[0], brute_force(vectors[row], vectors)
        )
        for vectors in (scattered, copies)
        for row in range(20)
    )


def brute_force(query: FloatArray, vectors: FloatArray) -> IntArray:
    """All cosines in float64, sorted after rounding to 1e-9, then by row."""
    exact = vectors.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    direction = query.astype(np.float64) / np.linalg.norm(query.astype(np.float64))
    return np.lexsort((np.arange(len(exact)), -np.round(exact @ direction, 9)))[:K]


if __name__ == "__main__":
    main()
