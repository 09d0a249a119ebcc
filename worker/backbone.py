"""The project's backbone with the best weights it can have, and the archive's features."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from archive.decode import COLOUR_BANDS
from archive.locate import image_file
from domain.arrays import FloatArray, IntArray
from domain.config import Views
from domain.descriptors import PLAIN, Descriptor, Pooling
from domain.errors import ModelError
from domain.images import ImageRecord, Part
from domain.jobs import Progress, part_of
from labeling_store import images
from training.backbones import Backbone, adapt_to_bands, build_backbone, look_at_scales
from training.device import device_in_words
from training.feature_cache import FeatureCache
from training.features import features_for, model_key
from training.preprocessing import BandStatistics
from training.warmup import warm_up
from training.weights import (
    WeightsInfo,
    WeightsKind,
    load_backbone,
    load_weights,
    save_backbone,
)
from worker.bands import bands_of
from workflow.project import CONFIG_NAME, Project
from workflow.run_files import BACKBONE, descriptor_of, reads_own_backbone
from workflow.speed import note_speed

FEW_IMAGES = 64  # all views of these take about 10 s on two cores: a round may wait for them


@dataclass(frozen=True)
class ArchiveFeatures:
    """Features of every catalogued image by one backbone, in the order of their ids.

    Attributes:
        features: [N, D] float32.
        weights: what the backbone was given.
        views: of which the features are.
        backbone_in: folder with the retrained backbone that made them; None: the project's did.
        bands: what images were normalised with; None where they are read in red, green and blue.
        descriptor: how each view became a feature.
    """

    records: tuple[ImageRecord, ...]
    features: FloatArray
    weights: WeightsInfo
    views: Views
    backbone_in: Path | None = None
    bands: BandStatistics | None = None
    descriptor: Descriptor = PLAIN

    @property
    def image_ids(self) -> IntArray:
        return np.array([record.image_id for record in self.records], dtype=np.int64)

    def rows_in(self, part: Part) -> IntArray:
        """Rows of the images of one part of the split."""
        return np.flatnonzero([record.part is part for record in self.records])


def run_backbone(
    project: Project,
    run: str,
    device: torch.device,
    progress: Progress,
    *,
    descriptor: Descriptor | None = None,
) -> tuple[Backbone, WeightsInfo]:
    """The backbone that a run reads: its own where it was retrained, else the project's.

    Args:
        descriptor: how features are made; of a retrained backbone the scales alone, as it learnt
            with its pooling. None: as those of the run were.

    Raises:
        ModelError: its file, or the weights that the settings name, cannot be used.
        ArchiveError: see `ready_backbone`.
    """
    folder = project.runs / run
    descriptor = descriptor or descriptor_of(folder)
    if reads_own_backbone(folder):
        backbone, info = load_backbone(folder / BACKBONE)
        look_at_scales(backbone, descriptor.scales)
        return backbone, info
    return ready_backbone(project, device, progress, run=run, descriptor=descriptor)


def ready_backbone(
    project: Project,
    device: torch.device,
    progress: Progress,
    *,
    run: str | None = None,
    descriptor: Descriptor | None = None,
) -> tuple[Backbone, WeightsInfo]:
    """The backbone with given or downloaded weights; warmed up where neither can be had.

    The warmed-up weights are kept in the project's cache and used from then on. Where images have
    other bands than red, green and blue, the first convolution takes these.

    Args:
        run: whose bands' statistics are used; None: the project's.
        descriptor: how features are made; None: as the settings say.

    Raises:
        ArchiveError: the file of a training image is gone when the backbone must be warmed up.
        ModelError: the weights file that the settings name cannot be used.
    """
    settings = project.config.model
    descriptor = descriptor or settings.descriptor
    name, seed = settings.backbone.value, project.config.seed
    backbone = build_backbone(name, seed=seed, descriptor=descriptor)
    bands = bands_of(project, run, part_of(progress, 0.0, 0.05))
    warmed = project.cache / "backbones" / _warmed_name(backbone, bands)
    if settings.weights is None and warmed.is_file():
        _take_bands(backbone, bands)
        return backbone, load_weights(backbone, warmed)
    progress(0.05, "looking for weights")
    info = _loaded(backbone, settings.weights, part_of(progress, 0.05, 0.1))
    _take_bands(backbone, bands)
    if info.kind is not WeightsKind.UNTRAINED:
        return backbone, info
    warm_up(
        backbone,
        [image_file(project.images_root, record.path) for record in _training_images(project)],
        seed=project.config.seed,
        device=device,
        progress=part_of(progress, 0.1, 1.0),
    )
    return backbone, save_backbone(backbone, warmed)


def _warmed_name(backbone: Backbone, bands: BandStatistics | None) -> str:
    """Of the file with weights that learnt through this pooling, from these bands."""
    pooling, power = backbone.descriptor.pooling, backbone.descriptor.power
    parts = [backbone.name, "warmed-up"]
    if pooling is not Pooling.MEAN:
        parts.append(f"{pooling}{power:g}" if pooling is Pooling.GEM else pooling.value)
    if bands is not None:
        parts.append(f"{len(bands)}bands")
    return f"{'-'.join(parts)}.safetensors"


def _take_bands(backbone: Backbone, bands: BandStatistics | None) -> None:
    if bands is not None:
        adapt_to_bands(backbone, bands)


def _loaded(backbone: Backbone, weights: Path | None, progress: Progress) -> WeightsInfo:
    try:
        return load_weights(backbone, weights, progress=progress)
    except ModelError as error:
        if weights is None:
            raise
        hint = f"Mend weights under [model] in {CONFIG_NAME}, then try again."
        raise ModelError(error.message, hint) from error


def archive_features(
    project: Project,
    device: torch.device,
    progress: Progress,
    *,
    views: Views | None = None,
    of: str | None = None,
    descriptor: Descriptor | None = None,
) -> ArchiveFeatures:
    """Features of the whole archive; only what is new is computed.

    Args:
        of: the run whose backbone makes them; None: the project's.
        views: of each image; None: all where the settings want them and they are there (a few new
            images may lack them), else the single one, so that nobody waits for the others.
        descriptor: how each view becomes a feature, as in `run_backbone`; None: as the settings
            say.

    Raises:
        ArchiveError: a new image's file is gone, or a file leads to outside the images folder.
    """
    # a warm-up takes longer than the single view; before all views it is long done
    start = 0.02 if views is Views.MULTI else 0.7
    ready = part_of(progress, 0.0, start)
    wanted = descriptor or project.config.model.descriptor
    if of is None:
        backbone, info = ready_backbone(project, device, ready, descriptor=wanted)
    else:
        backbone, info = run_backbone(project, of, device, ready, descriptor=wanted)
    rest = part_of(progress, start, 1.0)
    made = features_by(project, backbone, info, device, progress=rest, views=views)
    own = None if of is None else project.runs / of
    return replace(made, backbone_in=own if own is not None and reads_own_backbone(own) else None)


def features_by(
    project: Project,
    backbone: Backbone,
    info: WeightsInfo,
    device: torch.device,
    *,
    progress: Progress,
    views: Views | None = None,
) -> ArchiveFeatures:
    """As `archive_features`, by a backbone at hand."""
    records = images.list_images(project.store.reader())
    if views is None:
        views = _views_at_hand(project, backbone, records, device)
    size_px, cache = project.config.model.image_size_px, FeatureCache(project.cache / "features")
    hashes = {record.sha256 for record in records}
    key = model_key(backbone, size_px=size_px, device=device, views=views)
    new, began = len(hashes) - len(cache.stored(key, hashes)), time.monotonic()
    features = features_for(
        [(record.sha256, file_if_any(project, record)) for record in records],
        backbone,
        cache=cache,
        size_px=size_px,
        views=views,
        device=device,
        progress=progress,
    )
    if views is Views.SINGLE and new >= FEW_IMAGES:
        rate = round(new / max(time.monotonic() - began, 1e-9), 2)
        note_speed(project, device.type, device_in_words(device), embedded_per_s=rate)
    bands = None if project.config.model.bands == COLOUR_BANDS else backbone.bands
    return ArchiveFeatures(
        tuple(records), features, info, views, bands=bands, descriptor=backbone.descriptor
    )


def _views_at_hand(
    project: Project, backbone: Backbone, records: Sequence[ImageRecord], device: torch.device
) -> Views:
    settings = project.config.model
    if settings.views is Views.SINGLE:
        return Views.SINGLE
    key = model_key(backbone, size_px=settings.image_size_px, device=device, views=Views.MULTI)
    hashes = {record.sha256 for record in records}
    there = FeatureCache(project.cache / "features").stored(key, hashes)
    return Views.MULTI if len(hashes) - len(there) <= FEW_IMAGES else Views.SINGLE


def file_if_any(project: Project, record: ImageRecord) -> Path:
    """Where the image lies, or would if it were not gone: its features may be kept already."""
    place = project.images_root / record.path
    if not os.path.lexists(place):
        return place
    return image_file(project.images_root, record.path)


def _training_images(project: Project) -> Sequence[ImageRecord]:
    return images.list_images(project.store.reader(), part=Part.TRAIN)
