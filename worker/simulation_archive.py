"""An archive whose folders are classes, as a simulation sees it: features, classes, splits."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from archive.duplicates import duplicate_groups, split_groups
from archive.scan import Scan, scan
from archive.splits import assign_parts
from domain.arrays import FloatArray, IntArray
from domain.config import Views
from domain.errors import InputError
from domain.images import Part, ScannedImage
from domain.jobs import Progress, part_of, silent
from training.backbones import Backbone, adapt_to_bands, build_backbone
from training.device import resolve_device
from training.feature_cache import FeatureCache
from training.features import ImageFile, features_for
from training.preprocessing import BandStatistics
from training.weights import WeightsInfo, WeightsKind, load_weights
from worker.bands import bands_of_files
from worker.simulation_options import SimulationOptions
from workflow.published import figures_of


@dataclass(frozen=True)
class SimulationArchive:
    """The images that have a class, in the order of their paths.

    Attributes:
        features: [N, D] frozen features.
        labels: [N] class numbers 0…C-1.
        copies: [N] equal for images with identical pixels.
        split_groups: [N] equal for images that stay in one part.
        digest: of paths, contents and features: equal for the same archive and backbone.
        notes: what whoever reads the figures should know.
        published: a paper's mAP@5 by what it is of, where the archive is the paper's.
        class_names: [C].
        files: [N] hash and path of each, for what looks at the images themselves.
        bands: what images are normalised with; None: they are read in red, green and blue.
    """

    features: FloatArray
    labels: IntArray
    copies: IntArray
    split_groups: IntArray
    digest: str
    notes: tuple[str, ...] = ()
    published: Mapping[str, float] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    files: tuple[ImageFile, ...] = ()
    bands: BandStatistics | None = None


@dataclass(frozen=True)
class FrozenFeatures:
    """What a network that is not trained says of images.

    Attributes:
        features: [N, D].
        notes: what whoever reads the figures should know.
        bands: measured on images of all parts, as features are the same for all seeds.
    """

    features: FloatArray
    notes: tuple[str, ...]
    bands: BandStatistics | None


@dataclass(frozen=True)
class SeedSplit:
    """One seed's parts: rows of the archive, each in ascending order."""

    train: IntArray
    queries: IntArray
    gallery: IntArray


def read_archive(options: SimulationOptions, progress: Progress) -> SimulationArchive:
    """The archive with its features, which come from the cache where they can.

    Raises:
        ArchiveError: the folder cannot be used.
        InputError: fewer than two classes.
    """
    found = scan(options.images, bands=options.bands, progress=part_of(progress, 0.0, 0.3))
    images = sorted(
        (image for image in found.images if image.class_name is not None), key=lambda i: i.path
    )
    classes = sorted({image.class_name or "" for image in images})
    if len(classes) < 2:
        raise InputError(
            f"{str(options.images)!r} has {len(classes)} classes; a simulation needs 2 or more.",
            _classes_hint(found),
        )
    frozen = archive_features(options, images, part_of(progress, 0.3, 1.0))
    number = {name: label for label, name in enumerate(classes)}
    pixels = [image.pixel_sha256 for image in images]
    notes = frozen.notes
    if found.quarantined:
        notes = (*notes, f"{len(found.quarantined)} files could not be read and were left out.")
    return SimulationArchive(
        features=frozen.features,
        labels=np.array([number[image.class_name or ""] for image in images]),
        copies=np.array(duplicate_groups(pixels)),
        split_groups=np.array(split_groups(pixels, [image.perceptual_hash for image in images])),
        digest=_digest(images, frozen.features),
        notes=notes,
        published=dict(figures_of(len(images), classes)),
        class_names=tuple(classes),
        files=image_files(options, images),
        bands=frozen.bands,
    )


def _classes_hint(found: Scan) -> str:
    hint = "The oracle answers by folder names: name a folder with one sub-folder for each class."
    if not found.quarantined:
        return hint
    first = found.quarantined[0]
    return f"{hint} {len(found.quarantined)} were put aside, first {first.path!r}: {first.reason}"


def split(archive: SimulationArchive, seed: int) -> SeedSplit:
    """Training images, queries (validation) and gallery (test) of a seed.

    Raises:
        InputError: the training images are of one class.
    """
    parts = assign_parts(archive.split_groups.tolist(), seed=seed)
    rows = {part: np.flatnonzero([each is part for each in parts]) for part in Part}
    if len(np.unique(archive.labels[rows[Part.TRAIN]])) < 2:
        raise InputError(
            f"With seed {seed} all training images are of one class.", "Use a larger archive."
        )
    return SeedSplit(rows[Part.TRAIN], rows[Part.VALIDATION], rows[Part.TEST])


def archive_features(
    options: SimulationOptions, images: list[ScannedImage], progress: Progress
) -> FrozenFeatures:
    """Features of images by the network as it is given, from the cache where they can be.

    Raises:
        ArchiveError, ModelError: an image or the weights cannot be used.
    """
    files = image_files(options, images)
    paths, first = [path for _, path in files], part_of(progress, 0.0, 0.05)
    bands = bands_of_files(paths, options.bands, size_px=options.image_size_px, progress=first)
    backbone = build_backbone(options.backbone, seed=0, descriptor=options.descriptor)
    weights = furnish(backbone, options, bands, part_of(progress, 0.05, 0.1))
    features = features_for(
        files,
        backbone,
        cache=FeatureCache(options.cache / "features"),
        size_px=options.image_size_px,
        views=Views(options.views),
        device=resolve_device(options.device),
        progress=part_of(progress, 0.1, 1.0),
    )
    untrained = weights.kind is WeightsKind.UNTRAINED
    return FrozenFeatures(features, (weights.note,) if untrained else (), bands)


def furnish(
    backbone: Backbone,
    options: SimulationOptions,
    bands: BandStatistics | None,
    progress: Progress = silent,
) -> WeightsInfo:
    """Give a network weights and bands as every curve starts with them; which, in words.

    Raises:
        ModelError: the weights cannot be used.
    """
    weights = load_weights(backbone, options.weights, progress=progress)
    if bands is not None:
        adapt_to_bands(backbone, bands)
    return weights


def image_files(options: SimulationOptions, images: list[ScannedImage]) -> tuple[ImageFile, ...]:
    """Hash and path of images, for what looks at them."""
    return tuple((image.sha256, options.images / image.path) for image in images)


def _digest(images: list[ScannedImage], features: FloatArray) -> str:
    digest = hashlib.sha256()
    for image in images:
        digest.update(f"{image.path}\0{image.sha256}\n".encode())
    digest.update(np.ascontiguousarray(features, dtype="<f4").tobytes())
    return digest.hexdigest()
