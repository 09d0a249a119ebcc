"""Whole networks compared: each loss trains that of a checkpoint further, or the given one.

An image is one view at scale 1 in training and in all figures; with several views, it may be
turned in training. Beside retrieval it is measured how far embeddings stay the same when images are
turned.

Source: PEDC, ablation and rotation invariance; OSAP and DCL train whole networks, too.
"""

import copy
import time
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from domain.arrays import FloatArray, IntArray
from domain.config import FullDepthSettings, Views
from domain.errors import InputError
from domain.jobs import Progress, part_of
from domain.losses import AS_SET, NetworkVariant
from training.backbones import Backbone, build_backbone, build_fused
from training.device import resolve_device
from training.features import features_for
from training.full_depth import Retrained, retrain_backbone
from training.head import HeadModule, TrainedHead, frozen_head
from training.pixels import open_pixels
from training.preprocessing import normalised
from training.rotations import rotation_invariance
from worker.loss_study_options import StudyOptions, Training
from worker.loss_study_sources import Images, by_classes
from worker.loss_study_table import Row
from worker.simulation_archive import SimulationArchive, furnish
from worker.simulation_options import SimulationOptions

_CONTRASTIVE = Training("contrastive")
_MOST_TURNED = 100  # images that are turned to be measured
_EMBED_ROWS = 16
_OF_EMBEDDINGS = ("map", "p_at_5")


class NetworkCells:
    """The cells of one seed, whose networks learn from the same images."""

    def __init__(
        self,
        archive: SimulationArchive,
        images: Images,
        simulation: SimulationOptions,
        options: StudyOptions,
        seed: int,
    ) -> None:
        """Cells of some images of an archive.

        Args:
            simulation: which network, its weights, the size of images and their views.
            options: `full` says how networks are trained.

        Raises:
            InputError: the contrastive loss has parameters, which whole networks do not take; or
                networks that fuse other maps are to start from one checkpoint.
        """
        if any(each.loss == _CONTRASTIVE.loss and each.settings for each in options.trainings):
            raise InputError("The contrastive loss has no parameters here.", "Leave --set out.")
        if not options.alone and any(each.network.levels is not None for each in options.trainings):
            raise InputError(
                "Networks that fuse other maps have no checkpoint in common.", "Give --from frozen."
            )
        self._archive, self._images, self._simulation = archive, images, simulation
        self._options, self._seed = options, seed
        self._device = resolve_device(options.device)
        files = [archive.files[row] for row in images.train]
        full = options.full or FullDepthSettings()
        self._full = full
        self._pixels = open_pixels(
            files,
            size_px=simulation.image_size_px,
            device=self._device,
            resident_mb=full.resident_mb,
            bands=simulation.bands,
        )
        self._contrastive: Retrained | None = None

    def frozen(self) -> Mapping[str, float]:
        """Figures of the network as it was given."""
        return self._measured(self._given())

    def checkpoint(self, progress: Progress) -> Mapping[str, float]:
        """Figures of the given network after the contrastive loss."""
        return self._figures(self._after_contrastive(progress))

    def trained(self, training: Training, progress: Progress) -> Row:
        """A loss's network and its figures."""
        if self._options.alone:
            start = self._given(training.network)
        else:
            start = copy.deepcopy(self._after_contrastive(part_of(progress, 0.0, 0.1)).backbone)
        began = time.perf_counter()
        found = self._retrained(start, training, part_of(progress, 0.1, 1.0))
        return Row(
            training.name,
            self._seed,
            steps=int(max(found.history, key=lambda line: line["selection_auc"])["step"]),
            better=found.is_better,
            seconds=time.perf_counter() - began,
            metrics=self._figures(found),
        )

    def _after_contrastive(self, progress: Progress) -> Retrained:
        if self._contrastive is None:
            self._contrastive = self._retrained(self._given(), _CONTRASTIVE, progress)
        return self._contrastive

    def _retrained(self, start: Backbone, training: Training, progress: Progress) -> Retrained:
        wanted = {"loss": training.loss, "parameters": dict(training.settings)}
        buffered = _buffered(self._full, training.network.buffer)
        full = FullDepthSettings.model_validate({**buffered.model_dump(), **wanted})
        settings = self._simulation.training
        out = training.network.out or settings.out
        found = retrain_backbone(
            start,
            self._pixels,
            self._features(start, self._images.train),
            self._images.known,
            settings.model_copy(update={"full": full, "out": out}),
            seed=self._seed,
            device=self._device,
            turned=Views(self._simulation.views) is Views.MULTI,
            progress=progress,
        )
        if not found.history:
            raise InputError(found.note, "Ask for more answers.")
        return found

    def _given(self, network: NetworkVariant = AS_SET) -> Backbone:
        name, descriptor = self._simulation.backbone, self._simulation.descriptor.at_scale_one
        if network.levels is None:
            backbone = build_backbone(name, seed=0, descriptor=descriptor)
        else:
            backbone = build_fused(
                name,
                network.levels,
                update=network.update,
                fuse_high=network.fuse_high,
                seed=0,
                descriptor=descriptor,
            )
        furnish(backbone, self._simulation, self._archive.bands)
        return backbone

    def _figures(self, found: Retrained) -> dict[str, float]:
        auc = {"auc_before": found.start, "auc_after": found.best}
        known = {name: value for name, value in auc.items() if value is not None}
        return {**self._measured(found.backbone, found.head), **known}

    def _measured(self, backbone: Backbone, learnt: HeadModule | None = None) -> dict[str, float]:
        """Of images that took no part, with the statistics of those that did.

        Retrieval is by the backbone's features; where a head has learnt with it, also by its
        embeddings.
        """
        head = frozen_head(self._features(backbone, self._images.train))
        test = self._images.test
        features = self._features(backbone, test)
        found = dict(by_classes(self._archive, head.embed(features), test))
        if learnt is not None:
            embedded = by_classes(self._archive, TrainedHead(learnt).embed(features), test)
            found |= {f"embedded_{name}": embedded[name] for name in _OF_EMBEDDINGS}
        return {**found, **self._turned(backbone, head)}

    def _turned(self, backbone: Backbone, head: TrainedHead) -> dict[str, float]:
        """How far embeddings stay the same, the mean over turns."""
        pixels = open_pixels(
            [self._archive.files[row] for row in self._images.test[:_MOST_TURNED]],
            size_px=self._simulation.image_size_px,
            device=self._device,
            resident_mb=self._full.resident_mb,
            bands=self._simulation.bands,
        )

        def embed(images: Tensor) -> Tensor:
            parts = [backbone(each) for each in torch.split(images, _EMBED_ROWS)]
            return torch.from_numpy(head.embed(torch.cat(parts).float().cpu().numpy()))

        rows = np.arange(len(pixels))
        images = normalised(pixels.of(rows).to(self._device), backbone.bands)
        found = rotation_invariance(embed, images)
        return {
            "turned_cosine": float(np.mean(found.cosine)),
            "turned_found": float(np.mean(found.found)),
            "turned_overlap": float(np.mean(found.overlap)),
        }

    def _features(self, backbone: Backbone, rows: IntArray) -> FloatArray:
        return features_for(
            [self._archive.files[row] for row in rows],
            backbone,
            cache=None,
            device=self._device,
            size_px=self._simulation.image_size_px,
            views=Views.SINGLE,
        )


def _buffered(full: FullDepthSettings, times: int) -> FullDepthSettings:
    """Batches as large as so many, in the memory of one."""
    if times == 1:
        return full
    anchors, others = full.batch_anchors, full.batch_others
    changes = {
        "batch_anchors": times * anchors,
        "batch_others": times * others,
        "chunk_images": 3 * anchors + 2 * others,  # what a batch has at most
    }
    return full.model_copy(update=changes)
