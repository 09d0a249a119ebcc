from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.duplicates import split_groups
from archive.splits import assign_parts
from domain.errors import ArchiveError, InputError
from domain.images import Part

TRAIN, VALIDATION, TEST = Part.TRAIN, Part.VALIDATION, Part.TEST

group_lists = st.lists(st.integers(0, 40), min_size=3, max_size=120).filter(
    lambda groups: len(set(groups)) >= 3
)


def sizes(parts: list[Part]) -> tuple[int, int, int]:
    counts = Counter(parts)
    return counts[TRAIN], counts[VALIDATION], counts[TEST]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (3, (1, 1, 1)),
        (4, (2, 1, 1)),
        (10, (8, 1, 1)),
        (100, (80, 10, 10)),
        (2100, (1680, 210, 210)),
    ],
)
def test_sizes_of_an_archive_without_copies(count, expected):
    assert sizes(assign_parts(range(count), seed=0)) == expected


@given(groups=group_lists, seed=st.integers(0, 1000))
def test_groups_stay_whole_and_no_part_is_empty(groups, seed):
    parts = assign_parts(groups, seed=seed)
    sides = defaultdict(set)
    for group, part in zip(groups, parts, strict=True):
        sides[group].add(part)
    assert all(len(side) == 1 for side in sides.values())
    assert min(sizes(parts)) >= 1


@given(groups=group_lists, seed=st.integers(0, 1000))
def test_same_seed_gives_the_same_parts(groups, seed):
    assert assign_parts(groups, seed=seed) == assign_parts(groups, seed=seed)


def test_another_seed_gives_another_split():
    assert assign_parts(range(100), seed=0) != assign_parts(range(100), seed=1)


def test_every_image_is_equally_likely_to_be_a_query():
    """1000 splits of 30 images into 24/3/3: counts within 5 standard errors of 100."""
    counts = np.zeros(30)
    for seed in range(1000):
        counts += [part is VALIDATION for part in assign_parts(range(30), seed=seed)]
    assert np.abs(counts - 100).max() < 5 * np.sqrt(1000 * 0.1 * 0.9)


def test_some_small_groups_leave_the_sizes_exact():
    groups = [*range(90), *[90] * 2, *[91] * 4, *[92] * 4]
    for seed in range(50):
        assert sizes(assign_parts(groups, seed=seed)) == (80, 10, 10)


def test_a_group_that_fits_nowhere_else_trains():
    groups = [0] * 50 + list(range(1, 51))
    parts = assign_parts(groups, seed=0)
    assert set(parts[:50]) == {TRAIN}
    assert sizes(parts) == (80, 10, 10)


@given(groups=group_lists, seed=st.integers(0, 100), data=st.data())
def test_old_images_keep_their_part_and_copies_follow_them(groups, seed, data):
    old = data.draw(st.integers(0, len(groups)))
    before: list[Part | None] = [None] * len(groups)
    if len(set(groups[:old])) >= 3:
        before[:old] = assign_parts(groups[:old], seed=seed)
    after = assign_parts(groups, seed=seed, existing=before)
    for row, part in enumerate(before):
        assert part is None or after[row] is part
    for row in range(old, len(groups)):
        if groups[row] in groups[:old]:
            assert after[row] is after[groups.index(groups[row])]


def test_growing_archives_keep_the_shares():
    parts = assign_parts(range(1000), seed=0)
    for count in (1010, 1500, 3000):
        parts = assign_parts(
            range(count), seed=0, existing=[*parts, *[None] * (count - len(parts))]
        )
        assert sizes(parts) == (count * 8 // 10, count // 10, count // 10)


def test_new_copies_of_images_on_two_sides_train():
    existing = [TRAIN, VALIDATION, TEST, None]
    parts = assign_parts([0, 1, 1, 1, 2], seed=0, existing=[*existing, None])
    assert parts[:4] == [TRAIN, VALIDATION, TEST, TRAIN]


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ([], "0 distinct readable images"),
        ([5], "1 distinct readable image;"),
        ([1, 1, 2], "2 distinct"),
    ],
)
def test_fewer_than_three_distinct_images_are_refused(groups, words):
    with pytest.raises(ArchiveError, match=words) as caught:
        assign_parts(groups, seed=0)
    assert "at least 3 are needed" in caught.value.message
    assert caught.value.hint


def test_existing_parts_of_another_length_are_refused():
    with pytest.raises(InputError, match="2 existing parts for 3 images"):
        assign_parts([0, 1, 2], seed=0, existing=[None, None])


@pytest.mark.real_data
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_uc_merced_splits_as_in_the_paper(uc_merced, seed):
    images = uc_merced.images
    groups = split_groups(
        [image.pixel_sha256 for image in images], [image.perceptual_hash for image in images]
    )
    assert sizes(assign_parts(groups, seed=seed)) == (1680, 210, 210)


def test_a_study_can_split_as_its_paper_does():
    shares = {Part.TRAIN: 0.6, Part.VALIDATION: 0.2, Part.TEST: 0.2}
    parts = assign_parts(range(50), seed=0, shares=shares)
    assert [parts.count(part) for part in shares] == [30, 10, 10]
