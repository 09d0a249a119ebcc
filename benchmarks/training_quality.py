"""How long full depth and the usual loader of pairs need to the same quality, where it rises.

`python -m benchmarks.training_quality --folder IMAGES --weights FILE [--rates 1e-4 --seeds 0,1]`
prints a JSON object a seed and rate, and one of them all as its last line. Eight look-alike kinds
at 64 px under MobileNetV2, on which retraining helps: both ways start from the same network and
head, learn from the same known pairs, take turns, and are looked at alike; looking is not counted.
Of each quarter of what both gain in AUC of held-out pairs: the processor seconds until it is
reached, each way with the learning rate that brings it to the whole soonest.
"""

import argparse
import copy
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.training_archive import Files, files_below
from benchmarks.usual_training import Prepared, Siamese, Turns, prepared_of
from domain.config import FullDepthSettings, TrainingSettings
from training.backbones import build_backbone
from training.full_depth import retrain_backbone
from training.weights import load_weights

KINDS = (
    *("buildings", "denseresidential", "intersection", "mediumresidential"),
    *("mobilehomepark", "sparseresidential", "storagetanks", "tenniscourt"),
)
EACH, SIZE_PX, ANSWERS = 40, 64, 250
CPU = torch.device("cpu")
LOOK_EVERY = 3  # steps of ours; the usual loader is looked at in as much time
QUARTERS = (0.25, 0.5, 0.75, 1.0)
Reached = list[tuple[float, float]]
"""How good a network was after so much time: processor seconds, AUC; the first at 0."""


@dataclass(frozen=True)
class Race:
    """Both ways from the same start, with the same learning rate."""

    rate: float
    ours: Reached
    usual: Reached


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the time to the same quality.")
    parser.add_argument("--folder", type=Path, required=True, help="archive with the eight kinds")
    parser.add_argument("--weights", type=Path, required=True, help="of MobileNetV2")
    parser.add_argument("--steps", type=int, default=60, help="of ours")
    parser.add_argument("--patience", type=float, default=3.0, help="times our time for the usual")
    parser.add_argument("--rates", default="3e-5,1e-4,3e-4", help="of learning, of the backbone")
    parser.add_argument("--seeds", default="0,1")
    asked = parser.parse_args()
    prepared = _prepared(asked.folder, asked.weights, asked.steps)
    told = []
    for seed in map(int, asked.seeds.split(",")):
        races = []
        for rate in map(float, asked.rates.split(",")):
            races.append(_race(prepared, rate, patience=asked.patience, seed=seed))
            print(json.dumps(vars(races[-1])), flush=True)
        told.append({"seed": seed, **compared(races)})
    mean = np.mean([each["times_as_long"] for each in told], axis=0)
    summary = {"times_as_long": np.round(mean, 1).tolist(), "seeds": told}
    print(json.dumps({**summary, "load": round(os.getloadavg()[0], 1)}))


def compared(races: Sequence[Race]) -> Mapping[str, object]:
    """The times to each quarter of what both ways reach, and how many times as long one takes."""
    start = races[0].ours[0][1]
    top = min(_best(race.ours for race in races), _best(race.usual for race in races))
    levels = [start + share * (top - start) for share in QUARTERS]
    ours = min(races, key=lambda race: _until(race.ours, top))
    usual = min(races, key=lambda race: _until(race.usual, top))
    ours_s = [_until(ours.ours, level) for level in levels]
    usual_s = [_until(usual.usual, level) for level in levels]
    return {
        "auc_start": start,
        "auc_ours": _best([ours.ours]),
        "auc_usual": _best([usual.usual]),
        "levels": [round(level, 4) for level in levels],
        "rates": [ours.rate, usual.rate],
        "ours_cpu_s": ours_s,
        "usual_cpu_s": usual_s,
        "times_as_long": [round(b / a, 2) for a, b in zip(ours_s, usual_s, strict=True)],
    }


def _race(prepared: Prepared, rate: float, *, patience: float, seed: int) -> Race:
    full = prepared.settings.full.model_copy(update={"backbone_learning_rate": rate})
    settings = prepared.settings.model_copy(update={"full": full})
    prepared = replace(prepared, settings=settings)
    usual, turns = Siamese(prepared, seed=seed), Turns(CPU)
    slow = [(0.0, _rounded(usual.auc()))]

    def after_step(done: float, message: str) -> None:
        if message.startswith("retraining"):
            turns.stop()
            between_s = LOOK_EVERY * turns.cpu_seconds / len(turns.cpu_steps)
            while usual.cpu_seconds < patience * turns.cpu_seconds:
                usual.step()
                if usual.cpu_seconds >= slow[-1][0] + between_s:
                    slow.append((round(usual.cpu_seconds, 2), _rounded(usual.auc())))
        turns.start()

    found = retrain_backbone(
        copy.deepcopy(prepared.backbone),
        prepared.pixels,
        prepared.features,
        prepared.known,
        settings,
        seed=seed,
        device=CPU,
        progress=after_step,
    )
    quick = [
        (round(sum(turns.cpu_steps[: int(line["step"])]), 2), _rounded(line["selection_auc"]))
        for line in found.history
    ]
    return Race(rate, quick, slow)


def _prepared(folder: Path, weights: Path, steps: int) -> Prepared:
    backbone = build_backbone("mobilenet_v2")
    load_weights(backbone, weights)
    full = FullDepthSettings(
        head_learning_rate=1e-3,
        fewest_steps=steps,
        most_steps=steps,
        evaluate_every=LOOK_EVERY,
        patience=steps,
        smallest_area=0.7,
        blurred=0.0,
    )
    settings = TrainingSettings(fewest_steps=80, full=full)
    return prepared_of(backbone, _files(folder), SIZE_PX, settings, answers=ANSWERS, device=CPU)


def _files(folder: Path) -> Files:
    """So many images of each of the eight kinds."""
    found = files_below(folder, 10**6)
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    wanted = [names.index(kind) for kind in KINDS]
    rows = [row for kind in wanted for row in (found.kinds == kind).nonzero()[0][:EACH].tolist()]
    return Files([found.files[row] for row in rows], found.kinds[rows])


def _best(courses: Iterable[Reached]) -> float:
    return max(auc for course in courses for _, auc in course)


def _until(reached: Reached, level: float) -> float:
    """Processor seconds until the level is reached; infinite where it is not."""
    return next((seconds for seconds, auc in reached if auc >= level), float("inf"))


def _rounded(auc: float) -> float:
    return round(auc, 4)


if __name__ == "__main__":
    main()
