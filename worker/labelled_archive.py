"""An archive whose images have several labels each: features, labels, pixels, and copies."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from archive.duplicates import split_groups
from archive.label_sets import LabelSets, read_label_sets
from archive.scan import scan
from domain.arrays import BoolArray, FloatArray, IntArray
from domain.config import FullDepthSettings, Views
from domain.errors import InputError, shortened
from domain.images import ScannedImage
from domain.jobs import Progress, part_of
from training.backbones import Backbone, build_backbone
from training.device import resolve_device
from training.pixels import Pixels, open_pixels
from training.preprocessing import BandStatistics
from worker.simulation_archive import archive_features, furnish, image_files
from worker.simulation_options import SimulationOptions


@dataclass(frozen=True)
class LabelledArchive:
    """Images that have labels, in the order of their paths.

    Attributes:
        features: [N, D] by the backbone as it is given.
        labels: [N, L] whether an image has a label.
        split_groups: [N] equal for images that stay in one part.
        pixels: the images themselves.
        bands: what they are normalised with; None: they are read in red, green and blue.
    """

    features: FloatArray
    labels: BoolArray
    split_groups: IntArray
    pixels: Pixels
    bands: BandStatistics | None = None

    def digest(self) -> str:
        """Equal for the same images, features and labels."""
        found = hashlib.sha256()
        for values in (self.features.astype("<f4"), self.labels, self.split_groups):
            found.update(np.ascontiguousarray(values).tobytes())
        return found.hexdigest()


def read_labelled(
    options: SimulationOptions, labels: Path, full: FullDepthSettings | None, progress: Progress
) -> LabelledArchive:
    """The images of a table of labels.

    Args:
        options: which archive, backbone, size of images and views. Whole networks see one view at
            scale 1.
        labels: file of `archive.label_sets`; it names images by path, file name or stem.
        full: how whole networks learn; None: heads do, and images are not kept in memory.
        progress: told what is read; may raise `Cancelled`.

    Raises:
        InputError: the table does not fit the archive.
        ArchiveError, ModelError: the archive or the weights cannot be used.
    """
    if full is not None:
        descriptor = options.descriptor.at_scale_one
        options = replace(options, views=Views.SINGLE.value, descriptor=descriptor)
    found = scan(options.images, bands=options.bands, progress=part_of(progress, 0.0, 0.3))
    images, values = _matched(found.images, read_label_sets(labels))
    frozen = archive_features(options, images, part_of(progress, 0.3, 0.9))
    groups = split_groups(
        [image.pixel_sha256 for image in images], [image.perceptual_hash for image in images]
    )
    pixels = open_pixels(
        image_files(options, images),
        size_px=options.image_size_px,
        device=resolve_device(options.device),
        resident_mb=0 if full is None else full.resident_mb,
        bands=options.bands,
        progress=part_of(progress, 0.9, 1.0),
    )
    return LabelledArchive(frozen.features, values, np.array(groups), pixels, frozen.bands)


def given_network(options: SimulationOptions, bands: BandStatistics | None) -> Backbone:
    """The backbone with the weights and bands that the features were made with, at scale 1."""
    descriptor = options.descriptor.at_scale_one
    backbone = build_backbone(options.backbone, seed=0, descriptor=descriptor)
    furnish(backbone, options, bands)
    return backbone


def _matched(
    images: Sequence[ScannedImage], table: LabelSets
) -> tuple[list[ScannedImage], BoolArray]:
    """The images in the table, by path, and their labels.

    Raises:
        InputError: an image of the table is not in the archive.
    """
    row_of = {name: row for row, name in enumerate(table.images)}
    found = []
    for image in sorted(images, key=lambda each: each.path):
        path = PurePosixPath(image.path)
        names = [name for name in (image.path, path.name, path.stem) if name in row_of]
        found += [(image, row_of[names[0]])] if names else []
    missing = set(range(len(table.images))) - {row for _, row in found}
    if missing or len(found) != len(table.images):
        raise InputError(
            f"Of {len(table.images)} images with labels {len(missing)} are not in the archive "
            f"({shortened([table.images[row] for row in sorted(missing)])}), and {len(found)} "
            "files have their names.",
            "Name each image by its path in the archive, or by a file name that occurs once.",
        )
    return [image for image, _ in found], table.values[[row for _, row in found]]
