"""How much time and memory the ranking losses and multistage back-propagation take.

`python -m benchmarks.losses [--quick] [--device cuda]` prints one JSON object:

- srf_peak_mb_512: memory that forward and backward of SRF-AP add at 512 images of 21 classes, after
  a first call (null where the system does not tell);
- srf_ratio_to_naive: their time over that of the form that holds a number for each triple;
- srf_ms, naive_ms, naive_peak_mb: what stands behind it;
- multistage_time_ratio: time of a training step on a ranking of 512 images, embedded a chunk at a
  time, over plain training on as many images in batches of a chunk;
- multistage_memory_ratio: memory that it adds over what one such batch adds;
- multistage_s, plain_s, multistage_mb, plain_mb, chunk_rows, size_px: what stands behind them.

The network is a ResNet-18 with random weights and frozen batch normalisation, the loss OSAP.
"""

import argparse
import json
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.mining import added_memory_mb, best_times
from training.backbones import build_backbone
from training.losses.multistage import frozen_batch_norm, multistage_backward
from training.losses.osap import OSAP, SRFAP
from training.losses.relevance import cosines, known_partners, relevance_of_classes

IMAGES, CLASSES, DIMENSIONS = 512, 21, 512
CHUNK_ROWS = 64
SIZE_PX, QUICK_SIZE_PX = 128, 64
REPEATS, QUICK_REPEATS = 3, 1


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the losses that rank.")
    parser.add_argument("--quick", action="store_true", help="smaller images, same keys")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; the default is cpu")
    options = parser.parse_args()
    device, repeats = torch.device(options.device), QUICK_REPEATS if options.quick else REPEATS
    torch.manual_seed(0)
    size_px = QUICK_SIZE_PX if options.quick else SIZE_PX
    found = {
        **ranking(device, repeats),
        **multistage(device, size_px, repeats),
        "images": IMAGES,
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(found))


def ranking(device: torch.device, repeats: int) -> dict[str, object]:
    """SRF-AP and its naive form, in turn, so that a busy machine slows both alike."""
    embeddings, relevance = batch(device)

    def ours() -> None:
        SRFAP()(embeddings, relevance).value.backward()
        finish(device)

    def naive() -> None:
        naive_srf(embeddings, relevance).backward()
        finish(device)

    ours()
    peak_mb = added_mb(ours, device)
    naive_peak_mb = added_mb(naive, device)
    ours_s, naive_s = best_times([ours, naive], repeats=repeats)
    return {
        "srf_peak_mb_512": peak_mb,
        "srf_ratio_to_naive": round(ours_s / naive_s, 4),
        "srf_ms": round(1000 * ours_s, 1),
        "naive_ms": round(1000 * naive_s, 1),
        "naive_peak_mb": naive_peak_mb,
    }


def multistage(device: torch.device, size_px: int, repeats: int) -> dict[str, object]:
    """A step on a ranking of all images, against plain steps on chunks of them."""
    network = build_backbone("resnet18").to(device).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-6)
    images = torch.randn(IMAGES, 3, size_px, size_px, device=device)
    relevance, loss = classes(device), OSAP()

    def plain_step(first: int) -> None:
        part = slice(first, first + CHUNK_ROWS)
        optimiser.zero_grad(set_to_none=False)
        with frozen_batch_norm(network):
            loss(network(images[part]), relevance[part, part]).value.backward()
        optimiser.step()
        finish(device)

    def plain() -> None:
        for first in range(0, IMAGES, CHUNK_ROWS):
            plain_step(first)

    def staged() -> None:
        optimiser.zero_grad(set_to_none=False)
        multistage_backward(
            network, images, lambda rows: loss(rows, relevance), chunk_rows=CHUNK_ROWS
        )
        optimiser.step()
        finish(device)

    plain_step(0)
    plain_mb, staged_mb = added_mb(lambda: plain_step(0), device), added_mb(staged, device)
    staged_s, plain_s = best_times([staged, plain], repeats=repeats)
    return {
        "multistage_time_ratio": round(staged_s / plain_s, 3),
        "multistage_memory_ratio": plain_mb and staged_mb and round(staged_mb / plain_mb, 3),
        "multistage_s": round(staged_s, 2),
        "plain_s": round(plain_s, 2),
        "multistage_mb": staged_mb,
        "plain_mb": plain_mb,
        "chunk_rows": CHUNK_ROWS,
        "size_px": size_px,
    }


def batch(device: torch.device) -> tuple[Tensor, Tensor]:
    """Embeddings as a half-trained network gives them, and what is known of them."""
    labels = torch.arange(IMAGES) % CLASSES
    kinds = torch.randn(CLASSES, DIMENSIONS)
    embeddings = kinds[labels] + 2 * torch.randn(IMAGES, DIMENSIONS)
    return embeddings.to(device).requires_grad_(), classes(device)


def classes(device: torch.device) -> Tensor:
    return relevance_of_classes(torch.arange(IMAGES) % CLASSES).to(device)


class SoftsignStep(torch.autograd.Function):
    """As small as automatic differentiation can be: only the differences are kept."""

    @staticmethod
    def forward(ctx: Any, differences: Tensor) -> Tensor:
        ctx.save_for_backward(differences)
        return 0.5 * (1 + differences / (0.001 + differences.abs())) + 0.65 * (differences >= 0)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        (differences,) = ctx.saved_tensors
        return upstream * 0.001 / (2 * (0.001 + differences.abs()).square())


def naive_srf(embeddings: Tensor, relevance: Tensor) -> Tensor:
    """What one writes first: a number for each query, ranked image and other image."""
    partners, scores = known_partners(relevance), cosines(embeddings)
    differences = scores[:, None, :] - scores[:, :, None]
    other = ~torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    counted = partners.similar[:, None, :] & other
    before = 1 + ((differences.detach() >= 0) & counted).sum(2)
    wrongly = (SoftsignStep.apply(differences) * partners.dissimilar[:, None, :]).sum(2)
    precision = (before / (before + wrongly) * partners.similar).sum(1)
    return 1 - (precision / partners.similar.sum(1))[partners.with_both].mean()


def added_mb(work: Callable[[], object], device: torch.device) -> float | None:
    if device.type != "cuda":
        return added_memory_mb(work)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    return round((torch.cuda.max_memory_allocated(device) - before) / 2**20, 1)


def finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
