"""New images keep to the groups and the side of the split of those they look like."""

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.duplicates import split_groups
from archive.placing import place
from domain.errors import ArchiveError
from domain.images import ImageRecord, Part, ScannedImage

BITS = 768


def look(seed: int, changed: int = 0) -> str:
    """A perceptual hash; with `changed` bits flipped, always the same ones."""
    bits = np.random.default_rng(seed).random(BITS) < 0.5
    bits[:changed] ^= True
    return np.packbits(bits).tobytes().hex()


def scanned(path: str, seed: int, changed: int = 0) -> ScannedImage:
    pixels = f"pixels-{seed}-{changed}"
    return ScannedImage(path, f"bytes of {path}", pixels, look(seed, changed), 64, 64, None)


def catalogued(old: list[ImageRecord], new: list[ScannedImage], seed: int = 0) -> list[ImageRecord]:
    """The catalogue after another ingest."""
    placed = place(old, new, seed=seed)
    return old + [
        ImageRecord(
            image_id=len(old) + row + 1,
            **vars(image),
            duplicate_group=placed.duplicate_groups[row],
            split_group=placed.split_groups[row],
            part=placed.parts[row],
        )
        for row, image in enumerate(new)
    ]


def small_archive() -> list[ImageRecord]:
    """Three images, so few that near-duplicates a and b are not joined: one in each part."""
    first = [scanned("a", 1), scanned("b", 1, changed=10), scanned("c", 2)]
    old = catalogued([], first)
    assert {image.part for image in old} == set(Part)
    return old


def test_another_image_gets_groups_of_its_own() -> None:
    old = small_archive()
    *_, new = catalogued(old, [scanned("d", 3)])
    assert new.split_group not in {image.split_group for image in old}
    assert new.duplicate_group not in {image.duplicate_group for image in old}


@pytest.mark.parametrize("row", [0, 1, 2])
def test_a_copy_gets_the_groups_and_the_part_of_the_old_image(row: int) -> None:
    old = small_archive()
    scan = replace(scanned("x", 3), pixel_sha256=old[row].pixel_sha256)
    *_, new = catalogued(old, [replace(scan, perceptual_hash=old[row].perceptual_hash)])
    assert new.part is old[row].part
    assert new.split_group == old[row].split_group
    assert new.duplicate_group == old[row].duplicate_group


def test_a_copy_keeps_to_its_original_where_a_new_image_links_two_sides() -> None:
    old = [scanned(str(seed), seed) for seed in range(20)]
    old += [scanned("left", 77), scanned("right", 77, changed=40)]
    records = next(
        each
        for each in (catalogued([], old, seed) for seed in range(100))
        if {each[-2].part, each[-1].part} == {Part.VALIDATION, Part.TEST}
    )
    link, copy = scanned("link", 77, changed=20), scanned("copy of left", 77)
    *_, linked, copied = catalogued(records, [link, copy])
    assert linked.part is Part.TRAIN
    assert copied.part is records[-2].part
    assert copied.split_group == records[-2].split_group
    assert linked.split_group not in {image.split_group for image in records}


def test_too_few_distinct_images_are_refused() -> None:
    with pytest.raises(ArchiveError, match="2 distinct"):
        place([], [scanned("a", 1), scanned("b", 1), scanned("c", 2)], seed=0)


@settings(max_examples=60, deadline=None)
@given(
    looks=st.lists(st.tuples(st.integers(0, 8), st.sampled_from([0, 15, 30])), max_size=25),
    cuts=st.lists(st.integers(0, 25), max_size=3),
    seed=st.integers(0, 20),
)
def test_after_any_number_of_ingests_copies_share_all_and_groups_lie_in_one_part(
    looks: list[tuple[int, int]], cuts: list[int], seed: int
) -> None:
    looks = [(100, 0), (101, 0), (102, 0), *looks]
    images = [scanned(str(row), *each) for row, each in enumerate(looks)]
    bounds = [0, *sorted(3 + cut for cut in cuts), len(images)]
    records: list[ImageRecord] = []
    for start, end in pairwise(bounds):
        records = catalogued(records, images[start:end], seed)
    parts, pixels, copies = defaultdict(set), defaultdict(set), defaultdict(set)
    for image in records:
        parts[image.split_group].add(image.part)
        pixels[image.duplicate_group].add(image.pixel_sha256)
        copies[image.pixel_sha256].add((image.duplicate_group, image.split_group, image.part))
    assert all(len(each) == 1 for each in (*parts.values(), *pixels.values(), *copies.values()))
    chained = split_groups(
        [image.pixel_sha256 for image in records], [image.perceptual_hash for image in records]
    )
    of_group = defaultdict(set)
    for image, chain in zip(records, chained, strict=True):
        of_group[image.split_group].add(chain)
    assert all(len(each) == 1 for each in of_group.values())
