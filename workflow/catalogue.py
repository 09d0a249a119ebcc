"""The catalogue: from a folder of images to rows with ids, groups and parts."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from archive.decode import COLOUR_BANDS
from archive.placing import place
from archive.scan import Scan, scan
from domain.config import Layout
from domain.errors import ArchiveError, shortened
from domain.images import SMALL_ARCHIVE, ImageRecord, Part, QuarantinedFile
from domain.jobs import Progress, silent
from domain.pairs import Pair, pair
from domain.rounds import Proposal
from labeling_store import images, queue, rounds
from labeling_store.db import Store

FIRST_REASON = "First look: a random pair, asked while the model is being prepared."


@dataclass(frozen=True)
class IngestReport:
    """What an ingest changed: images now catalogued, new ones, and files put aside."""

    images: int
    added: int
    quarantined: int
    parts: dict[Part, int]
    class_names: int
    warnings: tuple[str, ...]


def ingest(
    store: Store,
    root: Path,
    *,
    layout: Layout,
    seed: int,
    exclude: Path | None = None,
    bands: int = COLOUR_BANDS,
    progress: Progress = silent,
) -> IngestReport:
    """Catalogue the images below a folder; those already known keep their id and their part.

    Args:
        store: people's work.
        root: the images folder.
        layout: with `auto` folders are classes or not as they were found to be at first.
        seed: of the split.
        exclude: the project's folder: where it lies among the images, its pictures are no images.
        bands: that the model reads of each image; see `scan`.
        progress: told about the files read.

    Raises:
        ArchiveError: the folder cannot be used, or has fewer than 3 distinct images; or somebody
            else is adding images at the same time.
    """
    old = images.list_images(store.reader())
    known = {image.path: image.sha256 for image in old}
    found = scan(
        root,
        layout=_kept(layout, old),
        known=known,
        exclude=exclude,
        bands=bands,
        progress=progress,
    )
    try:
        placement = place(old, found.images, seed=seed)
    except ArchiveError as error:
        raise _with_reasons(error, found.quarantined) from error
    with store.transaction() as db:
        if images.image_ids_by_path(db).keys() != known.keys():
            raise ArchiveError(
                "Images were added by somebody else at the same time; none are added now.",
                "Try again.",
            )
        images.add_images(
            db,
            found.images,
            duplicate_groups=placement.duplicate_groups,
            split_groups=placement.split_groups,
            parts=placement.parts,
        )
        images.quarantine(db, found.quarantined)
    return _report(store, found)


def ask_random_pairs(store: Store, *, count: int, spare: int = 0, seed: int) -> int:
    """Open round 1 with random pairs of training images, so that nobody waits for a model.

    Args:
        count: how many answers make the round.
        spare: how many more are asked, for people who go on while the model learns.

    Returns:
        How many questions were put; fewer where the training part is small.
    """
    training = images.list_images(store.reader(), part=Part.TRAIN)
    chosen = _random_pairs(training, count + spare, np.random.default_rng(seed))
    proposals = [Proposal(pair=each, score=0.0, reason=FIRST_REASON) for each in chosen]
    with store.transaction() as db:
        first = rounds.create_round(db, number=1, strategy="random", model=None, target=count)
        queue.add_proposals(db, first.round_id, proposals)
    return len(proposals)


def _random_pairs(training: list[ImageRecord], count: int, rng: np.random.Generator) -> list[Pair]:
    """Distinct pairs of images that are not copies of each other."""
    distinct = {image.duplicate_group: image.image_id for image in training}
    ids = sorted(distinct.values())
    if len(ids) * (len(ids) - 1) // 2 <= 4 * count:
        everything = [pair(a, b) for a, b in combinations(ids, 2)]
        order = rng.permutation(len(everything))[:count]
        return [everything[row] for row in order]
    chosen: dict[Pair, None] = {}
    while len(chosen) < count:
        a, b = rng.choice(ids, size=2, replace=False)
        chosen[pair(int(a), int(b))] = None
    return list(chosen)


def _kept(layout: Layout, old: list[ImageRecord]) -> Layout:
    """The layout, with `auto` as the catalogue shows that it was decided."""
    if layout is not Layout.AUTO or not old:
        return layout
    return Layout.CLASSES if any(image.class_name for image in old) else Layout.FLAT


def _with_reasons(error: ArchiveError, quarantined: list[QuarantinedFile]) -> ArchiveError:
    """The error that too few images remain; where files were put aside, with how many and why."""
    if not quarantined:
        return error
    count, first = len(quarantined), quarantined[0]
    files = "1 file was" if count == 1 else f"{count} files were"
    return ArchiveError(
        f"{error.message} {files} put aside; the first, {first.path!r}: {first.reason}",
        "Repair or replace the files put aside, or add other images, and try again.",
    )


def _report(store: Store, found: Scan) -> IngestReport:
    everything = images.list_images(store.reader())
    parts = {part: sum(image.part is part for image in everything) for part in Part}
    return IngestReport(
        images=len(everything),
        added=len(found.images),
        quarantined=len(found.quarantined),
        parts=parts,
        class_names=len({image.class_name for image in everything} - {None}),
        warnings=tuple(_warnings(len(everything), parts, found)),
    )


def _warnings(count: int, parts: dict[Part, int], found: Scan) -> Iterator[str]:
    if count < SMALL_ARCHIVE:
        yield (
            f"With {count} images ({parts[Part.VALIDATION]} queries) quality figures mean little; "
            f"{SMALL_ARCHIVE} or more are better."
        )
    if found.changed:
        yield (
            f"{len(found.changed)} catalogued files have other content now and were left as they "
            f"were: {shortened(found.changed)}. Give new pictures new names."
        )
    if found.missing:
        yield (
            f"{len(found.missing)} catalogued files are gone: {shortened(found.missing)}. "
            "Answers about them are kept; put the files back to use them."
        )
