"""A head for groups of images that people call alike, found in closed form, without steps.

Takes frozen features and what answers say about groups, gives a head: a kernel ridge regression
tells to which groups an image belongs, and the embedding is these scores beside the frozen
features. The thinner the evidence, the more the frozen features count, so that a few answers
cannot make retrieval worse.

Source: ours.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from annealing.components.beliefs import Beliefs, beliefs
from annealing.components.discriminant import discriminant_map
from annealing.components.evidence import Answers
from annealing.components.labels import SoftLabels, soft_labels
from annealing.components.likeness import group_likeness, matrix_root
from annealing.components.parts import parts_wanted
from annealing.components.space import COMPONENTS, Space, kernel
from domain.arrays import FloatArray, IntArray
from training.group_selection import frozen_length
from training.head import (
    HeadModule,
    Standardise,
    TrainedHead,
    check_features,
    fitted_standardise,
)

FEWEST_ANSWERS = 60  # with fewer, the frozen features remain the embedding
MOST_ANCHORS = 4096  # images the regression is fitted to; solved in a second
_RIDGE = 0.03
_SHARPNESS = 17.0
# Least length of the frozen part beside the groups' part, whose length is 1: the squared share of
# the parts that a start compares over the images that have answers, between these two. With
# 0.3 images of a group have an order; at twice the groups' length these change little.
_LEAST_FROZEN, _MOST_FROZEN = 0.3, 2.0


@dataclass(frozen=True)
class Looks:
    """How images look before anything is learnt about them; it depends on no answer.

    Attributes:
        standardise: of their features, with the principal components' directions in which kinds
            differ.
        space: of their standardised features.
    """

    standardise: Standardise
    space: Space


class GroupHead(HeadModule):
    """Scores of groups beside the principal components of the frozen features."""

    kind = "groups"
    keeps_frozen = True
    # Each score sums over all anchors, and each step moves all their weights alike: with the
    # learning rate of other heads 3 steps undo what the groups know (UC Merced, 183 answers).
    step_share = 0.01
    anchors: Tensor
    weights: Tensor
    likeness: Tensor
    frozen: Tensor

    def __init__(
        self,
        standardise: Standardise,
        *,
        anchors: Tensor,
        weights: Tensor,
        likeness: Tensor,
        frozen: Tensor,
    ) -> None:
        """A head.

        Args:
            standardise: with principal components; D of them.
            anchors: [A, D] images that the scores are sums over.
            weights: [A, C] of each for each group.
            likeness: [C, C] root of how alike the groups are.
            frozen: [] length of the frozen part, the groups' part having length 1.
        """
        super().__init__()
        self.standardise = standardise
        self.register_buffer("anchors", anchors)
        self.register_buffer("weights", weights)
        self.register_buffer("likeness", likeness)
        self.register_buffer("frozen", frozen)

    @property
    def out(self) -> int:
        """The length of an embedding."""
        return self.weights.shape[1] + self.standardise.out

    @property
    def statistics(self) -> Standardise:
        """What is done to features first."""
        return self.standardise

    def space(self, embeddings: FloatArray) -> Space:
        """The space that the head was learnt in, from its embeddings [N, C + D]."""
        frozen = embeddings[:, self.weights.shape[1] :]
        return Space.of_unit(frozen / np.linalg.norm(frozen, axis=1, keepdims=True))

    def learnt(self) -> list[Tensor]:
        """How much each image counts for each group."""
        return [self.weights]

    def project(self, standardised: Tensor) -> Tensor:
        """[B, D] standardised features to [B, C + D] unit vectors."""
        scores = torch.exp(standardised @ self.anchors.T - 1) @ self.weights
        # The root of the softmax; as `sqrt` it has no gradient where a probability rounds to 0
        groups = (torch.log_softmax(_SHARPNESS * scores, dim=1) / 2).exp() @ self.likeness
        groups = functional.normalize(groups, dim=1)
        return functional.normalize(torch.cat([groups, self.frozen * standardised], dim=1), dim=1)


def looks_of(features: FloatArray) -> Looks:
    """The looks of the images of features [N, F]."""
    principal = fitted_standardise(features, components=COMPONENTS).eval()
    telling = torch.from_numpy(discriminant_map(TrainedHead(principal).embed(features)))
    standardise = principal.rotated(principal.centre, principal.rotation @ telling).eval()
    return Looks(standardise, Space.of_unit(TrainedHead(standardise).embed(features)))


def group_head(
    features: FloatArray,
    answers: Answers,
    *,
    error: float,
    device: torch.device,
    find_looks: Callable[[FloatArray], Looks] = looks_of,
) -> TrainedHead:
    """A head from answers about pairs of images.

    Args:
        features: [N, F] frozen features of the training images only.
        answers: about pairs of their rows.
        error: assumed share of wrong answers.
        device: where the head embeds.
        find_looks: `looks_of` the features; may have kept them.

    Returns:
        The head with its soft labels, or the images' looks with a note while there are fewer than
        `FEWEST_ANSWERS` answers, or all images are one group.

    Raises:
        InputError: features of no image, or values that are not finite.
    """
    check_features(features, width=features.shape[-1])
    looks = find_looks(features)
    if len(answers) < FEWEST_ANSWERS:
        return _frozen(looks, f"{len(answers)} answers; learning starts at {FEWEST_ANSWERS}.")
    space = looks.space
    found = beliefs(space, answers, error=error)
    if found.groups < 2:
        return _frozen(looks, "All answered images are one group so far.")
    alike = group_likeness(space, found)
    likeness = matrix_root(alike)
    frozen = frozen_length(space, found, likeness, least=_least_frozen(found))
    if frozen is None:
        return _frozen(looks, "The groups tell answered images apart no better than they do.")
    labels = soft_labels(found, alike)
    anchors = _anchors(found)
    weights = _fitted(space.unit[anchors], labels, anchors)
    module = GroupHead(
        looks.standardise,
        anchors=torch.from_numpy(space.unit[anchors]),
        weights=torch.from_numpy(weights),
        likeness=_tensor(likeness),
        frozen=_tensor(frozen),
    )
    return TrainedHead(module.eval().to(device), labels=labels)


def _frozen(looks: Looks, why: str) -> TrainedHead:
    return TrainedHead(looks.standardise, note=f"{why} The frozen features remain the embedding.")


def _least_frozen(found: Beliefs) -> float:
    """The less is known, the more the frozen part counts, whatever a few answers seem to say."""
    share = parts_wanted(len(found.group)) / len(found.known)
    return float(np.clip(share**2, _LEAST_FROZEN, _MOST_FROZEN))


def _tensor(values: FloatArray | float) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32)


def _anchors(found: Beliefs) -> IntArray:
    """All images, or where they are many, the answered ones and others at equal distances."""
    others = np.setdiff1d(np.arange(len(found.group)), found.known)
    left = max(0, MOST_ANCHORS - len(found.known))
    step = max(1, -(-len(others) // max(1, left)))
    chosen = others[::step] if left else others[:0]
    spread = np.linspace(0, len(found.known) - 1, min(len(found.known), MOST_ANCHORS))
    return np.sort(np.concatenate([found.known[spread.astype(np.int64)], chosen]))


def _fitted(unit: FloatArray, labels: SoftLabels, anchors: IntArray) -> FloatArray:
    """[A, C] weights of a ridge regression that trusts each label as much as it says."""
    doubt = _RIDGE / np.maximum(labels.weight[anchors], 1e-3)
    matrix = kernel(unit, unit) + np.diag(doubt)
    weights = np.linalg.solve(matrix, labels.probability[anchors])
    return np.asarray(weights, dtype=np.float32)
