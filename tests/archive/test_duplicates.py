import io
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from archive import duplicates
from archive.duplicates import NEAR_DUPLICATE, duplicate_groups, split_groups
from archive.fingerprint import perceptual_hash, pixel_sha256
from domain.errors import InputError
from tests.archive.pictures import encoded


def scenery(seed: int) -> Image.Image:
    """A smooth picture, as photographs are at the size of a hash."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC)


def groups_of(pictures: list[Image.Image], **options: object) -> list[int]:
    hashes = [perceptual_hash(picture) for picture in pictures]
    return split_groups([pixel_sha256(picture) for picture in pictures], hashes, **options)


def random_hashes(count: int, seed: int) -> list[str]:
    """Hashes of which some differ in a few bits from others, and some are flat."""
    rng = np.random.default_rng(seed)
    shares = np.where(rng.random((count, 1)) < 0.2, rng.uniform(0, 0.06), rng.uniform(0, 1))
    bits = rng.random((count, 768)) < shares
    for row in range(1, count):
        if rng.random() < 0.5:
            changed = rng.choice(768, int(rng.integers(0, 40)), replace=False)
            bits[row] = bits[rng.integers(row)]
            bits[row, changed] ^= True
    return [np.packbits(row).tobytes().hex() for row in bits]


def bits_told(channel: str) -> int:
    """How many of a channel's 256 bits are the rarer ones."""
    ones = int(channel, 16).bit_count()
    return min(ones, 256 - ones)


def brute_force_groups(hashes: list[str], threshold: int) -> list[set[int]]:
    """Every pair compared in a plain loop; groups merged until nothing changes."""
    groups = [{row} for row in range(len(hashes))]
    numbers = [int(text, 16) for text in hashes]
    told = [sum(map(bits_told, (text[:64], text[64:128], text[128:]))) for text in hashes]
    for a in range(len(hashes)):
        for b in range(a):
            differing = (numbers[a] ^ numbers[b]).bit_count()
            if differing <= threshold and min(told[a], told[b]) > threshold:
                mine = next(group for group in groups if a in group)
                other = next(group for group in groups if b in group)
                if mine is not other:
                    mine |= other
                    groups.remove(other)
    return groups


def test_identical_pixels_share_a_duplicate_group():
    assert duplicate_groups(["p", "q", "p", "r", "q"]) == [0, 1, 0, 2, 1]
    assert duplicate_groups([]) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: Image.open(io.BytesIO(encoded(picture, "JPEG", quality=50))),
        lambda picture: picture.resize((80, 60)),
        lambda picture: picture.crop((1, 1, 159, 119)),
        lambda picture: ImageEnhance.Brightness(picture).enhance(1.08),
        lambda picture: picture.point(lambda value: min(255, value + 12)),
    ],
    ids=["recompressed", "smaller", "cropped by a pixel", "brighter", "lighter haze"],
)
def test_slightly_changed_copies_are_joined(change):
    pictures = [scenery(seed) for seed in range(6)]
    copy = change(pictures[2]).convert("RGB")
    assert groups_of([*pictures, copy]) == [0, 1, 2, 3, 4, 5, 2]


def test_different_pictures_stay_apart():
    assert groups_of([scenery(seed) for seed in range(60)]) == list(range(60))


def test_flat_pictures_are_joined_only_if_identical():
    """Their hashes carry no shape, so all of them would look alike."""
    colours = ["red", "green", "blue", "white", "red"]
    assert groups_of([Image.new("RGB", (30, 30), name) for name in colours]) == [0, 1, 2, 3, 0]


def test_near_duplicates_are_kept_apart_where_too_few_groups_would_remain():
    pictures = [scenery(1).point(lambda value, step=step: value + step) for step in range(3)]
    assert groups_of(pictures) == [0, 1, 2]
    assert groups_of(pictures, fewest=1) == [0, 0, 0]


def test_identical_pictures_are_joined_even_where_too_few_groups_would_remain():
    assert groups_of([scenery(1), scenery(1), scenery(2)]) == [0, 0, 1]


def changed(text: str, bits: int) -> str:
    """The hash with its first bits turned round."""
    return f"{int(text, 16) ^ (2**bits - 1):0192x}"


def test_hashes_are_near_up_to_24_of_768_bits():
    half = "0f" * 96
    assert split_groups(["a", "b"], [half, changed(half, 24)], fewest=1) == [0, 0]
    assert split_groups(["a", "b"], [half, changed(half, 25)], fewest=1) == [0, 1]


def test_chains_make_one_group():
    chain = [changed("0f" * 96, 20 * step) for step in range(5)]
    assert split_groups(["a", "b"], [chain[0], chain[-1]], fewest=1) == [0, 1]
    assert split_groups(list("abcde"), chain, fewest=1) == [0] * 5


def test_a_hash_tells_for_each_channel_where_it_is_brighter_than_on_average():
    """Red lights the upper half, green the left half, blue is even."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32, :, 0], pixels[:, :32, 1], pixels[:, :, 2] = 200, 200, 90
    assert perceptual_hash(Image.fromarray(pixels)) == (
        "ffff" * 8 + "0000" * 8 + "ff00" * 16 + "0000" * 16
    )


@given(count=st.integers(0, 60), seed=st.integers(0, 10**6), block=st.integers(1, 64))
@settings(max_examples=60, deadline=None)
def test_groups_equal_those_of_a_plain_loop(count, seed, block):
    hashes = random_hashes(count, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_BLOCK_ROWS", block)
        groups = split_groups([str(row) for row in range(count)], hashes, fewest=0)
    found = [{row for row in range(count) if groups[row] == group} for group in set(groups)]
    expected = brute_force_groups(hashes, NEAR_DUPLICATE)
    assert sorted(map(sorted, found)) == sorted(map(sorted, expected))
    assert groups == duplicate_groups([str(group) for group in groups])  # numbered from 0, in order


def test_lists_of_different_length_are_refused():
    with pytest.raises(InputError, match="2 pixel hashes but 1 perceptual"):
        split_groups(["a", "b"], [random_hashes(1, 0)[0]])


@pytest.mark.real_data
def test_known_near_duplicates_of_uc_merced_are_found_and_nothing_else(uc_merced):
    images = uc_merced.images
    groups = split_groups(
        [image.pixel_sha256 for image in images], [image.perceptual_hash for image in images]
    )
    large = [group for group, size in Counter(groups).items() if size > 1]
    names = [
        {image.path.split("/")[1][:-4] for image, own in zip(images, groups, strict=True)
         if own == group}
        for group in large
    ]  # fmt: skip
    assert sorted(map(sorted, names)) == [
        ["airplane01", "airplane02"],
        ["beach13", "beach14"],
        ["beach74", "beach75"],
        ["beach76", "beach77"],
        ["beach85", "beach86", "beach87", "beach88"],
    ]
