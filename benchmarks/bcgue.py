"""How fast BCGUE looks at all pairs, against the bare products of its layers.

`python -m benchmarks.bcgue [--quick]` prints one JSON object as its last line:

- seconds: all pairs of the images, the 1,476 least sure ones, both orders of a pair;
- ratio_to_products: that over the bare products of the small layers for as many pairs and orders
  (each core with products of its own, memory allocated beforehand, the best of three sizes) and of
  the projections, nothing else;
- ratio_trained: the same for a classifier trained on images of 20 classes. It is sure of most
  pairs, while the random one is even about many, of which float32 leaves more open;
- cpu_ratio, cpu_ratio_trained: both in processor time, which other programs disturb less;
- same_as_naive: whether a naive forward over a part of the images gives the same pairs in the same
  order.

All are measured in turns, and the least of the turns counts.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from annealing.bcgue import most_unsure_pairs
from annealing.lanes import work_through
from annealing.pair_classifier import PairClassifier
from annealing.pool import pool_size
from domain.config import TrainingSettings
from training.trainer import train_head

DIMENSIONS = 256  # the head's output
HIDDEN = (128, 32)
CLASSES = 20
PAIRS_A_CLASS = 100  # of each kind that are answered
COUNT = 1476  # p = 4 h of the paper's UC Merced rounds
CHUNKS = (1024, 2048, 4096)
STEPS_EACH = 64  # products between two looks at what is left, which then cost nothing


@dataclass(frozen=True)
class Sizes:
    rows: int
    naive_rows: int
    turns: int


@dataclass(frozen=True)
class Taken:
    seconds: float
    cpu_seconds: float  # of all threads


QUICK = Sizes(rows=2000, naive_rows=200, turns=2)
FULL = Sizes(rows=8000, naive_rows=800, turns=3)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure BCGUE over all pairs.")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, same keys")
    options = parser.parse_args()
    print(json.dumps(measure(QUICK if options.quick else FULL)))


def measure(sizes: Sizes) -> dict[str, object]:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(sizes.rows, DIMENSIONS)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    classifier = random_classifier(rng)
    trained, embedded = trained_classifier(rng, sizes.rows)
    ours: list[Taken] = []
    sure: list[Taken] = []
    bare: list[Taken] = []
    for _ in range(sizes.turns):
        bare += [taken_by(partial(bare_products, embeddings, chunk)) for chunk in CHUNKS]
        ours.append(taken_by(lambda: most_unsure_pairs(classifier, embeddings, COUNT)))
        sure.append(taken_by(lambda: most_unsure_pairs(trained, embedded, COUNT)))
    least = least_of(bare)
    return {
        "rows": sizes.rows,
        "threads": torch.get_num_threads(),
        "seconds": round(least_of(ours).seconds, 2),
        "products_seconds": round(least.seconds, 2),
        "ratio_to_products": round(least_of(ours).seconds / least.seconds, 2),
        "ratio_trained": round(least_of(sure).seconds / least.seconds, 2),
        "cpu_ratio": round(least_of(ours).cpu_seconds / least.cpu_seconds, 2),
        "cpu_ratio_trained": round(least_of(sure).cpu_seconds / least.cpu_seconds, 2),
        "same_as_naive": same_as_naive(classifier, embeddings[: sizes.naive_rows]),
    }


def random_classifier(rng: np.random.Generator) -> PairClassifier:
    """Weights as a new network has them, four times as large: some pairs sure, some not."""

    def layer(outputs: int, inputs: int) -> tuple[np.ndarray, np.ndarray]:
        bound = 1 / np.sqrt(inputs)
        weights = rng.uniform(-4 * bound, 4 * bound, (outputs, inputs))
        return weights.astype(np.float32), rng.uniform(-bound, bound, outputs).astype(np.float32)

    (first, first_bias), (second, second_bias), (last, last_bias) = (
        layer(HIDDEN[0], 2 * DIMENSIONS),
        layer(HIDDEN[1], HIDDEN[0]),
        layer(1, HIDDEN[1]),
    )
    return PairClassifier(
        left=first[:, :DIMENSIONS],
        right=first[:, DIMENSIONS:],
        first_bias=first_bias,
        second=second,
        second_bias=second_bias,
        last=last[0],
        last_bias=float(last_bias[0]),
    )


def trained_classifier(rng: np.random.Generator, rows: int) -> tuple[PairClassifier, np.ndarray]:
    """A classifier and the embeddings of so many images, of which a quarter has answers."""
    kind = rng.integers(CLASSES, size=rows)
    features = rng.normal(size=(CLASSES, DIMENSIONS))[kind]
    features = (features + 1.5 * rng.normal(size=features.shape)).astype(np.float32)
    answered = rows // 4
    pairs = rng.integers(answered, size=(40 * CLASSES * PAIRS_A_CLASS, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    similar = kind[pairs[:, 0]] == kind[pairs[:, 1]]
    wanted = CLASSES * PAIRS_A_CLASS
    kept = np.concatenate([np.flatnonzero(similar == each)[:wanted] for each in (True, False)])
    head = train_head(
        features[:answered],
        pairs[kept],
        similar[kept],
        np.ones(len(kept)),
        TrainingSettings(),
        seed=0,
        device=torch.device("cpu"),
        classifier=True,
    )
    if head.classifier is None:
        raise RuntimeError(f"The head has no classifier: {head.note}")
    return head.classifier, head.embed(features)


def bare_products(embeddings: np.ndarray, chunk: int) -> None:
    """The products that all pairs need in both orders, and no more."""
    both_sides = np.zeros((DIMENSIONS, 2 * HIDDEN[0]), np.float32)
    embeddings @ both_sides
    steps = -(-2 * pool_size(len(embeddings)) // chunk)

    def work(numbers: Iterator[int]) -> Iterator[None]:
        weights, last = torch.ones(HIDDEN[1], HIDDEN[0]), torch.ones(HIDDEN[1])
        wide, narrow = torch.ones(HIDDEN[0], chunk), torch.empty(HIDDEN[1], chunk)
        out = torch.empty(chunk)
        for _ in numbers:
            for _ in range(STEPS_EACH):
                torch.mm(weights, wide, out=narrow)
                torch.mv(narrow.T, last, out=out)
            yield

    work_through(range(-(-steps // STEPS_EACH)), work)


def same_as_naive(classifier: PairClassifier, embeddings: np.ndarray) -> bool:
    """Whether a forward of every pair through the concatenation gives the same pairs."""
    pairs = np.stack(np.triu_indices(len(embeddings), 1), axis=1)
    weights = np.concatenate([classifier.left, classifier.right], axis=1).astype(np.float64)

    def probability(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        both = np.concatenate([embeddings[first], embeddings[second]], axis=1).astype(np.float64)
        hidden = np.maximum(both @ weights.T + classifier.first_bias, 0)
        hidden = np.maximum(hidden @ classifier.second.T + classifier.second_bias, 0)
        logit = torch.from_numpy(hidden @ classifier.last + classifier.last_bias)
        return torch.sigmoid(logit).numpy()

    mean = (probability(*pairs.T) + probability(*pairs.T[::-1])) / 2
    order = np.lexsort((pairs[:, 1], pairs[:, 0], np.round(np.abs(mean - 0.5), 9)))[:COUNT]
    return np.array_equal(most_unsure_pairs(classifier, embeddings, COUNT).pairs, pairs[order])


def taken_by(work: Callable[[], object]) -> Taken:
    began, cpu_began = time.perf_counter(), time.process_time()
    work()
    return Taken(time.perf_counter() - began, time.process_time() - cpu_began)


def least_of(turns: list[Taken]) -> Taken:
    return Taken(min(each.seconds for each in turns), min(each.cpu_seconds for each in turns))


if __name__ == "__main__":
    main()
