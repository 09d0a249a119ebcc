"""Feature vectors on disk, found again by the hash of the image they belong to.

A folder a model; in it shards, each one `.npy` table of (hash, feature) rows, written under a
temporary name, synced and renamed. So a killed process leaves whole shards only, several may
write at once, and the folder's content is the union of its shards. Only reads plain arrays:
no file in it can run code.
"""

import hashlib
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
from numpy.typing import NDArray

from domain.arrays import FloatArray

_SHA256_HEX = 64


class FeatureCache:
    """The features of one archive or many, below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, model: str, hashes: Sequence[str]) -> dict[str, FloatArray]:
        """The features, [D] float32 each, of those hashes that are stored for the model.

        A damaged shard counts as absent, so that its images are computed again.
        """
        wanted = set(hashes)
        found: dict[str, FloatArray] = {}
        for path in sorted((self.folder / model).glob("*.npy")):
            shard = _read_shard(path)
            for row, sha256 in enumerate(_hashes(shard)):
                if sha256 in wanted:
                    found[sha256] = shard["feature"][row].copy()
        return found

    def stored(self, model: str, hashes: Collection[str]) -> set[str]:
        """Those of the hashes whose features are stored for the model."""
        shards = (self.folder / model).glob("*.npy")
        there = {sha256 for path in shards for sha256 in _hashes(_read_shard(path))}
        return there.intersection(hashes)

    def write(self, model: str, hashes: Sequence[str], features: FloatArray) -> None:
        """Store the features [N, D] of N images as one shard; all of it is there, or nothing."""
        shard = np.empty(len(hashes), _shard_type(features.shape[1]))
        shard["sha256"], shard["feature"] = hashes, features
        folder = self.folder / model
        folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(shard.tobytes()).hexdigest()[:24]
        with NamedTemporaryFile(dir=folder, suffix=".partial", delete=False) as partial:
            try:
                np.save(partial, shard, allow_pickle=False)
                partial.flush()
                os.fsync(partial.fileno())
                os.replace(partial.name, folder / f"{name}.npy")
            finally:
                Path(partial.name).unlink(missing_ok=True)


def _shard_type(feature_dim: int) -> np.dtype[np.void]:
    return np.dtype([("sha256", f"S{_SHA256_HEX}"), ("feature", np.float32, (feature_dim,))])


def _hashes(shard: NDArray[np.void]) -> list[str]:
    return [each.decode("ascii", "replace") for each in shard["sha256"].tolist()]


def _read_shard(path: Path) -> NDArray[np.void]:
    try:
        shard: NDArray[np.void] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return np.empty(0, _shard_type(1))
    return shard if shard.dtype.names == ("sha256", "feature") else np.empty(0, _shard_type(1))
