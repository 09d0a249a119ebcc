"""What the catalogue knows of an image."""

from dataclasses import dataclass
from enum import StrEnum

SMALL_ARCHIVE = 100  # images; below it, a handful of queries decides every quality figure


class Part(StrEnum):
    """Which part of the split an image belongs to; queries are validation, the gallery is test."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class ScannedImage:
    """A readable image file, before it has an id.

    Attributes:
        path: relative to the archive's root, with forward slashes.
        sha256: of the file's bytes.
        pixel_sha256: of the decoded, upright RGB pixels; equal for identical pictures.
        perceptual_hash: hexadecimal, for near-duplicates.
        class_name: the folder's name where a folder is a class, else None.
    """

    path: str
    sha256: str
    pixel_sha256: str
    perceptual_hash: str
    width_px: int
    height_px: int
    class_name: str | None


@dataclass(frozen=True)
class ImageRecord:
    """A catalogued image.

    Attributes:
        duplicate_group: images with identical pixels share it.
        split_group: images that must stay in one part (duplicates and near-duplicates) share it.
    """

    image_id: int
    path: str
    sha256: str
    pixel_sha256: str
    perceptual_hash: str
    width_px: int
    height_px: int
    class_name: str | None
    duplicate_group: int
    split_group: int
    part: Part


@dataclass(frozen=True)
class QuarantinedFile:
    """A file of the archive that cannot be used, and why."""

    path: str
    reason: str
