"""Whether a project is whole: its databases, the labels worked out, and the files referred to."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from archive.locate import image_file
from domain.errors import AnnealError, ArchiveError, StoreError, shortened
from domain.images import ImageRecord
from domain.jobs import Progress, part_of, silent
from labeling_store import images, runs
from labeling_store.checks import damage, lost_answers, missing_parts, stale_conflicts
from labeling_store.failures import translated
from workflow.backup import sha256_of
from workflow.project import Project
from workflow.run_files import is_usable, read_embeddings

SAMPLE_IMAGES = 200  # read whole: some seconds; a change of one in a hundred is found with 87 %


@dataclass(frozen=True)
class Verdict:
    """What was looked at, and what is wrong; nothing wrong is good.

    Attributes:
        checked: what was looked at, a line each.
        problems: what a person must mend, a sentence each.
    """

    checked: tuple[str, ...]
    problems: tuple[str, ...]


def verify(
    project: Project,
    *,
    sample: int | None = SAMPLE_IMAGES,
    seed: int = 0,
    progress: Progress = silent,
) -> Verdict:
    """Look at everything a project needs; changes nothing, and people go on meanwhile.

    Args:
        project: may be in use.
        sample: of how many images the content is compared with the catalogue; None: all.
        seed: of the choice of these images.
        progress: told about the steps.
    """
    records = _readable(project)
    chosen = _sample(records, sample, seed)
    steps: list[tuple[str, Callable[[], list[str]]]] = [
        ("The database of answers is not damaged", lambda: damage(project.store)),
        ("Its tables, indexes and triggers are there", lambda: missing_parts(project.store)),
        ("No answer that was stored is gone", lambda: lost_answers(project.store)),
        ("Conflicts are those that the answers give", lambda: stale_conflicts(project.store)),
        ("The database of jobs is not damaged", lambda: damage(project.jobs)),
        ("Models have their files", lambda: _models(project)),
        (f"The files of {len(records):,} images are there", lambda: _gone(project, records)),
    ]
    problems: list[str] = []
    for number, (words, check) in enumerate(steps):
        progress(0.5 * number / len(steps), words)
        problems += _found(project, check)
    problems += _changed(project, chosen, part_of(progress, 0.5, 1.0))
    content = f"The content of {len(chosen):,} of them is as it was catalogued"
    return Verdict((*(words for words, _ in steps), content), tuple(dict.fromkeys(problems)))


def _readable(project: Project) -> list[ImageRecord]:
    """The catalogue; empty where it is so damaged that the checks will say so."""
    with suppress(StoreError), translated(project.store.path, writing=False):
        return images.list_images(project.store.reader())
    return []


def _found(project: Project, check: Callable[[], list[str]]) -> list[str]:
    try:
        with translated(project.store.path, writing=False):
            return check()
    except AnnealError as error:  # so damaged that it cannot even be looked at
        return [error.message]


def _sample(records: list[ImageRecord], sample: int | None, seed: int) -> list[ImageRecord]:
    if sample is None or sample >= len(records):
        return records
    rows = np.random.default_rng(seed).choice(len(records), size=sample, replace=False)
    return [records[row] for row in sorted(rows)]


def _models(project: Project) -> list[str]:
    """What the model in use lacks; earlier ones may have stayed behind in a restore."""
    active = runs.active_run(project.store.reader())
    if active is None:
        return []
    folder = project.runs / active.name
    if not is_usable(folder):
        return [f'Files of the model in use are missing in {folder}: run "python cli.py train".']
    known = set(read_embeddings(folder).rows)
    catalogued = {record.image_id for record in images.list_images(project.store.reader())}
    foreign = known - catalogued
    return [f"The model in use has {len(foreign)} images that are not catalogued."] * bool(foreign)


def _gone(project: Project, records: list[ImageRecord]) -> list[str]:
    missing = [record.path for record in records if _located(project, record) is not None]
    if not missing:
        return []
    return [
        f"{len(missing)} image files are missing in {project.images_root}: {shortened(missing)}."
    ]


def _located(project: Project, record: ImageRecord) -> str | None:
    """Why an image's file cannot be used; None if it can."""
    try:
        image_file(project.images_root, record.path)
    except ArchiveError as error:
        return error.message
    return None


def _changed(project: Project, records: list[ImageRecord], progress: Progress) -> list[str]:
    changed = []
    for done, record in enumerate(records):
        progress(done / len(records), f"image {done + 1} of {len(records)}")
        try:
            if sha256_of(image_file(project.images_root, record.path)) != record.sha256:
                changed.append(record.path)
        except ArchiveError:
            continue  # missing: said already
        except OSError:
            changed.append(record.path)
    if not changed:
        return []
    return [
        f"{len(changed)} image files were changed after they were catalogued: "
        f"{shortened(changed)}. Put the old files back, or the new ones under new names."
    ]
