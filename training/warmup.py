"""Teaches an untrained backbone the archive's own images, without labels or downloaded weights.

Two random views of one image should get like features, views of different images unlike ones
(SimCLR: Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual
Representations", eq. 1). The result depends on the images, the seed and the number of steps, never
on how fast the machine is. Far weaker than ImageNet weights, far better than random weights.
"""

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from domain.errors import ArchiveError, InputError
from domain.jobs import Progress, part_of, silent
from training.backbones import Backbone
from training.crops import ViewSettings, random_views
from training.preprocessing import load_pixels, normalised

STEPS = 60
BATCH_IMAGES = 64  # two views of each
STORED_PX = 160  # views are cut from images of this side; they show a part of them at 64 px
MAX_IMAGES = 4096  # more are not seen within the steps; 300 MB of pixels
_LEARNING_RATE = 1e-3
_WEIGHT_DECAY = 1e-4
_TEMPERATURE = 0.2  # of the similarities; SimCLR's best lies between 0.1 and 0.5
_PROJECTION = (512, 128)  # hidden and output width of the part that is dropped afterwards
_STATISTICS_IMAGES = 256
_DECODED_SHARE = 0.05  # of the progress; statistics take as much at the end


@dataclass(frozen=True)
class WarmUpReport:
    """What the warm-up did.

    Attributes:
        images: that were readable and learnt from.
        first_loss, last_loss: mean of the first and of the last tenth of the steps; ln(127) = 4.84
            is chance.
        duration_s: wall clock, for the log.
    """

    images: int
    steps: int
    first_loss: float
    last_loss: float
    duration_s: float


def warm_up(
    backbone: Backbone,
    images: Sequence[Path],
    *,
    seed: int,
    device: torch.device,
    size_px: int = 224,
    steps: int = STEPS,
    progress: Progress = silent,
) -> WarmUpReport:
    """Train the backbone in place; it is left in evaluation mode.

    The same images, seed, steps and number of CPU threads give the same weights.

    Args:
        backbone: untrained.
        images: files; unreadable ones are left out.
        size_px: at which images will be embedded; batch-norm statistics are measured there.
        steps: of 64 images each; 60 take one to four minutes on two cores.
        progress: may raise `Cancelled`; the backbone is then unfit for use.

    Raises:
        InputError: steps is below 1, or fewer than two images are readable.
    """
    if steps < 1:
        raise InputError(f"steps = {steps}; must be 1 or more.", "Leave it out.")
    started = time.monotonic()
    order = np.random.default_rng(seed).permutation(len(images))[:MAX_IMAGES]
    chosen = [images[row] for row in order]
    bands = len(backbone.bands)
    pixels = _decoded(chosen, STORED_PX, bands, part_of(progress, 0.0, _DECODED_SHARE))
    if len(pixels) < 2:
        raise InputError(
            f"The warm-up needs two readable images or more; {len(pixels)} of {len(images)} are.",
            "Add images, or give a weights file with --weights.",
        )
    backbone.to(device).to(memory_format=torch.channels_last)
    learning = part_of(progress, _DECODED_SHARE, 1 - _DECODED_SHARE)
    losses = _learn(backbone, pixels, seed, steps, learning)
    progress(1 - _DECODED_SHARE, "measuring the images' statistics")
    measured = _decoded(chosen[:_STATISTICS_IMAGES], size_px, bands, silent)
    measure_statistics(backbone, measured)
    tenth = max(1, steps // 10)
    first, last = float(np.mean(losses[:tenth])), float(np.mean(losses[-tenth:]))
    return WarmUpReport(len(pixels), steps, first, last, time.monotonic() - started)


def contrastive_loss(projected: Tensor, temperature: float = _TEMPERATURE) -> Tensor:
    """Mean cross-entropy of finding a view's partner among all others (NT-Xent).

    Args:
        projected: [2B, D]; rows i and B + i are two views of one image.
        temperature: cosines are divided by it.

    Source: SimCLR, eq. 1 and algorithm 1.
    """
    unit = F.normalize(projected.float(), dim=1)
    count = len(unit) // 2
    itself = torch.eye(2 * count, dtype=torch.bool, device=unit.device)
    likeness = (unit @ unit.T / temperature).masked_fill(itself, -torch.inf)  # [2B, 2B]
    partner = torch.arange(2 * count, device=unit.device).roll(count)
    return F.cross_entropy(likeness, partner)


def measure_statistics(
    backbone: Backbone, pixels: NDArray[np.uint8], norms: Sequence[nn.BatchNorm2d] | None = None
) -> None:
    """Set the batch-norm statistics to those of these images [N, H, W, C], equally weighted.

    Views are smaller than the images that will be embedded, and padding weighs more in them.

    Args:
        backbone: is in evaluation mode then.
        pixels: of the images.
        norms: of the backbone; the others keep their statistics. None: all.
    """
    if norms is None:
        norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    device = next(backbone.parameters()).device
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over batches
    backbone.eval()
    for norm in norms:
        norm.train()
    with torch.no_grad():
        for batch in np.array_split(pixels, max(1, len(pixels) // 32)):
            backbone(normalised(torch.from_numpy(batch).to(device), backbone.bands))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    backbone.eval()


def _learn(
    backbone: Backbone, pixels: NDArray[np.uint8], seed: int, steps: int, progress: Progress
) -> list[float]:
    device = next(backbone.parameters()).device
    projector = _projector(backbone.feature_dim, seed).to(device)
    parameters = [*backbone.parameters(), *projector.parameters()]
    optimiser = torch.optim.AdamW(parameters, _LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, _LEARNING_RATE, total_steps=steps + 1, pct_start=0.15
    )
    generator = torch.Generator().manual_seed(seed)
    views = ViewSettings()
    losses: list[float] = []
    backbone.train()
    for batch in _batches(pixels, steps, np.random.default_rng(seed)):
        shown = torch.from_numpy(batch).to(device)
        pair = [random_views(shown, views, generator, bands=backbone.bands) for _ in range(2)]
        loss = contrastive_loss(projector(backbone(torch.cat(pair))))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        done = len(losses)
        progress(done / steps, f"warming up the untrained backbone, step {done} of {steps}")
    return losses


def _projector(feature_dim: int, seed: int) -> nn.Module:
    hidden, out = _PROJECTION
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(feature_dim, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, out),
        )


def _batches(
    pixels: NDArray[np.uint8], steps: int, rng: np.random.Generator
) -> Iterator[NDArray[np.uint8]]:
    """As many batches as steps; each pass over the images is in a new order."""
    waiting = np.empty(0, dtype=np.int64)
    size = min(BATCH_IMAGES, len(pixels))
    for _ in range(steps):
        if len(waiting) < size:  # the few that are left over wait for another time
            waiting = rng.permutation(len(pixels))
        rows, waiting = waiting[:size], waiting[size:]
        yield pixels[rows]


def _decoded(
    paths: Sequence[Path], size_px: int, bands: int, progress: Progress
) -> NDArray[np.uint8]:
    """[N, size_px, size_px, bands] pixels of the readable images."""

    def load(path: Path) -> NDArray[np.uint8] | None:
        try:
            return load_pixels(path, size_px, bands=bands)
        except (ArchiveError, OSError):
            return None

    readable = []
    decoders = ThreadPoolExecutor(os.cpu_count() or 1, "decode")
    try:
        for done, found in enumerate(decoders.map(load, paths), start=1):
            readable += [found] if found is not None else []
            progress(done / len(paths), f"reading {done} of {len(paths)} images")
    finally:
        decoders.shutdown(cancel_futures=True)
    return np.stack(readable) if readable else np.empty((0, size_px, size_px, bands), np.uint8)
