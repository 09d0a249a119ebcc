"""What each part of the questions about groups is worth: retrieval with one of them switched off.

`python -m benchmarks.group_parts --folder IMAGES --weights FILE [--quick] [--noise 0.1]` prints one
JSON object as its last line: for each part the change of mAP@5 without it, in points, as the papers
count it and with misses counted, and the standard errors of the paired differences.

Measured on selection sets: the training images of a seed alone, split once more into training
images, queries and gallery, so that whoever chooses by these figures has not seen any test image.
The mean is over the rounds from 122 answers on. Backbone MobileNetV2, all views.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from domain.arrays import FloatArray
from domain.jobs import silent
from worker.simulation_archive import SimulationArchive, read_archive, split
from worker.simulation_components import ComponentRounds
from worker.simulation_options import DEFAULT_CACHE, SimulationOptions, checked
from worker.simulation_seed import SimulationSeed

BITS = 61
LEAST_BITS = 122
_COMPONENTS = "annealing.components"


def _unchanged(unit: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.eye(unit.shape[1], dtype=np.float32)


def _no_frozen_part(*_: Any, **__: Any) -> float:
    return 0.0


# What to put in the place of what, to be without a part.
PARTS: Mapping[str, Mapping[str, Any]] = {
    "directions of kinds": {
        f"{_COMPONENTS}.space.discriminant_map": _unchanged,
        "training.group_head.discriminant_map": _unchanged,
    },
    "neighbour graph": {f"{_COMPONENTS}.graph._DAMPING": 0.0},
    "guessed labels in the head": {f"{_COMPONENTS}.labels._GUESSED": 0.0},
    "frozen part of the embedding": {"training.group_head.frozen_length": _no_frozen_part},
    "chains beyond their first question": {f"{_COMPONENTS}.questions.LONGEST": 1},
    "checks of groups": {f"{_COMPONENTS}.questions._MERGE_SHARE": 0.0},
    "images leaving a group": {f"{_COMPONENTS}.beliefs._EVICTED_BELOW": 0.0},
    "two answers to join large groups": {f"{_COMPONENTS}.evidence._LARGE": 10**9},
}


@contextmanager
def without(part: str) -> Iterator[None]:
    """The product without a part, within the block."""
    with ExitStack() as patches:
        for name, value in PARTS[part].items():
            patches.enter_context(patch(name, value))
        yield


def selection_set(archive: SimulationArchive, seed: int) -> SimulationArchive:
    """An archive of the training images of a seed alone."""
    rows = split(archive, seed).train
    return replace(
        archive,
        features=archive.features[rows],
        labels=archive.labels[rows],
        copies=archive.copies[rows],
        split_groups=archive.split_groups[rows],
    )


def quality(archives: Sequence[SimulationArchive], options: SimulationOptions) -> FloatArray:
    """[S, 2] mAP@5 in percent of each selection set, both ways of counting."""
    found = []
    for seed, archive in enumerate(archives):
        states = ComponentRounds(SimulationSeed(archive, options, seed)).states(silent)
        rows = [state.row for state in states if state.row.bits >= LEAST_BITS]
        found.append([[row.map_at_5_hits, row.map_at_5_min] for row in rows])
    return np.asarray(100 * np.mean(np.array(found, dtype=float), axis=1))


def changes(measured: Callable[[], FloatArray], parts: Sequence[str]) -> dict[str, Any]:
    """Of each part, what is lost without it, with the standard errors."""
    whole = measured()
    found: dict[str, Any] = {"whole": whole.mean(axis=0).round(2).tolist()}
    for part in parts:
        with without(part):
            change = measured() - whole
        error = change.std(axis=0, ddof=1) / np.sqrt(len(change))
        found[part] = {"change": change.mean(axis=0).round(2), "error": error.round(2)}
        found[part] = {name: values.tolist() for name, values in found[part].items()}
        print(part, found[part], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--noise", type=float, default=0.0, help="share of wrong answers")
    parser.add_argument("--part", action="append", choices=PARTS, help="default: all")
    parser.add_argument("--quick", action="store_true", help="two selection sets, four rounds")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    options = SimulationOptions(
        images=asked.folder,
        out=Path(),
        cache=asked.cache,
        weights=asked.weights,
        backbone="mobilenet_v2",
        views="multi",
        strategies=("components",),
        initial="none",
        rounds=4 if asked.quick else 12,
        bits_per_round=BITS,
        noise=asked.noise,
        device="cpu",
    )
    options = checked(options)
    archive = read_archive(options, silent)
    archives = [selection_set(archive, seed) for seed in range(2 if asked.quick else 5)]
    found = changes(lambda: quality(archives, options), asked.part or list(PARTS))
    print(json.dumps({"noise": asked.noise, **found}))


if __name__ == "__main__":
    main()
