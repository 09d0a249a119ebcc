"""Soft labels of a run: what is kept of them, and what later trainings get back."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from annealing.components.evidence import Answers
from annealing.components.labels import SoftLabels
from domain.arrays import BoolArray, FloatArray, IntArray
from training.group_head import group_head
from training.guesses import LEAST_KEPT
from training.head import TrainedHead
from training.trainer import KnownPairs
from worker.distinct import Distinct
from workflow.run_files import GroupLabels


@dataclass(frozen=True)
class AnsweredGroups:
    """Training images with the answers about them, copies counted as one.

    Attributes:
        features: [N, F] of the training images.
        images: what is a copy of what among them.
        answers: about pairs of the N.
        error: assumed share of wrong answers.
        device: where heads embed.
    """

    features: FloatArray
    images: Distinct
    answers: KnownPairs
    error: float
    device: torch.device

    def head(self, held_out: BoolArray) -> TrainedHead:
        """A head of groups, had nobody answered about the images [N] that are marked.

        Its soft labels, if it has any, are of all N.
        """
        unanswered = np.zeros(len(self.images.first), dtype=bool)
        unanswered[self.images.copy_of[held_out]] = True
        rows = self.images.copy_of[self.answers.rows]
        apart = rows[:, 0] != rows[:, 1]
        answers = Answers(rows[apart], self.answers.similar[apart]).without(unanswered)
        found = group_head(
            self.features[self.images.first], answers, error=self.error, device=self.device
        )
        return with_copies(found, self.images)


def with_copies(head: TrainedHead, images: Distinct) -> TrainedHead:
    """A head learnt from distinct images; what it found out holds for their copies too."""
    labels = head.labels
    return replace(head, labels=None if labels is None else labels.of_rows(images.copy_of))


def kept_labels(image_ids: IntArray, labels: SoftLabels) -> GroupLabels:
    """Soft labels of images [N] as a run keeps them, without what is improbable."""
    rows, groups = np.nonzero(labels.probability >= LEAST_KEPT)
    return GroupLabels(
        image_ids=image_ids[rows],
        groups=groups,
        probability=labels.probability[rows, groups],
        weight=labels.weight[rows],
        alike=labels.alike,
    )


def labels_of(kept: GroupLabels, image_ids: IntArray) -> SoftLabels:
    """Those of images [N]; what nothing was kept of belongs to no group."""
    place = {int(image_id): row for row, image_id in enumerate(image_ids)}
    rows = np.array([place.get(int(each), -1) for each in kept.image_ids], dtype=np.int64)
    inside = rows >= 0
    probability = np.zeros((len(image_ids), len(kept.alike)))
    probability[rows[inside], kept.groups[inside]] = kept.probability[inside]
    weight = np.zeros(len(image_ids))
    weight[rows[inside]] = kept.weight[inside]
    return SoftLabels(probability, weight, kept.alike)
