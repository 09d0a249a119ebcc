"""A small archive of features with classes, for tests of training."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Clusters:
    """Features of which only a few directions tell the classes apart; the others are louder."""

    features: np.ndarray
    labels: np.ndarray

    def pairs(self, count: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Random different pairs of rows and whether both rows have one class."""
        rng = np.random.default_rng(seed)
        a = rng.integers(len(self.labels), size=count)
        b = (a + rng.integers(1, len(self.labels), size=count)) % len(self.labels)
        return np.stack([a, b], axis=1), self.labels[a] == self.labels[b]


def clusters(*, images: int = 80, classes: int = 8, seed: int = 0) -> Clusters:
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    quiet = np.eye(classes)[labels] * 3 + 0.4 * rng.normal(size=(images, classes))
    loud = rng.normal(size=(images, 20))
    return Clusters(np.concatenate([quiet, loud], axis=1).astype(np.float32), labels)
