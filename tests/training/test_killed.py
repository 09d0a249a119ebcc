"""A training of a whole network that is killed goes on to the very same weights."""

import os
import signal
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from domain.config import FullDepthSettings, TrainingSettings
from domain.jobs import Progress, silent
from tests.pictures import KINDS, texture
from training import network_training
from training.backbones import build_backbone
from training.full_depth import Retrained, retrain_backbone
from training.pixels import ResidentPixels
from training.preprocessing import normalised
from training.trainer import checked_pairs
from training.warmup import measure_statistics

pytestmark = pytest.mark.usefixtures("one_thread")
IMAGES, STEPS, KILLED_AFTER = 40, 5, 3
SETTINGS = TrainingSettings(
    components=0,
    hidden=16,
    out=8,
    fewest_steps=10,
    most_steps=10,
    full=FullDepthSettings(
        fewest_steps=STEPS, most_steps=STEPS, batch_anchors=4, batch_others=2, evaluate_every=2
    ),
)


def _retrained(state: Path | None, progress: Progress) -> Retrained:
    rng = np.random.default_rng(0)
    labels = np.arange(IMAGES) % len(KINDS)
    pixels = np.stack([texture(KINDS[label], rng, 32) for label in labels])
    backbone = build_backbone("mobilenet_v2")
    measure_statistics(backbone, pixels)
    with torch.inference_mode():
        features = backbone(normalised(torch.from_numpy(pixels))).numpy()
    rows = np.stack(np.triu_indices(IMAGES, 1), axis=1)
    known = checked_pairs(
        rows, labels[rows[:, 0]] == labels[rows[:, 1]], np.ones(len(rows)), images=IMAGES
    )
    return retrain_backbone(
        backbone,
        ResidentPixels(torch.from_numpy(pixels)),
        features.copy(),
        known,
        SETTINGS,
        seed=0,
        device=torch.device("cpu"),
        state=state,
        progress=progress,
    )


def _in_a_process(state: Path, steps: Connection) -> None:
    """Trains, tells each step, and stands still in the one after which it is to be killed."""
    torch.set_num_threads(1)
    network_training.KEEP_EVERY_S = 0.0

    def tell(done: float, message: str) -> None:
        if f"backbone, step {KILLED_AFTER + 1} of {STEPS}," in message:
            steps.send(message)
            time.sleep(600)

    _retrained(state, tell)


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    state = tmp_path / "state.safetensors"
    context = get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_in_a_process, args=(state, there))
    process.start()
    assert process.pid is not None
    try:
        assert here.poll(120)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    assert process.exitcode == -signal.SIGKILL
    told: list[str] = []
    resumed = _retrained(state, lambda _, message: told.append(message))
    unbroken = tmp_path / "unbroken.safetensors"
    whole = _retrained(unbroken, silent)
    steps = [message for message in told if "retraining the backbone" in message]
    assert f"step {KILLED_AFTER + 1} of {STEPS}" in steps[0]
    assert resumed.history == whole.history
    ends = [load_file(path) for path in (state, unbroken)]  # network and optimiser, the last ones
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())
