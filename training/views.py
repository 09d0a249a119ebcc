"""What is put into the network for an image, and what is made of what comes out.

A single view: the image as it is, its pooled feature. Multi-view: the image turned by right angles
(seen from above, up has no meaning), at two sizes (scale varies as well), at the larger mirrored;
of each view the mean of the last map (MobileNetV2: and of its last block's), and mean and spread of
an earlier one of a finer grain, each of length 1 and averaged over the views. With
several scales (the backbone's descriptor) every view is looked at in each of them, and averaged in
the same way. Takes the decoded squares of a batch of images, gives a row each. Which files, batches
and caches: `training.features`.

Source: DCL, section on multi-scale descriptors, and averaging over views as it does over scales;
the right angles are the premise of PBFFN's rotation contrast.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from domain.config import Views
from domain.descriptors import PLAIN
from training.backbones import Backbone, folded
from training.pooling import multi_scale_descriptors, resized
from training.preprocessing import normalised, preprocessing_name

# The larger view: 320 px beside 224 px.
_ENLARGED = 10 / 7
_STRIDE_PX = 32  # sides are multiples of what the networks shrink an image by
# All eight symmetries of a square at both sizes are twice the work and no better; see
# docs/decisions/0011-views.md, also for the stages.
_TURNS = 4


class Embedder(Protocol):
    """Makes features of a batch of images.

    Attributes:
        name: tells apart what gives different features of one network; for the cache.
        sizes_px: the sides of the squares it takes of each image.
        width: D, the length of a feature.
        views: how many views of an image of one size are in the network at once.
        shard_images: how many images are stored together: what a kill -9 can cost, about 8 s of
            work on two cores.
    """

    @property
    def name(self) -> str: ...
    @property
    def sizes_px(self) -> tuple[int, ...]: ...
    @property
    def width(self) -> int: ...
    @property
    def views(self) -> int: ...
    @property
    def shard_images(self) -> int: ...

    def prepare(self) -> None:
        """Get ready to be called, from any thread; itself not from several at once."""
        ...

    def __call__(self, squares: Sequence[Tensor]) -> Tensor:
        """[B, D] of [B, size, size, 3] uint8 pixels of each size."""
        ...


class SingleView:
    """The pooled feature of each image as it is; with several scales their mean direction."""

    views = 1
    shard_images = 256

    def __init__(self, backbone: Backbone, size_px: int) -> None:
        self._backbone = backbone
        self.name = preprocessing_name(size_px) + _scales_name(backbone)
        self.sizes_px: tuple[int, ...] = (size_px,)
        self.width = backbone.feature_dim

    def prepare(self) -> None:
        """Nothing to do: the backbone is used as it is."""

    def __call__(self, squares: Sequence[Tensor]) -> Tensor:
        """[B, D] of [B, size, size, 3] uint8 pixels."""
        images = normalised(squares[0], self._backbone.bands)
        scales = self._backbone.descriptor.scales
        if scales == PLAIN.scales:  # what whole networks learn from: as long as it is
            features: Tensor = self._backbone(images)
            return features
        return multi_scale_descriptors(self._backbone, images, scales=scales)


class MultiView:
    """The means of all stages, and the spread of the earliest, averaged over the views.

    Each view's is of length 1 before it is averaged, and the mean again, so that none outweighs
    another by the scale of its values.
    """

    views = _TURNS
    shard_images = 64

    def __init__(self, backbone: Backbone, size_px: int) -> None:
        self._backbone = backbone
        self.sizes_px = view_sizes_px(size_px)
        sizes = "+".join(str(size) for size in self.sizes_px)
        dims = backbone.stage_dims
        seen = f"{preprocessing_name(size_px)}-turns{sizes}mirrored-{len(dims)}stages"
        self.name = seen + _scales_name(backbone)
        self.width = sum(dims) + dims[-1]
        self._at_work = backbone

    def prepare(self) -> None:
        """Copy the backbone as it is now: quicker, and for this embedder's calls alone."""
        self._at_work = folded(self._backbone)

    def __call__(self, squares: Sequence[Tensor]) -> Tensor:
        """[B, D] of [B, size, size, 3] uint8 pixels of each size."""
        smaller, larger = squares
        seen = [self._seen(pixels) for pixels in (smaller, larger.flip(2))]
        return torch.cat([_mean_direction(part) for part in zip(*seen, strict=True)], dim=1)

    def _seen(self, pixels: Tensor) -> list[Tensor]:
        """Each pooled map of all turns of the images at all scales, [4 S, B, C] unit vectors."""
        turned = normalised(_turned(pixels), self._backbone.bands)
        sizes = resized(turned, self._backbone.descriptor.scales).values()
        seen = [self._pooled(images, len(pixels)) for images in sizes]
        return [torch.cat(part) for part in zip(*seen, strict=True)]

    def _pooled(self, turned: Tensor, images: int) -> list[Tensor]:
        """Each pooled map of images that are turned, [4, B, C] unit vectors."""
        stages = self._at_work.stages(turned)
        pooled = [*(stage.pooled for stage in stages), stages[-1].spread]
        return [_directions(each, images) for each in pooled]


def embedder(backbone: Backbone, *, views: Views, size_px: int) -> Embedder:
    """What makes features of so many views with this backbone."""
    if views is Views.MULTI:
        return MultiView(backbone, size_px)
    return SingleView(backbone, size_px)


def view_sizes_px(size_px: int) -> tuple[int, int]:
    """The sides of the two sizes: the setting's, and 10/7 of it in whole strides of 32 px."""
    enlarged = round(size_px * _ENLARGED / _STRIDE_PX) * _STRIDE_PX
    return size_px, max(enlarged, size_px + _STRIDE_PX)


def _scales_name(backbone: Backbone) -> str:
    """For the cache: nothing for the images as they are."""
    scales = backbone.descriptor.scales
    return "" if scales == PLAIN.scales else f"-scales{'+'.join(map(str, scales))}"


def _turned(pixels: Tensor) -> Tensor:
    """[4 B, S, S, 3] the images [B, S, S, 3] at each right angle, view after view."""
    return torch.cat([torch.rot90(pixels, turns, (1, 2)) for turns in range(_TURNS)])


def _directions(pooled: Tensor, images: int) -> Tensor:
    """[V, B, D] unit vectors of [V B, D]; nothing stays nothing."""
    return functional.normalize(pooled, dim=1).view(-1, images, pooled.shape[1])


def _mean_direction(views: Sequence[Tensor]) -> Tensor:
    """[B, D] unit vectors: the mean over all views."""
    return functional.normalize(torch.cat(list(views)).mean(0), dim=1)
