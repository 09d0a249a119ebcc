"""For tests of simulation: real folders of small pictures, bare features, and comparable rows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from domain.config import TrainingSettings
from tests.projects import NETWORK, random_weights
from tests.training.clusters import clusters
from worker.simulation_archive import SimulationArchive
from worker.simulation_curve import Row
from worker.simulation_options import SimulationOptions

QUICK = TrainingSettings(hidden=16, out=8, components=16, fewest_steps=5, most_steps=5)


def folder_of_classes(
    root: Path, *, classes: int = 3, images: int = 20, strength: float = 60
) -> Path:
    """Small JPEGs; each class has a colour of its own under the noise."""
    rng = np.random.default_rng(0)
    for label in range(classes):
        folder = root / f"class{label}"
        folder.mkdir(parents=True)
        colour = np.zeros(3)
        colour[label % 3] = strength
        for number in range(images):
            pixels = 90 + colour + rng.normal(0, 40, size=(24, 24, 3))
            image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            image.save(folder / f"image{number:02}.jpg", quality=95)
    return root


def drawn_options(folder: Path, **changes: object) -> SimulationOptions:
    """Options on 60 drawn images of 32 px, whose features are cached in the folder."""
    values: dict[str, object] = {
        "images": folder_of_classes(folder / "images"),
        "out": folder / "unused",
        "cache": folder / "cache",
        "weights": random_weights(folder),
        "backbone": NETWORK.value,
        "image_size_px": 32,
        "device": "cpu",
        "training": QUICK,
    }
    return SimulationOptions(**{**values, **changes})  # type: ignore[arg-type]


def bare_archive(*, images: int = 100, classes: int = 5) -> SimulationArchive:
    """Features without any picture."""
    made = clusters(images=images, classes=classes)
    return SimulationArchive(
        features=made.features,
        labels=made.labels,
        copies=np.arange(images),
        split_groups=np.arange(images),
        digest="bare",
        class_names=tuple(f"class{each}" for each in range(classes)),
    )


def bare_options(**changes: object) -> SimulationOptions:
    """Options for bare archives; nothing is read from their folders."""
    values: dict[str, object] = {
        "images": Path("nowhere"),
        "out": Path("nowhere"),
        "bits_per_round": 12,
        "rounds": 2,
        "device": "cpu",
        "training": QUICK,
    }
    return SimulationOptions(**{**values, **changes})  # type: ignore[arg-type]


def untimed(rows: Sequence[Row]) -> list[Row]:
    """The rows without their times."""
    return [replace(row, seconds_select=0, seconds_train=0, seconds_evaluate=0) for row in rows]
