"""How long full depth and the usual loader of pairs need to the same quality, where it rises.

`python -m benchmarks.training_quality --folder IMAGES --weights FILE` prints one JSON object as its
last line. Eight look-alike kinds at 64 px under MobileNetV2, on which retraining helps: both ways
start from the same network and head, learn with the same rates from the same known pairs, and are
looked at alike; looking is not counted. Of each quarter of what our way gains in AUC of held-out
pairs: the processor seconds until it is reached, or null where the usual loader does not get there
in so many times our whole time.
"""

import argparse
import copy
import json
import os
from pathlib import Path

from benchmarks.training import CPU, Prepared, Siamese, Turns, prepared_of
from benchmarks.training_archive import Files, files_below
from domain.config import FullDepthSettings, TrainingSettings
from training.backbones import build_backbone
from training.full_depth import retrain_backbone
from training.weights import load_weights

KINDS = (
    *("buildings", "denseresidential", "intersection", "mediumresidential"),
    *("mobilehomepark", "sparseresidential", "storagetanks", "tenniscourt"),
)
EACH, SIZE_PX, ANSWERS = 40, 64, 250
LOOK_EVERY = 4  # steps of ours; the usual loader is looked at in as much time
Reached = list[tuple[float, float]]  # processor seconds, AUC
"""How good a network was after so much time."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the time to the same quality.")
    parser.add_argument("--folder", type=Path, required=True, help="archive with the eight kinds")
    parser.add_argument("--weights", type=Path, required=True, help="of MobileNetV2")
    parser.add_argument("--steps", type=int, default=24, help="of ours")
    parser.add_argument("--patience", type=float, default=5.0, help="times our time for the usual")
    asked = parser.parse_args()
    prepared = _prepared(asked.folder, asked.weights, asked.steps)
    ours = _ours(prepared)
    usual = _usual(prepared, until_s=asked.patience * ours[-1][0], each_s=ours[1][0])
    start, best = ours[0][1], max(auc for _, auc in ours)
    levels = [start + share * (best - start) for share in (0.25, 0.5, 0.75, 1.0)]
    told = {
        "auc_start": round(start, 4),
        "auc_ours": round(best, 4),
        "auc_usual": round(max(auc for _, auc in usual), 4),
        "levels": [round(level, 4) for level in levels],
        "ours_cpu_s": [_until(ours, level) for level in levels],
        "usual_cpu_s": [_until(usual, level) for level in levels],
        "known_pairs": len(prepared.known),
        "load": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(told))


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
    return prepared_of(backbone, _files(folder), SIZE_PX, settings, answers=ANSWERS)


def _files(folder: Path) -> Files:
    """So many images of each of the eight kinds."""
    found = files_below(folder, 10**6)
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    wanted = [names.index(kind) for kind in KINDS]
    rows = [row for kind in wanted for row in (found.kinds == kind).nonzero()[0][:EACH].tolist()]
    return Files([found.files[row] for row in rows], found.kinds[rows])


def _ours(prepared: Prepared) -> Reached:
    turns, reached = Turns(), list[tuple[float, float]]()

    def after_step(done: float, message: str) -> None:
        if message.startswith("retraining"):
            turns.stop()
        turns.start()

    found = retrain_backbone(
        copy.deepcopy(prepared.backbone),
        prepared.pixels,
        prepared.features,
        prepared.known,
        prepared.settings,
        seed=0,
        device=CPU,
        progress=after_step,
    )
    for line in found.history:
        steps = turns.cpu_steps[: int(line["step"])]
        reached.append((sum(steps), line["selection_auc"]))
    return reached


def _usual(prepared: Prepared, *, until_s: float, each_s: float) -> Reached:
    usual = Siamese(prepared)
    reached = [(0.0, usual.auc())]
    while usual.cpu_seconds < until_s:
        goal = reached[-1][0] + each_s
        while usual.cpu_seconds < goal:
            usual.step()
        reached.append((usual.cpu_seconds, usual.auc()))
    return reached


def _until(reached: Reached, level: float) -> float | None:
    times = [seconds for seconds, auc in reached if auc >= level]
    return round(times[0], 1) if times else None


if __name__ == "__main__":
    main()
