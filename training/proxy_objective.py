"""What a network is trained for with PEDC: proxies of groups, their names, and turned images.

A group is a class, or images that answers join by chains of similar pairs. Every group has a point
of its own that is learnt with the network, and is told by a layer of its own; an image is compared
with other groups only where they are known to be different from its own. An image turned by a right
angle stays near itself.

Source: PEDC, eqs. 4-10; groups from answers, and masking, are ours.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn
from torch.nn import functional

from domain.arrays import BoolArray, FloatArray, IntArray
from domain.errors import InputError
from training.head import empty_linear, set_random
from training.losses.proxies import group_loss, pedc_total, proxy_loss, rotation_loss
from training.losses.relevance import LossValue
from training.objectives import LENGTH
from training.samplers import Batch


@dataclass(frozen=True)
class ProxySettings:
    """Weights and scales of the parts; the paper's where it has them.

    Attributes:
        alpha: how sharply distances to proxies are told apart.
        normalised: whether proxies are brought to length 1; embeddings are.
        proxy_rate: of the learning rate, for proxies.
        temperature: of the rotation loss.
        unknown_negative: whether images that nobody compared count as others there.
        proxy_weight, rotation_weight, class_weight: λ, δ and ξ; see `pedc_total`.
    """

    alpha: float = 16.0
    temperature: float = 0.1
    proxy_weight: float = 0.5
    rotation_weight: float = 1.0
    class_weight: float = 1.0
    normalised: bool = True
    unknown_negative: bool = True
    proxy_rate: float = 1.0


@dataclass(frozen=True)
class ImageGroups:
    """Which images are one group, and which groups are known to be different.

    Attributes:
        group: [N] 0…C-1, or -1 where an image belongs to none.
        differ: [C, C] bool, symmetric.
    """

    group: IntArray
    differ: BoolArray

    @property
    def count(self) -> int:
        """C."""
        return len(self.differ)


def groups_of_classes(labels: IntArray) -> ImageGroups:
    """A group for each class; all are known to be different.

    Args:
        labels: [N] class of each image, below 0 where it is unknown.
    """
    known = np.unique(labels[labels >= 0])
    group = np.where(labels >= 0, np.searchsorted(known, labels), -1)
    return ImageGroups(group, ~np.eye(len(known), dtype=bool))


def groups_of_pairs(
    pairs: IntArray, similar: BoolArray, *, images: int, smallest: int = 2
) -> ImageGroups:
    """The groups that known similar pairs join, and which of them dissimilar ones tell apart.

    Args:
        pairs: [P, 2] rows of images.
        similar: [P].
        images: N.
        smallest: images of a group; those of smaller ones belong to none.
    """
    ones = np.ones(int(similar.sum()))
    linked = coo_array((ones, tuple(pairs[similar].T)), shape=(images, images))
    _, component = connected_components(linked, directed=False)
    sizes = np.bincount(component, minlength=1)
    kept = np.flatnonzero(sizes >= smallest)
    number = np.full(len(sizes), -1)
    number[kept] = np.arange(len(kept))
    group = number[component]
    first, second = group[pairs[~similar]].T
    both = (first >= 0) & (second >= 0) & (first != second)
    differ = np.zeros((len(kept), len(kept)), dtype=bool)
    differ[first[both], second[both]] = differ[second[both], first[both]] = True
    return ImageGroups(group, differ)


def first_proxies(embeddings: FloatArray, groups: ImageGroups) -> Tensor:
    """[C, D] the mean direction of each group's embeddings, as unit vectors.

    Args:
        embeddings: [N, D] of all images, before the training.
        groups: of the same images.

    Source: PEDC, section on proxies: a class's proxy starts at its centroid.
    """
    inside = groups.group >= 0
    unit = functional.normalize(torch.from_numpy(np.asarray(embeddings, np.float32)), dim=1)
    sums = torch.zeros(groups.count, unit.shape[1])
    sums.index_add_(0, torch.from_numpy(groups.group[inside]), unit[torch.from_numpy(inside)])
    return functional.normalize(sums, dim=1)


class ProxyObjective:
    """PEDC on the embeddings of a batch; learns a proxy and a name of each group beside it.

    Where a batch's embeddings are followed by those of its images turned, these are compared, too.
    Where no two groups are known to be different, that alone teaches.
    """

    def __init__(
        self,
        groups: ImageGroups,
        proxies: Tensor,
        settings: ProxySettings,
        *,
        generator: torch.Generator,
        device: torch.device,
        turned: bool = False,
    ) -> None:
        """Of N images in groups.

        Args:
            groups: of the images.
            proxies: [C, D] where they start (`first_proxies`).
            settings: see there.
            generator: draws the first weights of the layer of names.
            device: where to train.
            turned: whether images will be shown turned, too.

        Raises:
            InputError: fewer than two groups that are known to be different, and nothing to learn
                from turned images.
        """
        self._settings, self._apart = settings, bool(groups.differ.any())
        if not self._apart and not (turned and self.wants_turned and settings.unknown_negative):
            raise InputError(
                f"{groups.count} groups of images, none known to be different from another.",
                "Answer pairs of both kinds first.",
            )
        self._groups = torch.from_numpy(np.asarray(groups.group, np.int64)).to(device)
        self._differ = torch.from_numpy(groups.differ).to(device)
        # A step of Adam is as long whatever the gradient's scale: so many times longer for what is
        # kept so many times smaller.
        self.proxies = nn.Parameter(proxies.to(device) / settings.proxy_rate)
        layer = empty_linear(proxies.shape[1], max(groups.count, 1))
        set_random((layer,), generator)
        self.layer = layer.to(device)

    @property
    def wants_turned(self) -> bool:
        """Turned images cost as much as the others: not where they count for nothing."""
        return self._settings.proxy_weight * self._settings.rotation_weight > 0

    def __call__(self, embeddings: Tensor, batch: Batch, rng: np.random.Generator) -> LossValue:
        """The loss of embeddings [B, D], or [2 B, D] with the turned images behind.

        An image is valid if its group is known to be different from another: turned images speak of
        any image, and say nothing of how much is learnt from answers.
        """
        settings, count = self._settings, len(batch.rows)
        upright, turned = embeddings[:count], embeddings[count:]
        groups = self._groups[torch.from_numpy(batch.rows).to(self._groups.device)]
        rotation = self._rotation(upright, turned, groups)
        if not self._apart:
            share = settings.proxy_weight * settings.rotation_weight
            return LossValue(share * rotation.value, rotation.valid_anchors)
        allowed = self._differ[groups.clamp(min=0)]
        proxy = proxy_loss(
            upright,
            groups,
            settings.proxy_rate * self.proxies,
            allowed=allowed,
            alpha=settings.alpha,
            normalised=settings.normalised,
        )
        classes = group_loss(self.layer(LENGTH * upright), groups, allowed=allowed)
        value = pedc_total(
            proxy.value,
            rotation.value,
            classes.value,
            proxy_weight=settings.proxy_weight,
            rotation_weight=settings.rotation_weight,
            class_weight=settings.class_weight,
        )
        return LossValue(value, proxy.valid_anchors)

    def parameters(self) -> list[nn.Parameter]:
        """The proxies, and those of the layer of names; none where nothing tells groups apart."""
        return [] if not self._apart else [self.proxies, *self.layer.parameters()]

    def _rotation(self, upright: Tensor, turned: Tensor, groups: Tensor) -> LossValue:
        """Images of one group are known to be similar, whether or not they were compared."""
        if not len(turned):
            return LossValue(upright.sum() * 0, 0)
        inside, among = groups >= 0, None
        if not self._settings.unknown_negative:
            either = groups.clamp(min=0)
            among = self._differ[either][:, either] & inside & inside[:, None]
        return rotation_loss(
            upright,
            turned,
            temperature=self._settings.temperature,
            similar=(groups[:, None] == groups) & inside,
            among=among,
        )
