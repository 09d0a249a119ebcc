"""Where new images belong: which old ones they are copies of, and on which side of the split."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from archive.duplicates import duplicate_groups, split_groups
from archive.splits import assign_parts
from domain.images import ImageRecord, Part, ScannedImage


@dataclass(frozen=True)
class Placement:
    """Groups and parts of new images, one each in their order; see `ImageRecord`."""

    duplicate_groups: list[int]
    split_groups: list[int]
    parts: list[Part]


def place(old: Sequence[ImageRecord], new: Sequence[ScannedImage], *, seed: int) -> Placement:
    """Groups and parts of images that join a catalogue, whose own stay as they are.

    A new image with the pixels of an old one gets its groups and its part; one that looks nearly
    like old ones follows them (`archive.splits.assign_parts` says how where these lie on two
    sides). Other images get group numbers that no old image has. Images of one split group lie
    in one part.

    Args:
        old: the catalogue; empty for a new one.
        new: images that are not in it.
        seed: the same seed and images give the same parts.

    Raises:
        ArchiveError: fewer than three distinct images, old and new together.
    """
    both: list[ImageRecord | ScannedImage] = [*old, *new]
    pixels = [image.pixel_sha256 for image in both]
    together = split_groups(pixels, [image.perceptual_hash for image in both])
    originals = {image.pixel_sha256: image for image in reversed(old)}
    copied = [originals.get(image.pixel_sha256) for image in new]
    existing = [None if image is None else image.part for image in [*old, *copied]]
    parts = assign_parts(together, seed=seed, existing=existing)
    # One look may lie on two sides: new images can link old ones that were apart.
    sides = list(zip(together, parts, strict=True))
    numbers = _continued(sides, [image.split_group for image in old])
    return Placement(
        duplicate_groups=_continued(
            duplicate_groups(pixels), [image.duplicate_group for image in old]
        ),
        split_groups=[
            number if image is None else image.split_group
            for number, image in zip(numbers, copied, strict=True)
        ],
        parts=parts[len(old) :],
    )


def _continued(keys: Sequence[Hashable], known: Sequence[int]) -> list[int]:
    """Numbers for the keys behind the known ones: that of the first equal key, or a new one."""
    numbers: dict[Hashable, int] = {}
    for key, number in zip(keys, known, strict=False):
        numbers.setdefault(key, number)
    free = max(known, default=-1) + 1
    found = []
    for key in keys[len(known) :]:
        if key not in numbers:
            numbers[key] = free
            free += 1
        found.append(numbers[key])
    return found
