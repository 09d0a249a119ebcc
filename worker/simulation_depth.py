"""The backbone of a simulated curve, retrained on all that is known after each round.

As in a project: every training starts from the given weights, and what came of it is used only
where held-out answers are told apart better than by the features there were. What is needed to go
on after an interruption lies in a folder of the curve until that is whole: a curve that is done
again finds each training as it was left.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from domain.arrays import FloatArray, IntArray
from domain.config import Views
from domain.jobs import Progress, part_of, silent
from training.backbones import Backbone, build_backbone, look_at_scales
from training.device import resolve_device
from training.feature_cache import FeatureCache
from training.features import features_for
from training.full_depth import retrain_backbone
from training.guesses import Guessing
from training.pixels import Pixels, open_pixels
from training.trainer import KnownPairs
from worker.retrained_judge import RetrainedJudge
from worker.simulation_archive import SimulationArchive, furnish
from worker.simulation_options import SimulationOptions

_FOLDER = "unfinished"


@dataclass(frozen=True)
class Relearnt:
    """Features after a round.

    Attributes:
        features: [N, D] of all images of the archive.
        note: what came of retraining the backbone, in words; empty where none was to be.
    """

    features: FloatArray
    note: str = ""


class FullDepth:
    """The backbones of one curve."""

    def __init__(
        self,
        archive: SimulationArchive,
        options: SimulationOptions,
        *,
        seed: int,
        train: IntArray,
        folder: Path,
    ) -> None:
        """Backbones that learn from the images in rows `train` of the archive.

        Args:
            folder: of this curve only, for what an interrupted one goes on with.
        """
        self._archive, self._options, self._seed = archive, options, seed
        self._train, self._folder = train, folder
        self._device = resolve_device(options.device)
        self._views = Views(options.views)

    def relearnt(
        self,
        known: KnownPairs,
        number: int,
        progress: Progress,
        *,
        guessing: Guessing | None = None,
    ) -> Relearnt:
        """Features by a backbone that learnt from known pairs of the training images' rows.

        Those of the given weights where it is no better.

        Args:
            number: of the round, which has its own training.
            progress: may raise `Cancelled`; the training is kept.
            guessing: what is guessed of other pairs; None: nothing.
        """
        training, before = self._options.training, self._single[self._train]
        found = retrain_backbone(
            self._backbone(),
            self._pixels,
            before,
            known,
            training,
            seed=self._seed,
            device=self._device,
            turned=self._views is Views.MULTI,
            guessing=guessing,
            state=self._folder / f"round-{number}.safetensors",
            progress=part_of(progress, 0.0, 0.8),
        )
        if not found.is_better:
            return Relearnt(self._archive.features, found.note)
        rest = part_of(progress, 0.8, 1.0)
        after = self._embedded(found.backbone, Views.SINGLE, rest)
        judge = RetrainedJudge(known, training, seed=self._seed, device=self._device)
        problem = judge.worse(before, after[self._train])
        if problem:
            return Relearnt(self._archive.features, problem)
        if not self._plain:
            look_at_scales(found.backbone, self._options.descriptor.scales)
            after = self._embedded(found.backbone, self._views, rest)
        return Relearnt(after, f"The backbone was retrained: {judge.words}")

    @cached_property
    def _single(self) -> FloatArray:
        """[N, D] features of the single view at scale 1 by the given weights."""
        if self._plain:
            return self._archive.features
        cache = FeatureCache(self._options.cache / "features")
        return self._features(self._backbone(), Views.SINGLE, cache, silent)

    @cached_property
    def _pixels(self) -> Pixels:
        return open_pixels(
            [self._archive.files[row] for row in self._train],
            size_px=self._options.image_size_px,
            device=self._device,
            resident_mb=self._options.training.full.resident_mb,
            bands=self._options.bands,
        )

    @property
    def _plain(self) -> bool:
        """Whether the curve's features are those that a network learns from."""
        descriptor = self._options.descriptor
        return self._views is Views.SINGLE and descriptor == descriptor.at_scale_one

    def _backbone(self) -> Backbone:
        descriptor = self._options.descriptor.at_scale_one
        backbone = build_backbone(self._options.backbone, seed=0, descriptor=descriptor)
        furnish(backbone, self._options, self._archive.bands)
        return backbone

    def _embedded(self, backbone: Backbone, views: Views, progress: Progress) -> FloatArray:
        return self._features(backbone, views, FeatureCache(self._folder / "features"), progress)

    def _features(
        self, backbone: Backbone, views: Views, cache: FeatureCache, progress: Progress
    ) -> FloatArray:
        return features_for(
            self._archive.files,
            backbone,
            cache=cache,
            size_px=self._options.image_size_px,
            views=views,
            device=self._device,
            progress=progress,
        )


def unfinished_folder(out: Path, identity: Mapping[str, Any]) -> Path:
    """Where the curves of these options keep what they go on with; of other options it is gone."""
    digest = hashlib.sha256(json.dumps(dict(identity), sort_keys=True).encode()).hexdigest()[:16]
    wanted = out / _FOLDER / digest
    for other in wanted.parent.glob("*"):
        if other != wanted:
            shutil.rmtree(other, ignore_errors=True)
    _remove_if_empty(wanted.parent)
    return wanted


def forget_unfinished(folder: Path) -> None:
    """Delete what a curve kept: it is whole."""
    shutil.rmtree(folder, ignore_errors=True)
    for parent in folder.parents[:2]:  # of these options, and of all
        _remove_if_empty(parent)


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
