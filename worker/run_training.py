"""What a run has learnt from, made ready to train without some of it, or further.

The training images of an archive, the answers about them and what these imply.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from annealing.expansion import known_up_to
from domain.answers import KnownRelation
from domain.arrays import IntArray
from domain.images import Part
from training.checkpoint_comparison import Retrain
from training.finetuning import pair_checkpoint
from training.group_head import GroupHead
from training.head import TrainedHead
from training.trainer import KnownPairs
from worker.backbone import ArchiveFeatures
from worker.distinct import distinct
from worker.group_labels import AnsweredGroups, labels_of
from worker.known_rows import inside, known_rows
from workflow.consistency import error_to_reckon_with
from workflow.project import Project
from workflow.run_files import learnt_images, read_groups


class RunTraining:
    """The training images of an archive, and the answers that a run has learnt from."""

    def __init__(
        self,
        project: Project,
        archive: ArchiveFeatures,
        relations: Sequence[KnownRelation],
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        """What a run of this project has learnt from.

        Args:
            archive: the features that it read.
            relations: its snapshot; those of images that are no training images now are left out.
            seed: of a training without some of them.
        """
        rows = archive.rows_in(Part.TRAIN)
        self._project, self._seed, self._device = project, seed, device
        self._images = distinct([archive.records[row] for row in rows])
        self.image_ids = archive.image_ids[rows]
        self.features = archive.features[rows]
        self.relations = inside(self.image_ids, relations)

    def known(self, *, groups: bool) -> KnownPairs:
        """What the answers say of pairs of rows; of groups also all that they imply."""
        found = implied_by(self.relations) if groups else self.relations
        return known_rows(self.image_ids, found)

    def unlearnt(self, folder: Path) -> IntArray:
        """Rows of images whose answers the backbone of a run has not learnt, as far as known."""
        learnt = learnt_images(folder) or frozenset()
        return np.flatnonzero([each not in learnt for each in self.image_ids.tolist()])

    def retrain(self, start: TrainedHead) -> Retrain:
        """What makes the head of the run without some images' answers."""
        if isinstance(start.module, GroupHead):
            return self._groups.head
        return pair_checkpoint(
            self.features,
            self.known(groups=False),
            self._project.config.training,
            seed=self._seed,
            device=self._device,
        )

    def labelled(self, start: TrainedHead, folder: Path) -> TrainedHead:
        """The head of the run in a folder with its soft labels, if it learnt groups."""
        if not isinstance(start.module, GroupHead):
            return start
        kept = read_groups(folder)
        if kept is not None:
            return replace(start, labels=labels_of(kept, self.image_ids))
        nobody = np.zeros(len(self.features), dtype=bool)
        return replace(start, labels=self._groups.head(nobody).labels)

    @property
    def _groups(self) -> AnsweredGroups:
        return AnsweredGroups(
            self.features,
            self._images,
            known_rows(self.image_ids, self.relations),
            error_to_reckon_with(self._project),
            self._device,
        )


def implied_by(relations: Sequence[KnownRelation]) -> list[KnownRelation]:
    """Answered relations with all that they imply, or with less where that is too much."""
    labels = {each.pair: each.similar for each in relations if not each.implied}
    return known_up_to(labels)
