"""Decoded training images by row: all of them in memory where they fit, else read when needed.

An epoch looks at each image many times, and decoding one takes as long as half of what a network
does with it; kept as uint8 it costs 150 kB at 224 px. Where they do not fit, the next batches are
decoded in threads while the network works on the one before.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from archive.decode import COLOUR_BANDS
from domain.arrays import IntArray
from domain.jobs import Progress, silent
from training.features import ImageFile, decoded_file, unreadable

_MAX_DECODERS = 8
_BATCHES_AHEAD = 3

Loaded = TypeVar("Loaded")


class Pixels(Protocol):
    """Images of one size, by row.

    Attributes:
        size_px: side of the squares.
    """

    size_px: int

    def __len__(self) -> int: ...

    def of(self, rows: IntArray) -> Tensor:
        """[B, size, size, C] uint8 of these images, in their order."""
        ...


class ResidentPixels:
    """Images that are in memory."""

    def __init__(self, images: Tensor) -> None:
        """[N, S, S, C] uint8, on any device."""
        self._images = images
        self.size_px = images.shape[1]

    def __len__(self) -> int:
        return len(self._images)

    def of(self, rows: IntArray) -> Tensor:
        """See `Pixels`; on the device of the images."""
        return self._images[torch.from_numpy(rows).to(self._images.device)]


class FilePixels:
    """Images that are decoded whenever they are asked for."""

    def __init__(
        self, files: Sequence[ImageFile], size_px: int, *, bands: int = COLOUR_BANDS
    ) -> None:
        self._files, self.size_px, self._bands = list(files), size_px, bands
        self._pool = ThreadPoolExecutor(min(_MAX_DECODERS, os.cpu_count() or 1), "decode")

    def __len__(self) -> int:
        return len(self._files)

    def of(self, rows: IntArray) -> Tensor:
        """See `Pixels`; on the CPU.

        Raises:
            ArchiveError: a file cannot be read or has changed.
        """
        files = [self._files[row] for row in rows]
        decoded = _decoded(files, self.size_px, self._bands, self._pool)
        return torch.from_numpy(np.stack(list(decoded)))


def open_pixels(
    files: Sequence[ImageFile],
    *,
    size_px: int,
    device: torch.device,
    resident_mb: int,
    bands: int = COLOUR_BANDS,
    progress: Progress = silent,
) -> Pixels:
    """The pixels of image files.

    Args:
        files: hash and path of each.
        size_px: side of the square that every image is resized to.
        device: where they are kept, if they fit into half of its free memory.
        resident_mb: the most that may be kept; images that need more are decoded when needed.
        bands: of each image.
        progress: told how many are decoded; may raise `Cancelled`.

    Raises:
        ArchiveError: a file cannot be read or has changed.
    """
    needed = len(files) * size_px**2 * bands
    if needed > resident_mb << 20:
        return FilePixels(files, size_px, bands=bands)
    kept = np.empty((len(files), size_px, size_px, bands), dtype=np.uint8)
    with ThreadPoolExecutor(min(_MAX_DECODERS, os.cpu_count() or 1), "decode") as pool:
        for row, image in enumerate(_decoded(files, size_px, bands, pool)):
            kept[row] = image
            progress((row + 1) / len(files), f"reading {row + 1} of {len(files)} images")
    images = torch.from_numpy(kept)
    if device.type == "cuda" and needed < torch.cuda.mem_get_info(device)[0] // 2:
        images = images.to(device)
    return ResidentPixels(images)


def ahead(load: Callable[[int], Loaded], steps: range) -> Iterator[tuple[int, Loaded]]:
    """Each step with what it loads, in a thread while the steps before are at work."""
    waiting: deque[tuple[int, Future[Loaded]]] = deque()
    loader = ThreadPoolExecutor(1, "batches")
    try:
        for step in steps:
            waiting.append((step, loader.submit(load, step)))
            if len(waiting) > _BATCHES_AHEAD:
                first, loaded = waiting.popleft()
                yield first, loaded.result()
        while waiting:
            first, loaded = waiting.popleft()
            yield first, loaded.result()
    finally:
        loader.shutdown(cancel_futures=True)


def _decoded(
    files: Sequence[ImageFile], size_px: int, bands: int, pool: ThreadPoolExecutor
) -> Iterator[NDArray[np.uint8]]:
    """Each image's square; the first that cannot be read ends it."""
    for found in pool.map(lambda file: decoded_file(file, (size_px,), bands), files):
        if found.problem:
            raise unreadable([found.problem])
        yield found.squares[0]
