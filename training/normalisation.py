"""Statistics of normalisations that no weights file and no training has given any.

What fuses the maps of a network comes without weights, and so do networks that nobody trained.
Frozen as they are, such layers would normalise by a mean of 0 and a deviation of 1, whatever goes
through them: not at all. Left live, they would embed an image differently in every batch, and its
gradient could not be put together from chunks. So they are measured once, before anything learns.
"""

import numpy as np
import torch
from torch import nn

from domain.arrays import FloatArray
from domain.jobs import Progress, silent
from training.backbones import Backbone
from training.pixels import Pixels
from training.preprocessing import normalised
from training.warmup import measure_statistics

_MEASURED_IMAGES = 256
_EMBED_ROWS = {"cpu": 16, "cuda": 256}


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
    device: torch.device,
    progress: Progress = silent,
) -> FloatArray:
    """[N, D] features of images by a backbone whose normalisations all have statistics.

    Those without any are measured on up to 256 of the images, evenly spread; the others stay as
    they are.

    Args:
        backbone: is changed, moved to the device and put into evaluation mode, if there are any.
        pixels: of the N images.
        features: [N, D] by the backbone as it is; given back where all was measured.
        device: where to compute.
        progress: may raise `Cancelled`.
    """
    if not (norms := unmeasured(backbone)):
        return features
    backbone.to(device)
    rows, spread = len(pixels), min(len(pixels), _MEASURED_IMAGES)
    progress(0.0, "measuring normalisations without statistics")
    chosen = np.linspace(0, rows - 1, spread).round().astype(np.int64)
    measure_statistics(backbone, pixels.of(chosen).cpu().numpy(), norms)
    blocks = []
    with torch.inference_mode():
        for first in range(0, rows, _EMBED_ROWS[device.type]):
            progress(first / rows, f"embedding {first} of {rows} images again")
            part = np.arange(first, min(first + _EMBED_ROWS[device.type], rows))
            shown = normalised(pixels.of(part).to(device), backbone.bands)
            blocks.append(backbone(shown).cpu())
    return np.asarray(torch.cat(blocks).numpy())
