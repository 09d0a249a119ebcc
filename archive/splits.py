"""Which images train, which ask (validation: queries) and which answer (test: gallery)."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from domain.errors import ArchiveError, InputError
from domain.images import Part

SHARES = MappingProxyType({Part.TRAIN: 0.8, Part.VALIDATION: 0.1, Part.TEST: 0.1})

_FEWEST_GROUPS = 3


def assign_parts(
    split_groups: Sequence[int],
    *,
    seed: int,
    existing: Sequence[Part | None] | None = None,
    shares: Mapping[Part, float] = SHARES,
) -> list[Part]:
    """[N] the part of each image: 80/10/10 by image, drawn at random, whole groups on one side.

    Sizes are exact where groups allow. Images that already have a part keep it, and new images
    of their groups follow them; if such a group lies on two sides already (two old images that a
    newer one links), the new ones go to training.

    Args:
        split_groups: [N] from `archive.duplicates.split_groups`.
        seed: the same seed and groups give the same parts.
        existing: [N] the part of each image that has one; all are new if left out.
        shares: of the images; other than 80/10/10 for studies of papers that split otherwise.

    Raises:
        ArchiveError: fewer than three groups, so that a part would be empty.
        InputError: `existing` has another length.

    Source: ANNEAL, experimental set-up (80/10/10 over images).
    """
    fixed: list[Part | None] = [None] * len(split_groups)
    if existing is not None:
        fixed = list(existing)
    if len(fixed) != len(split_groups):
        raise InputError(
            f"{len(fixed)} existing parts for {len(split_groups)} images; one each is needed.",
            "Pass None for new images.",
        )
    members = _members(split_groups)
    if len(members) < _FEWEST_GROUPS:
        raise ArchiveError(
            f"The archive has {len(members)} distinct readable "
            f"{'image' if len(members) == 1 else 'images'}; at least {_FEWEST_GROUPS} are needed, "
            "one each to train, to ask and to search.",
            "Add images to the folder and try again.",
        )
    room = _targets(len(fixed), shares)
    return _assign(members, fixed, room, np.random.default_rng(seed))


def _assign(
    members: dict[int, list[int]],
    fixed: list[Part | None],
    room: dict[Part, int],
    rng: np.random.Generator,
) -> list[Part]:
    parts = list(fixed)
    free = [rows for rows in members.values() if not _follow(rows, parts)]
    for part in parts:
        if part is not None:
            room[part] -= 1
    shuffled = [free[int(at)] for at in rng.permutation(len(free))]
    shuffled.sort(key=len, reverse=True)  # stable: singles, last, fill the sizes exactly
    empty = {part for part in Part if part not in parts}
    for waiting, rows in zip(range(len(shuffled), 0, -1), shuffled, strict=True):
        part = _choose(len(rows), room, empty if waiting <= len(empty) else set(), rng)
        empty.discard(part)
        room[part] -= len(rows)
        for row in rows:
            parts[row] = part
    return [part if part is not None else Part.TRAIN for part in parts]


def _follow(rows: list[int], parts: list[Part | None]) -> bool:
    """Give new images of a group the part its old ones have; False if all are new."""
    known = {part for row in rows if (part := parts[row]) is not None}
    if not known:
        return False
    part = known.pop() if len(known) == 1 else Part.TRAIN
    for row in rows:
        parts[row] = parts[row] or part
    return True


def _choose(
    size: int, room: dict[Part, int], must_fill: set[Part], rng: np.random.Generator
) -> Part:
    """A part with room for the group, at random in proportion to the room; else the roomiest."""
    if must_fill:
        return max(must_fill, key=lambda part: (room[part], part))
    fitting = [part for part in Part if room[part] >= size]
    if not fitting:
        return max(Part, key=lambda part: room[part])
    weights = np.array([room[part] for part in fitting], float)
    return fitting[int(rng.choice(len(fitting), p=weights / weights.sum()))]


def _targets(count: int, shares: Mapping[Part, float]) -> dict[Part, int]:
    """Images a part, at least one each; what rounding leaves goes to training."""
    small = {part: max(1, round(count * shares[part])) for part in (Part.VALIDATION, Part.TEST)}
    return {Part.TRAIN: count - sum(small.values()), **small}


def _members(groups: Sequence[int]) -> dict[int, list[int]]:
    members: dict[int, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    return members
