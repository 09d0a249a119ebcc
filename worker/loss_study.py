"""Losses compared over several seeds: each trains the same checkpoint further, or starts anew.

Heads on frozen features are compared, or whole networks.

Every cell, a loss with its settings and a seed, is kept as soon as it is done, so that an
interrupted comparison goes on. Figures of images that no training has seen are for reporting; what
held-out answers would choose stands beside them.

Source: the comparisons and sweeps of OSAP, DCL, PEDC and DAS-RHDIS.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

from domain.config import Views
from domain.errors import InputError
from domain.jobs import Progress, named, part_of, silent
from training.device import resolve_device
from worker.backbone import archive_features
from worker.loss_study_heads import HeadCells
from worker.loss_study_networks import NetworkCells
from worker.loss_study_options import StudyOptions, Training
from worker.loss_study_sources import (
    answered_images,
    answers_source,
    classed_images,
    classes_source,
    project_source,
)
from worker.loss_study_table import CHECKPOINT, FROZEN, Row, draw, reusable_rows, write_rows
from worker.program import program_digest
from worker.simulation_archive import SimulationArchive, read_archive
from worker.simulation_options import SimulationOptions, checked
from workflow.finetuning import starting_run
from workflow.project import Project
from workflow.run_files import descriptor_of, views_of

_ARCHIVE_SHARE = 0.1  # of the progress bar
_SOURCE_SHARE = 0.3  # of a seed's: the rounds of its simulation


class Cells(Protocol):
    """What is compared with one seed; figures are of images that no training has seen."""

    def frozen(self) -> Mapping[str, float]:
        """Figures of the features as they are."""

    def checkpoint(self, progress: Progress) -> Mapping[str, float]:
        """Figures of what the contrastive loss made of the same relations."""

    def trained(self, training: Training, progress: Progress) -> Row:
        """What a loss made of them."""


CellsOf = Callable[[int, Progress], Cells]


def compare_on_answers(
    options: StudyOptions, simulation: SimulationOptions, progress: Progress = silent
) -> list[Row]:
    """Losses from the answers of a simulation; see `compare`.

    Raises:
        InputError: an option is not allowed, or the archive has fewer than two classes.
    """
    simulation = checked(simulation)
    if simulation.strategies[0] in ("cal", "all"):
        raise InputError(
            f"--strategy {simulation.strategies[0]} gives no answers about pairs to train on.",
            "Use components, mgue, bcgue or random.",
        )
    archive = _archive(options, simulation, progress)
    spread = options.propagation or simulation.spread

    def cells(seed: int, progress: Progress) -> Cells:
        if options.full is not None:
            images = answered_images(archive, simulation, spread, seed, progress)
            return NetworkCells(archive, images, simulation, options, seed)
        return HeadCells(answers_source(archive, simulation, spread, seed, progress), options, seed)

    identity = {
        **simulation.identity(),
        "archive": archive.digest,
        "strategy": simulation.strategies[0],
        "of_the_losses": spread.value,
    }
    return _compare(options, cells, identity, part_of(progress, _ARCHIVE_SHARE, 1.0))


def compare_on_classes(
    options: StudyOptions, simulation: SimulationOptions, progress: Progress = silent
) -> list[Row]:
    """Losses from class labels, each test image queried against the others; see `compare`.

    Raises:
        InputError: an option is not allowed, or the archive has fewer than two classes.
    """
    simulation = checked(simulation)
    if not 0 < options.train_share < 1:
        raise InputError(f"--train-share {options.train_share}; it must lie between 0 and 1.")
    archive = _archive(options, simulation, progress)

    share = options.train_share

    def cells(seed: int, progress: Progress) -> Cells:
        if options.full is not None:
            images = classed_images(archive, share, seed)
            return NetworkCells(archive, images, simulation, options, seed)
        return HeadCells(classes_source(archive, simulation, share, seed), options, seed)

    identity = {**simulation.identity(), "archive": archive.digest, "train_share": share}
    return _compare(options, cells, identity, part_of(progress, _ARCHIVE_SHARE, 1.0))


def compare_on_project(
    options: StudyOptions, project: Project, run: str | None, progress: Progress = silent
) -> list[Row]:
    """Losses from the answers that a model of a project has learnt from; nothing in it changes.

    Raises:
        InputError: there is no such run, or it has learnt nothing.
    """
    parent = starting_run(project, run)
    device = resolve_device(options.device)
    views = views_of(project.runs / parent.name)
    first = part_of(progress, 0.0, _ARCHIVE_SHARE)
    made_by = descriptor_of(project.runs / parent.name)
    archive = archive_features(
        project, device, first, views=views, of=parent.name, descriptor=made_by
    )

    def cells(seed: int, progress: Progress) -> Cells:
        source = project_source(project, archive, parent, seed, device=device)
        return HeadCells(source, options, seed)

    identity = {
        "project": project.config.name,
        "run": parent.name,
        "made_at": parent.created_at,
        "training": project.config.training.model_dump(mode="json"),
    }
    return _compare(options, cells, identity, part_of(progress, _ARCHIVE_SHARE, 1.0))


def _archive(
    options: StudyOptions, simulation: SimulationOptions, progress: Progress
) -> SimulationArchive:
    """The archive; of its features networks need no more than who asks does: one view, as it is."""
    if options.full is not None:
        descriptor = simulation.descriptor.at_scale_one
        simulation = replace(simulation, views=Views.SINGLE.value, descriptor=descriptor)
    return read_archive(simulation, part_of(progress, 0.0, _ARCHIVE_SHARE))


def _compare(
    options: StudyOptions, cells: CellsOf, identity: Mapping[str, Any], progress: Progress
) -> list[Row]:
    """All rows, seed by seed: frozen features, checkpoint, and each training."""
    if not options.seeds or not options.trainings:
        raise InputError("Nothing is to be compared.", "Name a loss and a seed.")
    identity = {**identity, **options.identity(), "program": program_digest(__name__)}
    seeds = tuple(dict.fromkeys(options.seeds))
    names = [FROZEN, CHECKPOINT, *(each.name for each in options.trainings)]
    found = {(row.training, row.seed): row for row in reusable_rows(options.out, identity)}
    for place, seed in enumerate(seeds):
        share = part_of(progress, place / len(seeds), (place + 1) / len(seeds))
        for row in _missing(seed, options, cells, found, named(share, f"seed {seed}")):
            found[row.training, seed] = row
            order = [(name, each) for each in seeds for name in names]
            write_rows(options.out, [found[key] for key in order if key in found], identity)
    rows = [found[name, seed] for seed in seeds for name in names]
    draw(options.out, rows, over=options.over)
    return rows


def _missing(
    seed: int,
    options: StudyOptions,
    cells: CellsOf,
    done: Mapping[tuple[str, int], Row],
    progress: Progress,
) -> Iterator[Row]:
    """The rows of a seed that are not done; nothing is started where there are none."""
    missing = [each for each in options.trainings if (each.name, seed) not in done]
    if not missing and (CHECKPOINT, seed) in done:
        return
    own = cells(seed, part_of(progress, 0.0, _SOURCE_SHARE / 2))
    if (CHECKPOINT, seed) not in done:
        yield Row(FROZEN, seed, metrics=own.frozen())
        first = named(part_of(progress, _SOURCE_SHARE / 2, _SOURCE_SHARE), CHECKPOINT)
        yield Row(CHECKPOINT, seed, metrics=own.checkpoint(first))
    share = (1 - _SOURCE_SHARE) / max(1, len(missing))
    for place, training in enumerate(missing):
        begin = _SOURCE_SHARE + place * share
        inner = named(part_of(progress, begin, begin + share), training.name)
        yield own.trained(training, inner)
