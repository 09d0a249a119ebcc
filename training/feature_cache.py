"""Feature vectors on disk, found again by the hash of the image they belong to.

A folder a model; in it shards, each one `.npy` table of (hash, feature) rows. A killed process
leaves whole shards only, several may write at once, and the folder's content is the union of its
shards. Only reads plain arrays: no file in it can run code.
"""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from domain.arrays import FloatArray
from domain.files import written_whole

_SHA256_HEX = 64


@dataclass(frozen=True)
class CacheKey:
    """Whose features: all that they depend on but the image, by name, and how long they are."""

    model: str
    width: int


class FeatureCache:
    """The features of one archive or many, below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, key: CacheKey, hashes: Sequence[str]) -> dict[str, FloatArray]:
        """The features, [width] float32 each, of those hashes that are stored under the key.

        A damaged shard counts as absent, and so does one of features of another length, so that
        its images are computed again.
        """
        wanted = set(hashes)
        found: dict[str, FloatArray] = {}
        for shard in self._shards(key):
            for row, sha256 in enumerate(_hashes(shard)):
                if sha256 in wanted:
                    found[sha256] = shard["feature"][row].copy()
        return found

    def stored(self, key: CacheKey, hashes: Collection[str]) -> set[str]:
        """Those of the hashes whose features `read` would find."""
        there = {sha256 for shard in self._shards(key) for sha256 in _hashes(shard)}
        return there.intersection(hashes)

    def write(self, key: CacheKey, hashes: Sequence[str], features: FloatArray) -> None:
        """Store the features [N, width] of N images as one shard; all of it, or nothing."""
        shard = np.empty(len(hashes), _shard_type(key.width))
        shard["sha256"], shard["feature"] = hashes, features
        folder = self.folder / key.model
        folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(shard.tobytes()).hexdigest()[:24]
        with written_whole(folder / f"{name}.npy") as draft, draft.open("wb") as file:
            np.save(file, shard, allow_pickle=False)

    def _shards(self, key: CacheKey) -> Iterator[NDArray[np.void]]:
        kept_type = _shard_type(key.width)
        for path in sorted((self.folder / key.model).glob("*.npy")):
            shard = _read_shard(path)
            if shard is not None and shard.dtype == kept_type and shard.ndim == 1:
                yield shard


def _shard_type(feature_dim: int) -> np.dtype[np.void]:
    return np.dtype([("sha256", f"S{_SHA256_HEX}"), ("feature", np.float32, (feature_dim,))])


def _hashes(shard: NDArray[np.void]) -> list[str]:
    return [each.decode("ascii", "replace") for each in shard["sha256"].tolist()]


def _read_shard(path: Path) -> NDArray[np.void] | None:
    try:
        shard: NDArray[np.void] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return shard
