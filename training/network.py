"""Backbone and head as one network: what is trained at full depth.

Both sides of a pair go through the same weights (Siamese), and each image of a batch once, whatever
the number of pairs it is in.

Source: ANNEAL, section on the model.
"""

import numpy as np
import torch
from torch import Tensor, nn

from domain.arrays import FloatArray, IntArray
from domain.config import FullDepthSettings
from domain.jobs import Progress, silent
from training.backbones import Backbone
from training.head import HeadModule
from training.pixels import Pixels
from training.preprocessing import BandStatistics, normalised

# In the network at once on a CPU, so that its maps stay in the cache: forward and backward
# MobileNetV2 learns from 72 images of 112 px in 0.89 of the processor time when 32 of them follow
# 32 others, and from 64 images of 224 px in 0.66 when it is 8 and 8.
CACHED_PIXELS = 32 * 112**2
_EMBED_ROWS = {"cpu": 16, "cuda": 256}
_NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)


class EmbeddingNetwork(nn.Module):
    """[B, C, H, W] normalised images to [B, out] unit vectors."""

    def __init__(self, backbone: Backbone, head: HeadModule, *, half: bool = False) -> None:
        """A network of the two, which it changes when it learns.

        Args:
            backbone: gives features; its convolutions are kept with their channels last.
            head: reads them.
            half: let the backbone compute in bfloat16; the head reads float32.
        """
        super().__init__()
        self.backbone = backbone.to(memory_format=torch.channels_last)
        self.head = head
        self._half = half
        self._in_parts = False

    def forward(self, images: Tensor) -> Tensor:
        """[B, out] embeddings."""
        rows = max(len(images), 1)
        if self._in_parts and images.device.type == "cpu":
            rows = max(CACHED_PIXELS // images.shape[-1] ** 2, 1)
        return torch.cat([self._embedded(part) for part in torch.split(images, rows)])

    def _embedded(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self._half):
            features = self.backbone(images)
        embeddings: Tensor = self.head(features.float())
        return embeddings

    def learn(self, *, batch_norm: str) -> None:
        """Get ready for training; `frozen` normalises by the statistics that are there.

        Only then a part of a batch is embedded as it is in the batch.
        """
        self.train()
        self._in_parts = batch_norm == "frozen"
        if batch_norm == "frozen":
            for module in self.modules():
                if isinstance(module, _NORMALISATIONS):
                    module.eval()


def embed_images(
    network: EmbeddingNetwork, pixels: Pixels, rows: IntArray, *, device: torch.device
) -> FloatArray:
    """[R, out] unit vectors of images as they are; the network is in evaluation mode then.

    Args:
        network: on the device.
        pixels: of an archive.
        rows: [R] of its images.
        device: see there.
    """
    bands, width = network.backbone.bands, network.head.out
    return _in_parts(network, pixels, rows, width=width, bands=bands, device=device)


def image_features(
    backbone: Backbone,
    pixels: Pixels,
    rows: IntArray,
    *,
    device: torch.device,
    progress: Progress = silent,
) -> FloatArray:
    """[R, D] features of images as they are; the backbone is in evaluation mode then.

    Args:
        backbone: on the device.
        pixels: of an archive.
        rows: [R] of its images.
        device: see there.
        progress: may raise `Cancelled`.
    """
    bands, width = backbone.bands, backbone.feature_dim
    return _in_parts(
        backbone, pixels, rows, width=width, bands=bands, device=device, progress=progress
    )


def _in_parts(
    network: nn.Module,
    pixels: Pixels,
    rows: IntArray,
    *,
    width: int,
    bands: BandStatistics,
    device: torch.device,
    progress: Progress = silent,
) -> FloatArray:
    network.eval()
    at_once = _EMBED_ROWS[device.type]
    blocks = [torch.empty((0, width))]
    with torch.inference_mode():
        for start in range(0, len(rows), at_once):
            progress(start / len(rows), f"embedding {start} of {len(rows)} images")
            shown = pixels.of(rows[start : start + at_once]).to(device)
            blocks.append(network(normalised(shown, bands)).cpu())
    return np.asarray(torch.cat(blocks).numpy())


def adam(
    network: EmbeddingNetwork, beside: list[nn.Parameter], settings: FullDepthSettings
) -> torch.optim.Adam:
    """An optimiser with a learning rate for pretrained weights, and one for everything else.

    Of a backbone that fuses the maps of another, that other one is pretrained.
    """
    pretrained = list(network.backbone.trunk.parameters())
    known = {id(each) for each in pretrained}
    fused = [each for each in network.backbone.parameters() if id(each) not in known]
    return torch.optim.Adam(
        [
            {"params": pretrained, "lr": settings.backbone_learning_rate},
            {
                "params": [*fused, *network.head.parameters(), *beside],
                "lr": settings.head_learning_rate,
            },
        ]
    )
