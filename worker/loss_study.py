"""Losses compared over several seeds: each trains the same checkpoint further, or a head alone.

Every cell, a loss with its settings and a seed, is kept as soon as it is done, so that an
interrupted comparison goes on. Figures of images that no training has seen are for reporting; what
held-out answers would choose stands beside them.

Source: the comparisons and sweeps of OSAP, DCL, PEDC and DAS-RHDIS.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from domain.answers import Propagation
from domain.config import FineTuningSettings
from domain.errors import InputError
from domain.jobs import Progress, named, part_of, silent
from domain.loss_catalogue import loss_choice, sweep_choice
from domain.losses import Value
from training.device import resolve_device
from training.finetuning import fine_tune
from training.head import TrainedHead, frozen_head
from training.losses.catalogue import new_loss
from training.losses.relevance import RelevanceLoss
from training.trainer import train_with_loss
from worker.backbone import archive_features
from worker.loss_gaps import gap_figures
from worker.loss_study_sources import Source, answers_source, classes_source, project_source
from worker.loss_study_table import CHECKPOINT, FROZEN, Row, draw, reusable_rows, write_rows
from worker.simulation_archive import SimulationArchive, read_archive
from worker.simulation_options import SimulationOptions, checked, program_digest
from workflow.finetuning import starting_run
from workflow.project import Project
from workflow.run_files import views_of

_ARCHIVE_SHARE = 0.1  # of the progress bar
_SOURCE_SHARE = 0.3  # of a seed's: the rounds of its simulation


@dataclass(frozen=True)
class Training:
    """A loss with the parameters that are not the default."""

    loss: str
    settings: Mapping[str, Value] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As it stands in tables."""
        return " ".join([self.loss, *(f"{k}={v}" for k, v in self.settings.items())])


@dataclass(frozen=True)
class StudyOptions:
    """A comparison of losses.

    Attributes:
        out: where `losses.csv`, `losses.png` and `options.json` are written.
        trainings: what is compared.
        seeds: each draws its own answers, or holds other images out.
        finetuning: how each is trained.
        propagation: with answers of a simulation, how far they imply others for the losses; None:
            as far as for the checkpoint.
        train_share: with class labels, the share of each class that is trained on.
        device: auto, cpu or cuda.
        gaps: whether to measure how far the loss of small batches is from that of all images.
        alone: whether each loss trains a new head on the frozen features, in as many steps as
            `finetuning` allows and with its batches, in place of the checkpoint's. Nothing is held
            out then.
    """

    out: Path
    trainings: tuple[Training, ...]
    seeds: tuple[int, ...] = (0,)
    finetuning: FineTuningSettings = field(default_factory=FineTuningSettings)
    propagation: Propagation | None = None
    train_share: float = 0.5
    device: str = "auto"
    gaps: bool = False
    alone: bool = False

    @property
    def over(self) -> str:
        """What gains are counted from."""
        return FROZEN if self.alone else CHECKPOINT


SourceOf = Callable[[int, Progress], Source]


def trainings_of(
    losses: tuple[str, ...], *, sweeps: tuple[str, ...] = (), settings: tuple[str, ...] = ()
) -> tuple[Training, ...]:
    """What is compared: the settings of sweeps, each once; without a sweep these losses.

    Args:
        settings: NAME=VALUE for all of the losses; one without that parameter is refused.

    Raises:
        InputError: an unknown loss, sweep or parameter.
    """
    if sweeps:
        chosen = [sweep_choice(name) for name in dict.fromkeys(sweeps)]
        swept = [Training(each.loss, values) for each in chosen for values in each.settings]
        return tuple({each.name: each for each in swept}.values())
    trainings = []
    for name in dict.fromkeys(losses):
        choice = loss_choice(name)
        usual, values = choice.values(), choice.read(settings)
        trainings.append(Training(name, {k: v for k, v in values.items() if v != usual[k]}))
    return tuple(trainings)


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
    archive = read_archive(simulation, part_of(progress, 0.0, _ARCHIVE_SHARE))
    spread = options.propagation or simulation.spread

    def source(seed: int, progress: Progress) -> Source:
        return answers_source(archive, simulation, spread, seed, progress)

    identity = {
        **simulation.identity(),
        "archive": archive.digest,
        "strategy": simulation.strategies[0],
        "of_the_losses": spread.value,
    }
    return _compare(options, source, identity, part_of(progress, _ARCHIVE_SHARE, 1.0))


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
    archive: SimulationArchive = read_archive(simulation, part_of(progress, 0.0, _ARCHIVE_SHARE))

    def source(seed: int, progress: Progress) -> Source:
        return classes_source(archive, simulation, options.train_share, seed)

    share = options.train_share
    identity = {**simulation.identity(), "archive": archive.digest, "train_share": share}
    return _compare(options, source, identity, part_of(progress, _ARCHIVE_SHARE, 1.0))


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
    archive = archive_features(project, device, first, views=views, of=parent.name)

    def source(seed: int, progress: Progress) -> Source:
        return project_source(project, archive, parent, seed, device=device)

    identity = {
        "project": project.config.name,
        "run": parent.name,
        "made_at": parent.created_at,
        "training": project.config.training.model_dump(mode="json"),
        "program": program_digest(),
    }
    return _compare(options, source, identity, part_of(progress, _ARCHIVE_SHARE, 1.0))


def _compare(
    options: StudyOptions, source: SourceOf, identity: Mapping[str, Any], progress: Progress
) -> list[Row]:
    """All rows, seed by seed: frozen features, checkpoint, and each training."""
    if not options.seeds or not options.trainings:
        raise InputError("Nothing is to be compared.", "Name a loss and a seed.")
    finetuning = options.finetuning.model_dump(mode="json")
    identity = {**identity, "finetuning": finetuning, "gaps": options.gaps, "alone": options.alone}
    seeds = tuple(dict.fromkeys(options.seeds))
    names = [FROZEN, CHECKPOINT, *(each.name for each in options.trainings)]
    found = {(row.training, row.seed): row for row in reusable_rows(options.out, identity)}
    for place, seed in enumerate(seeds):
        share = part_of(progress, place / len(seeds), (place + 1) / len(seeds))
        for row in _missing(seed, options, source, found, named(share, f"seed {seed}")):
            found[row.training, seed] = row
            order = [(name, each) for each in seeds for name in names]
            write_rows(options.out, [found[key] for key in order if key in found], identity)
    rows = [found[name, seed] for seed in seeds for name in names]
    draw(options.out, rows, over=options.over)
    return rows


def _missing(
    seed: int,
    options: StudyOptions,
    source: SourceOf,
    done: Mapping[tuple[str, int], Row],
    progress: Progress,
) -> Iterator[Row]:
    """The rows of a seed that are not done; nothing is started where there are none."""
    missing = [each for each in options.trainings if (each.name, seed) not in done]
    if not missing and (CHECKPOINT, seed) in done:
        return
    start = source(seed, part_of(progress, 0.0, _SOURCE_SHARE))
    yield Row(FROZEN, seed, metrics=start.measure(frozen_head(start.features)))
    yield Row(CHECKPOINT, seed, metrics=start.measure(start.start))
    share = (1 - _SOURCE_SHARE) / max(1, len(missing))
    for place, training in enumerate(missing):
        begin = _SOURCE_SHARE + place * share
        inner = named(part_of(progress, begin, begin + share), training.name)
        yield _cell(start, training, seed, options, inner)


def _cell(
    source: Source, training: Training, seed: int, options: StudyOptions, progress: Progress
) -> Row:
    began, loss = time.perf_counter(), new_loss(training.loss, training.settings)
    trained = _alone if options.alone else _further
    head, row = trained(source, loss, Row(training.name, seed), options, progress)
    seconds, metrics = time.perf_counter() - began, dict(source.measure(head))
    if options.gaps:
        metrics |= gap_figures(loss, head, source.features, source.known, seed=seed)
    return replace(row, seconds=seconds, metrics=metrics)


def _alone(
    source: Source, loss: RelevanceLoss, row: Row, options: StudyOptions, progress: Progress
) -> tuple[TrainedHead, Row]:
    """A new head that only this loss has trained."""
    tuning = options.finetuning
    settings = source.training.model_copy(
        update={
            "batch_anchors": tuning.batch_anchors,
            "batch_others": tuning.batch_others,
            "learning_rate": tuning.learning_rate,
            "structure_weight": tuning.structure_weight,
        }
    )
    head = train_with_loss(
        source.features,
        source.known,
        loss,
        settings,
        steps=tuning.steps,
        seed=row.seed,
        device=resolve_device(options.device),
        progress=progress,
    )
    return head, replace(row, steps=tuning.steps)


def _further(
    source: Source, loss: RelevanceLoss, row: Row, options: StudyOptions, progress: Progress
) -> tuple[TrainedHead, Row]:
    """The checkpoint's head, trained further for as long as held-out images gain."""
    found = fine_tune(
        source.start,
        source.features,
        source.known,
        loss,
        options.finetuning,
        retrain=source.retrain,
        seed=row.seed,
        device=resolve_device(options.device),
        progress=progress,
    )
    score = found.selection
    return found.head, replace(
        row,
        steps=found.steps,
        better=found.is_better,
        before=None if score is None else score.before,
        after=None if score is None else score.after,
        uncertainty=None if score is None else score.uncertainty,
    )
