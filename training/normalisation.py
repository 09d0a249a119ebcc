"""Statistics of normalisations that no weights file and no training has given any.

What fuses the maps of a network comes without weights, and so do networks that nobody trained.
Frozen as they are, such layers would normalise by a mean of 0 and a deviation of 1, whatever goes
through them: not at all. Left live, they would embed an image differently in every batch, and its
gradient could not be put together from chunks. So they are measured once, before anything learns.
"""

import numpy as np
import torch
from torch import nn

from domain.arrays import FloatArray, IntArray
from domain.jobs import Progress, silent
from training.backbones import Backbone
from training.network import image_features
from training.pixels import Pixels
from training.warmup import measure_statistics

_MEASURED_IMAGES = 256


def unmeasured(backbone: Backbone) -> list[nn.BatchNorm2d]:
    """The normalisations of a network that have never seen an image."""
    return [
        module
        for module in backbone.modules()
        if isinstance(module, nn.BatchNorm2d)
        and module.running_mean is not None
        and module.running_var is not None
        and not module.running_mean.any()
        and bool((module.running_var == 1).all())
    ]


def measured_features(
    backbone: Backbone,
    pixels: Pixels,
    features: FloatArray,
    *,
    rows: IntArray | None = None,
    device: torch.device,
    progress: Progress = silent,
) -> FloatArray:
    """[N, D] features of images by a backbone whose normalisations all have statistics.

    Those without any are measured on up to 256 of the images, evenly spread; the others stay as
    they are.

    Args:
        backbone: is changed, moved to the device and put into evaluation mode, if there are any.
        pixels: of an archive.
        features: [N, D] by the backbone as it is; given back where all was measured.
        rows: [N] whose features these are; None: of all images.
        device: where to compute.
        progress: may raise `Cancelled`.
    """
    if not (norms := unmeasured(backbone)):
        return features
    backbone.to(device)
    rows = np.arange(len(pixels)) if rows is None else rows
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), _MEASURED_IMAGES)).round()
    progress(0.0, "measuring normalisations without statistics")
    shown = pixels.of(rows[chosen.astype(np.int64)]).cpu().numpy()
    measure_statistics(backbone, shown, norms)
    return image_features(backbone, pixels, rows, device=device, progress=progress)
