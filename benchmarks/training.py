"""What training and embedding cost beside the network itself, and beside the usual way.

`python -m benchmarks.training [--quick] [--device auto|cpu|cuda] [--folder IMAGES --weights FILE]`
prints one JSON object as its last line:

- embed_ratio: images embedded a second, from files to features, over the bare network's forward
  pass on pixels that are in memory;
- train_ratio: images trained a second at full depth, views, losses and optimiser included, over the
  bare network's forward and backward pass on pixels that are in memory; asked is train_ratio_asked;
- train_cpu_ratio: the same in processor time, which other programs disturb less;
- train_parts_ratio: as train_cpu_ratio, over the bare network that has no more images at once than
  the product puts into it on a CPU, which is quicker;
- epoch_speedup_over_siamese: how much sooner all known pairs were learnt from once (1,845 answers
  and all they imply) than with the usual loader, which sends both images of each pair through the
  network; both are measured for some steps and reckoned up to the epoch;
- auc_ours, auc_siamese: of held-out answers after equally long trainings, which says that nothing
  was lost; auc_start before.

All works of a comparison take turns, so that a busy machine slows them alike, and of each the best
counts. MobileNetV2, on all threads that OMP_NUM_THREADS allows. On a GPU all networks compute in
bfloat16, and each work counts until the GPU has done it.
"""

import argparse
import copy
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.training_archive import Files, drawn_archive, files_below
from benchmarks.usual_training import (
    SIAMESE_PAIRS,
    Prepared,
    Siamese,
    Turns,
    features_of,
    prepared_of,
    wait_for,
)
from domain.config import FullDepthSettings, TrainingSettings
from training.backbones import Backbone, build_backbone
from training.device import CHOICES, device_in_words, resolve_device
from training.fitting import Fitting
from training.full_depth import retrain_backbone
from training.network import CACHED_PIXELS
from training.preprocessing import load_pixels, normalised
from training.warmup import measure_statistics
from training.weights import load_weights

ANSWERS = 1845
BARE_EMBEDDED, BARE_TRAINED = 16, 64  # images at once in the bare network: about a batch
BLOCK = 96  # images embedded in a turn
ASKED = {"cpu": 0.85, "cuda": 0.7}  # of train_ratio


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        size_px: of the images in the network that embeds.
        learnt_px: of those that are learnt from.
        images: that are embedded, and learnt from.
        steps: of the training at full depth; the usual one lasts as long.
    """

    size_px: int
    learnt_px: int
    images: int
    steps: int


QUICK = Sizes(size_px=224, learnt_px=112, images=210, steps=5)
FULL = Sizes(size_px=224, learnt_px=224, images=1680, steps=40)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure training and embedding.")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, same keys")
    parser.add_argument("--folder", type=Path, help="archive whose folders are kinds")
    parser.add_argument("--weights", type=Path, help="of MobileNetV2; else it is untrained")
    parser.add_argument("--device", choices=CHOICES, default="auto", help="where both ways run")
    asked = parser.parse_args()
    device = resolve_device(asked.device)
    sizes = QUICK if asked.quick else FULL
    with tempfile.TemporaryDirectory() as folder:
        if asked.folder is None:
            files = drawn_archive(Path(folder), sizes.images)
        else:
            files = files_below(asked.folder, sizes.images)
        backbone = _backbone(asked.weights, files, sizes).to(device)
        embed_ratio = embedding(backbone, files, sizes, device)
        prepared = _prepared(backbone, files, sizes, device)
        found: dict[str, object] = {"embed_ratio": embed_ratio, **training(prepared)}
    told = {
        **found,
        "images": len(files.files),
        "size_px": sizes.size_px,
        "learnt_px": sizes.learnt_px,
        "known_pairs": len(prepared.known),
        "train_ratio_asked": ASKED[device.type],
        "device": device_in_words(device),
        "bfloat16": prepared.settings.full.in_bfloat16(device.type),
        "load": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(told))


def embedding(backbone: Backbone, files: Files, sizes: Sizes, device: torch.device) -> float:
    """Throughput from files over that of the bare network, in turns."""
    held = np.stack([load_pixels(path, sizes.size_px) for _, path in files.files[:BARE_EMBEDDED]])
    images = normalised(torch.from_numpy(held).to(device))
    half = torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
    ours_s, bare_s = [], []
    for start in range(0, len(files.files) - BLOCK + 1, BLOCK):
        began = time.perf_counter()
        features_of(backbone, files.files[start : start + BLOCK], sizes.size_px, device)
        between = time.perf_counter()
        with torch.inference_mode(), half:
            for _ in range(BLOCK // BARE_EMBEDDED):
                backbone(images)
        wait_for(device)
        ours_s.append(between - began)
        bare_s.append(time.perf_counter() - between)
    return round(min(bare_s) / min(ours_s), 2)


def training(prepared: Prepared) -> dict[str, float]:
    """Both trainings step by step in turns with each other and with the bare network."""
    settings, known = prepared.settings, prepared.known
    device = prepared.device
    usual, bare, turns = Siamese(prepared), _Bare(prepared, BARE_TRAINED), Turns(device)
    parts = _Bare(prepared, CACHED_PIXELS // prepared.pixels.size_px**2)

    def after_step(done: float, message: str) -> None:
        if not message.startswith("retraining"):
            turns.start()
            return
        turns.stop()
        while usual.seconds < turns.seconds:
            usual.step()
        bare.step()
        parts.step()
        turns.start()

    found = retrain_backbone(
        copy.deepcopy(prepared.backbone),
        prepared.pixels,
        prepared.features,
        known,
        settings,
        seed=0,
        device=device,
        progress=after_step,
    )
    images_a_step = found.images_trained / settings.full.most_steps
    ours_s = min(turns.steps[1:])
    steps_an_epoch = len(known) / _relations_a_batch(prepared)
    epoch_s = ours_s * steps_an_epoch
    usual_epoch_s = min(usual.steps) * len(known) / SIAMESE_PAIRS
    ours_per_s, bare_per_s = images_a_step / ours_s, BARE_TRAINED / min(bare.turns.steps)
    ours_cpu_s = min(turns.cpu_steps[1:]) / images_a_step
    return {
        "train_ratio": round(ours_per_s / bare_per_s, 2),
        "train_cpu_ratio": round(bare.cpu_s / ours_cpu_s, 2),
        "train_parts_ratio": round(parts.cpu_s / ours_cpu_s, 2),
        "epoch_speedup_over_siamese": round(usual_epoch_s / epoch_s, 1),
        "auc_start": round(found.history[0]["selection_auc"], 4),
        "auc_ours": round(found.history[-1]["selection_auc"], 4),
        "auc_siamese": round(usual.auc(), 4),
        "trained_s": round(turns.seconds, 1),
        "images_a_step": round(images_a_step, 1),
        "images_per_s": round(ours_per_s, 1),
        "bare_images_per_s": round(bare_per_s, 1),
        "epoch_s": round(epoch_s, 1),
        "siamese_epoch_s": round(usual_epoch_s, 1),
    }


class _Bare:
    """Forward and backward pass of the network alone, on pixels that are in memory."""

    def __init__(self, prepared: Prepared, at_once: int) -> None:
        self._backbone = copy.deepcopy(prepared.backbone).to(memory_format=torch.channels_last)
        self._at_once = at_once
        rows = np.arange(at_once) % len(prepared.pixels)
        self._images = normalised(prepared.pixels.of(rows).to(prepared.device))
        self._half = torch.autocast(
            prepared.device.type,
            torch.bfloat16,
            enabled=prepared.settings.full.in_bfloat16(prepared.device.type),
        )
        self.turns = Turns(prepared.device)

    def step(self) -> None:
        self.turns.start()
        with self._half:
            features = self._backbone(self._images)
        features.float().sum().backward()
        self._backbone.zero_grad()
        self.turns.stop()

    @property
    def cpu_s(self) -> float:
        """Processor time of an image, the best of all steps."""
        return min(self.turns.cpu_steps) / self._at_once


def _relations_a_batch(prepared: Prepared) -> float:
    """How many known pairs fall inside a batch, on average."""
    known, full = prepared.known, prepared.settings.full
    neighbours = Fitting(prepared.features, prepared.settings, 0, prepared.device).neighbours
    batches = known.batches(neighbours)
    rng = np.random.default_rng(0)
    drawn = [
        batches.draw(rng, anchors=full.batch_anchors, others=full.batch_others) for _ in range(20)
    ]
    return float(np.mean([(~np.isnan(batch.relevance)).sum() / 2 for batch in drawn]))


def _backbone(weights: Path | None, files: Files, sizes: Sizes) -> Backbone:
    backbone = build_backbone("mobilenet_v2")
    if weights is not None:
        load_weights(backbone, weights)
    else:
        shown = [load_pixels(path, sizes.size_px) for _, path in files.files[:64]]
        measure_statistics(backbone, np.stack(shown))
    return backbone.to(memory_format=torch.channels_last)


def _prepared(backbone: Backbone, files: Files, sizes: Sizes, device: torch.device) -> Prepared:
    full = FullDepthSettings(
        fewest_steps=sizes.steps, most_steps=sizes.steps, evaluate_every=sizes.steps
    )
    settings = TrainingSettings(full=full)
    return prepared_of(backbone, files, sizes.learnt_px, settings, answers=ANSWERS, device=device)


if __name__ == "__main__":
    main()
