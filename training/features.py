"""Features of a frozen backbone: computed once for each image content, and picked up again.

Takes image files with the hashes of their bytes, gives [N, D] float32 in the same order. What was
computed before, also by a run that was killed, comes from the cache; only the rest is computed,
in batches that are decoded in threads while the network works on the batch before.
"""

import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from domain.arrays import FloatArray
from domain.config import Views
from domain.errors import ArchiveError, InputError, shortened
from domain.jobs import Progress, silent
from training.backbones import Backbone, backbone_sha256
from training.feature_cache import CacheKey, FeatureCache
from training.preprocessing import load_squares
from training.views import Embedder, embedder

_IMAGES_AHEAD = 128  # decoded while the network works; 150 kB each at 224 px, 310 kB at 320 px
_MAX_DECODERS = 8
_MOST_LANES = 4  # batches in work on a CPU; each has a copy of the network in memory
# Two CPU cores do 16 images twice as fast as 64, whose intermediate results leave the cache.
_BATCH_SIZES = {"cpu": 16, "cuda": 256}

ImageFile = tuple[str, Path]
"""The SHA-256 of an image file's bytes, and where the file is."""


@dataclass(frozen=True)
class DecodedFile:
    """An image file's pixels at each size, or why there are none."""

    sha256: str
    squares: tuple[NDArray[np.uint8], ...]
    problem: str = ""


def features_for(
    images: Sequence[ImageFile],
    backbone: Backbone,
    *,
    cache: FeatureCache | None,
    device: torch.device,
    size_px: int = 224,
    views: Views = Views.SINGLE,
    batch_size: int | None = None,
    progress: Progress = silent,
) -> FloatArray:
    """The pooled features of images, in their order.

    Args:
        images: hash and path of each; equal hashes are computed once. Files are only read for
            hashes that the cache does not have.
        backbone: moved to the device and put into evaluation mode.
        cache: None keeps nothing.
        size_px: side of the square that every image is resized to.
        views: of each image; what a feature then is stands in `training.views`.
        batch_size: images, or views of them, in the network at once; None suits the device. On
            one device it changes features by float rounding only (about 1e-6 of their size).
        progress: told "embedding 512 of 2100 images, 34/s"; may raise `Cancelled`, what is
            computed by then is kept.

    Returns:
        [N, D] float32; [0, D] for no images. On a GPU computed in bfloat16, and kept apart from
        features computed in float32.

    Raises:
        InputError: batch_size is below 1.
        ArchiveError: files cannot be read or have changed; all others are cached by then.
    """
    at_once = _BATCH_SIZES[device.type] if batch_size is None else batch_size
    if at_once < 1:
        raise InputError(f"batch_size = {batch_size}; must be 1 or more.", "Leave it out.")
    backbone.eval().to(device).to(memory_format=torch.channels_last)
    embed = embedder(backbone, views=views, size_px=size_px)
    key = _key(embed, backbone, device)
    paths = dict(images)
    found = cache.read(key, list(paths)) if cache else {}
    missing = [(sha256, path) for sha256, path in paths.items() if sha256 not in found]
    if missing:
        bands = len(backbone.bands)
        lanes = min(torch.get_num_threads(), _MOST_LANES) if device.type == "cpu" else 1
        embedders = [embedder(backbone, views=views, size_px=size_px) for _ in range(lanes)]
        for each in embedders:
            each.prepare()
        work = _Work(embedders, device, max(at_once // embed.views, 1), bands)
        report = _Reporter(progress, views, total=len(paths), cached=len(found))
        shelf = _Shelf(cache, key, embed.shard_images)
        if problems := _compute(missing, work, shelf, report.add):
            raise unreadable(problems)
        found |= shelf.found
    width = (0, embed.width)
    return np.stack([found[sha256] for sha256, _ in images]) if images else np.empty(width, "f4")


def model_key(
    backbone: Backbone, *, size_px: int, device: torch.device, views: Views = Views.SINGLE
) -> CacheKey:
    """All that a feature depends on but the image: weights, preprocessing, number format."""
    return _key(embedder(backbone, views=views, size_px=size_px), backbone, device)


def _key(embed: Embedder, backbone: Backbone, device: torch.device) -> CacheKey:
    numbers = "bfloat16" if device.type == "cuda" else "float32"
    weights = backbone_sha256(backbone)[:16]
    return CacheKey(f"{backbone.name}-{weights}-{embed.name}-{numbers}", embed.width)


@dataclass(frozen=True)
class _Work:
    """How features are computed: each embedder takes batches of so many images of some bands."""

    embedders: Sequence[Embedder]
    device: torch.device
    batch_images: int
    bands: int


class _Reporter:
    """Tells the progress how many images are done, and how fast."""

    def __init__(self, progress: Progress, views: Views, *, total: int, cached: int) -> None:
        self._progress, self._total, self._done = progress, total, cached
        self._cached, self._start = cached, time.monotonic()
        self._how = " with all views" if views is Views.MULTI else ""
        progress(cached / total, self._message)

    @property
    def _message(self) -> str:
        return f"embedding {self._done} of {self._total} images{self._how}"

    def add(self, images: int) -> None:
        self._done += images
        rate = (self._done - self._cached) / max(time.monotonic() - self._start, 1e-9)
        digits = 1 if rate < 10 else 0
        self._progress(self._done / self._total, f"{self._message}, {rate:.{digits}f}/s")


class _Shelf:
    """Collects computed features and stores them shard by shard; also when work is stopped."""

    def __init__(self, cache: FeatureCache | None, key: CacheKey, shard_images: int) -> None:
        self.found: dict[str, FloatArray] = {}
        self._cache, self._key, self._shard_images = cache, key, shard_images
        self._unsaved: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._save()

    def add(self, hashes: Sequence[str], features: FloatArray) -> None:
        self.found.update(zip(hashes, features, strict=True))
        self._unsaved += hashes
        if len(self._unsaved) >= self._shard_images:
            self._save()

    def _save(self) -> None:
        if self._cache and self._unsaved:
            rows = np.stack([self.found[sha256] for sha256 in self._unsaved])
            self._cache.write(self._key, self._unsaved, rows)
        self._unsaved = []


def _compute(
    missing: Sequence[ImageFile], work: _Work, shelf: _Shelf, report: Callable[[int], None]
) -> list[str]:
    """Put the features of all readable images on the shelf; the answer says what is wrong."""
    problems: list[str] = []
    with (
        shelf,
        closing(_decoded(missing, work.embedders[0].sizes_px, work.bands)) as decoded,
        closing(_embedded_batches(decoded, work)) as batches,
    ):
        for batch, rows in batches:
            problems += [item.problem for item in batch if item.problem]
            shelf.add([item.sha256 for item in batch if not item.problem], rows)
            report(len(batch))
    return problems


def _embedded_batches(
    decoded: Iterator[DecodedFile], work: _Work
) -> Generator[tuple[list[DecodedFile], FloatArray]]:
    """Batches in order with the features of their readable images.

    On a CPU several batches are in work, each on threads of its own: a network's many small steps
    are too short to be shared, and on a busy machine each would wait for the slowest thread.
    """
    threads, lanes = torch.get_num_threads(), len(work.embedders)
    free: SimpleQueue[Embedder] = SimpleQueue()
    for each in work.embedders:
        free.put(each)
    waiting: deque[tuple[list[DecodedFile], Future[FloatArray]]] = deque()
    pool = ThreadPoolExecutor(lanes, "embed", torch.set_num_threads, (max(threads // lanes, 1),))
    try:
        while batch := list(islice(decoded, work.batch_images)):
            waiting.append((batch, pool.submit(_embedded, batch, free, work.device)))
            if len(waiting) >= lanes:
                first, features = waiting.popleft()
                yield first, features.result()
        for batch, features in waiting:
            yield batch, features.result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def _decoded(
    missing: Sequence[ImageFile], sizes_px: tuple[int, ...], bands: int
) -> Generator[DecodedFile]:
    """The images in order, some of them decoded ahead in threads (decoding frees the GIL)."""
    decoders = ThreadPoolExecutor(min(_MAX_DECODERS, os.cpu_count() or 1), "decode")
    waiting: deque[Future[DecodedFile]] = deque()
    try:
        for file in missing:
            waiting.append(decoders.submit(decoded_file, file, sizes_px, bands))
            if len(waiting) >= _IMAGES_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        decoders.shutdown(cancel_futures=True)


def decoded_file(file: ImageFile, sizes_px: tuple[int, ...], bands: int) -> DecodedFile:
    """The squares of an image file, or what is wrong with it in words; never an error."""
    sha256, path = file
    try:
        if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            return DecodedFile(sha256, (), f"{path} has changed since it was catalogued")
        return DecodedFile(sha256, load_squares(path, sizes_px, bands=bands))
    except ArchiveError as error:
        return DecodedFile(sha256, (), error.message.rstrip("."))
    except OSError as error:
        return DecodedFile(sha256, (), f"{path}: {error.strerror or error}")


def _embedded(
    batch: Sequence[DecodedFile], free: "SimpleQueue[Embedder]", device: torch.device
) -> FloatArray:
    """[B, D] float32 features of the readable images, by an embedder that is not at work."""
    squares = [item.squares for item in batch if not item.problem]
    if not squares:
        return np.empty((0, 0), np.float32)
    stacked = [torch.from_numpy(np.stack(each)).to(device) for each in zip(*squares, strict=True)]
    embed = free.get()
    try:
        half = torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda")
        with torch.inference_mode(), half:
            features = embed(stacked)
    finally:
        free.put(embed)
    rows: FloatArray = features.float().cpu().numpy()
    return rows


def unreadable(problems: list[str]) -> ArchiveError:
    """What to say of image files that cannot be decoded, or have changed."""
    count = "An image" if len(problems) == 1 else f"{len(problems)} images"
    return ArchiveError(
        f"{count} cannot be embedded: {shortened(problems)}.",
        'Run "python cli.py ingest" to take changed files in and set broken ones aside; the '
        "features of all other images are kept.",
    )
