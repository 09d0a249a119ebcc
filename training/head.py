"""What turns frozen features into embeddings: standardisation, and a head trained on answers.

Takes pooled features of a backbone [N, D], gives unit vectors. A head carries the statistics of
the training images it was made from, so that any image, also one that comes years later, is
treated alike. Before there is a trained head, the standardised features themselves are the
embedding (`frozen_head`).

Source: ANNEAL, section on the model: two fully connected layers with ReLU between them.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from annealing.components.labels import SoftLabels
from annealing.components.space import Space, space_of
from annealing.pair_classifier import PairClassifier
from domain.arrays import FloatArray
from domain.config import TrainingSettings
from domain.errors import InputError
from training.principal_axes import principal_axes

_SMALLEST_SCALE = 1e-6  # a feature that never varies is centred, not blown up
_EMBED_ROWS = 4096  # rows on the device at a time


class HeadModule(nn.Module):
    """What turns [B, F] features into [B, out] unit vectors.

    Attributes:
        kind: its name in checkpoints.
        keeps_frozen: whether its embeddings still show the frozen features.
        step_share: of a learning rate, that suits its weights.
    """

    kind: str
    keeps_frozen = False
    step_share = 1.0

    @property
    def out(self) -> int:
        """The length of an embedding."""
        raise NotImplementedError

    @property
    def statistics(self) -> "Standardise":
        """What is done to features first."""
        raise NotImplementedError

    def project(self, standardised: Tensor) -> Tensor:
        """[B, C] standardised features to [B, out] unit vectors."""
        raise NotImplementedError

    def learnt(self) -> list[Tensor]:
        """What further training may change; nothing where nothing was learnt."""
        return list(self.parameters())

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] features to [B, out] unit vectors."""
        return self.project(self.statistics(features))

    def space(self, embeddings: FloatArray) -> Space:
        """The space of images as the head found them, if it keeps that, else as it embeds them.

        Args:
            embeddings: [N, out] that it gave.
        """
        return space_of(embeddings)


class Standardise(HeadModule):
    """Features with the training images' mean and spread taken out, then of length 1.

    With a rotation also projected onto the training images' principal components, centred and
    of length 1 again: cosines hardly change, and the head's first layer costs a fraction. For
    groups the projection also weighs directions by how much they tell of kinds.
    """

    kind = "frozen"
    keeps_frozen = True
    mean: Tensor
    scale: Tensor
    centre: Tensor
    rotation: Tensor

    def __init__(self, width: int, components: int = 0) -> None:
        """Statistics of nothing: mean 0, scale 1; `fitted` fills them.

        Args:
            width: D, the length of a feature.
            components: C principal components to keep; 0 keeps the features as they are.
        """
        super().__init__()
        self.components = components
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.register_buffer("centre", torch.zeros(width if components else 0))
        self.register_buffer("rotation", torch.zeros(width if components else 0, components))

    @property
    def out(self) -> int:
        """The length of what comes out."""
        return self.components or len(self.mean)

    @property
    def statistics(self) -> "Standardise":
        """Itself."""
        return self

    def project(self, standardised: Tensor) -> Tensor:
        """The same."""
        return standardised

    def space(self, embeddings: FloatArray) -> Space:
        """The space of the images' looks, which a rotation already has led to."""
        return Space.of_unit(embeddings) if self.components else space_of(embeddings)

    def rotated(self, centre: Tensor, rotation: Tensor) -> "Standardise":
        """The same statistics, with a centre [D] and a projection [D, C] of unit rows."""
        made = Standardise(len(self.mean), rotation.shape[1])
        made.mean.copy_(self.mean)
        made.scale.copy_(self.scale)
        made.centre.copy_(centre)
        made.rotation.copy_(rotation)
        return made

    def forward(self, features: Tensor) -> Tensor:
        """[B, D] features to [B, C or D] unit vectors."""
        unit = functional.normalize((features - self.mean) / self.scale, dim=1)
        if not self.components:
            return unit
        return functional.normalize((unit - self.centre) @ self.rotation, dim=1)


class Projection(HeadModule):
    """Standardised features through Linear, ReLU, Linear, to unit vectors; weights are not set.

    Differs from the paper: no ReLU after the second layer, which would keep cosines above 0 and
    give the margin another meaning.

    Source: ANNEAL, section on the model.
    """

    kind = "projection"

    def __init__(self, standardise: Standardise, hidden: int, out: int) -> None:
        super().__init__()
        self.standardise = standardise
        self.first = empty_linear(standardise.out, hidden)
        self.second = empty_linear(hidden, out)

    @property
    def out(self) -> int:
        """The length of an embedding."""
        return self.second.out_features

    @property
    def statistics(self) -> Standardise:
        """What is done to features first."""
        return self.standardise

    def project(self, standardised: Tensor) -> Tensor:
        """[B, C] standardised features to [B, out] unit vectors."""
        return functional.normalize(self.second(functional.relu(self.first(standardised))), dim=1)


@dataclass(frozen=True)
class SelectionScore:
    """How well held-out answers are told apart: ROC-AUC of similar against dissimilar pairs.

    Attributes:
        head, frozen: of the trained head and of the frozen features on the same pairs.
        uncertainty: standard error of the difference of the two, over must-link components.
        pairs: how many held-out pairs that is.
    """

    head: float
    frozen: float
    uncertainty: float
    pairs: int

    @property
    def is_worse(self) -> bool:
        """Whether the head lost by more than chance explains (two standard errors)."""
        return self.head < self.frozen - 2 * self.uncertainty


@dataclass(frozen=True)
class TrainedHead:
    """A head ready to embed.

    Attributes:
        module: in evaluation mode; `Standardise` where the frozen features are the embedding.
        history: one mapping a logged moment of the training, such as step and loss.
        selection: what the choice between head and frozen features rests on; None without one.
        classifier: of pairs, on the embeddings; None where none was trained.
        labels: of the training images, where it was learnt from groups; None otherwise.
        note: what a lead should know, in words; empty where all is as expected.
    """

    module: HeadModule
    history: list[dict[str, float]] = field(default_factory=list)
    selection: SelectionScore | None = None
    classifier: PairClassifier | None = None
    labels: SoftLabels | None = None
    note: str = ""

    @property
    def is_frozen(self) -> bool:
        """Whether the embedding is the standardised features, without anything learnt."""
        return isinstance(self.module, Standardise)

    def embed(self, features: FloatArray) -> FloatArray:
        """The embeddings of images.

        Args:
            features: [N, D] pooled features of the backbone the head was made for.

        Returns:
            [N, out] float32, rows of length 1; a row that is the training mean itself stays 0.

        Raises:
            InputError: features of another length, or a value that is not finite.
        """
        mean = self.module.statistics.mean
        check_features(features, width=len(mean))
        blocks = [np.empty((0, self.module.out), np.float32)]
        with torch.inference_mode():
            for start in range(0, len(features), _EMBED_ROWS):
                block = np.ascontiguousarray(features[start : start + _EMBED_ROWS], np.float32)
                embedded = self.module(torch.from_numpy(block).to(mean.device))
                blocks.append(embedded.cpu().numpy())
        return np.concatenate(blocks)


def frozen_head(features: FloatArray, *, note: str = "") -> TrainedHead:
    """The frozen features as embedding: standardised with these images' statistics, length 1.

    Args:
        features: [N, D] of the training images only.
        note: why nothing was learnt, for the lead.

    Raises:
        InputError: no image, or a value that is not finite.
    """
    return TrainedHead(fitted_standardise(features).eval(), note=note)


def fitted_standardise(
    features: FloatArray, *, components: int = 0, least_scale: float = 0.0
) -> Standardise:
    """The standardisation of the training images' features.

    Args:
        features: [N, D] of the training images only.
        components: principal components to keep; 0 keeps all D features. No more are kept than
            the images can span.
        least_scale: no feature's scale is below this share of the median one.

    Raises:
        InputError: no image, or a value that is not finite.
    """
    check_features(features, width=features.shape[-1])
    if not len(features):
        raise InputError(
            "No training image has features; at least one is needed.", "Embed the images first."
        )
    width = features.shape[1]
    mean = sum(block.sum(axis=0) for block in _blocks(features)) / len(features)
    squares = sum(((block - mean) ** 2).sum(axis=0) for block in _blocks(features))
    scale = np.sqrt(squares / len(features)) + _SMALLEST_SCALE
    scale = np.maximum(scale, least_scale * np.median(scale))
    fitted = Standardise(width)
    fitted.mean.copy_(torch.from_numpy(mean))
    fitted.scale.copy_(torch.from_numpy(scale))
    kept = min(components, width, max(1, len(features) - 1))
    return fitted.rotated(*_axes(features, mean, scale, kept)) if kept else fitted


def new_projection(
    standardise: Standardise, settings: TrainingSettings, *, generator: torch.Generator
) -> Projection:
    """A head with random weights, drawn from the generator only."""
    head = Projection(standardise, settings.hidden, settings.out)
    set_random((head.first, head.second), generator)
    return head


def empty_linear(inputs: int, outputs: int) -> nn.Linear:
    """A layer without PyTorch's own random weights, which come from its global generator."""
    layer: nn.Linear = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Linear, inputs, outputs
    )
    return layer


def set_random(layers: Iterable[nn.Linear], generator: torch.Generator) -> None:
    """Weights and biases uniform within one over the square root of the layer's inputs."""
    with torch.no_grad():
        for layer in layers:
            bound = 1 / math.sqrt(layer.in_features)
            layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.uniform_(-bound, bound, generator=generator)


def check_features(features: FloatArray, *, width: int) -> None:
    """Nothing, if these are features of images.

    Raises:
        InputError: not [N, width], or a value that is not finite.
    """
    if features.ndim != 2 or features.shape[1] != width:
        raise InputError(
            f"Features of shape {features.shape} do not fit; [images, {width}] is expected.",
            "Embed the images with the backbone that the model was trained on.",
        )
    if not np.isfinite(features).all():
        rows = np.flatnonzero(~np.isfinite(features).all(axis=1))
        raise InputError(
            f"The features of {len(rows)} images hold values that are not numbers "
            f"(first row: {rows[0]}).",
            "Embed the images again.",
        )


def _axes(
    features: FloatArray, mean: FloatArray, scale: FloatArray, count: int
) -> tuple[Tensor, Tensor]:
    """Centre and main axes of the standardised unit features."""
    units = (_unit_rows((block - mean) / scale) for block in _blocks(features))
    centre, axes = principal_axes(units, (len(features), features.shape[1]), count)
    return torch.from_numpy(centre), torch.from_numpy(axes.copy())


def _unit_rows(rows: FloatArray) -> FloatArray:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


def _blocks(features: FloatArray) -> Iterator[NDArray[np.float64]]:
    """Some rows at a time in float64: all rows of a large archive would take gigabytes."""
    for start in range(0, len(features), _EMBED_ROWS):
        yield np.asarray(features[start : start + _EMBED_ROWS], dtype=np.float64)
