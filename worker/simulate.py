"""The whole loop by simulation: an oracle that knows the folder names answers the questions.

Takes an archive whose folders are classes, gives a quality-against-bits curve of each strategy and
seed. It needs no project and no database; questions, transitivity, training and metrics are the
very functions that a project uses. Nothing is fitted to anything but training images, and
validation x test, on which the curve is measured, decides nothing.

Source: ANNEAL, section on experiments.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from domain.jobs import Progress, part_of, silent
from worker.parallel import Task, done_in_processes
from worker.program import program_digest
from worker.simulation_archive import SimulationArchive, read_archive
from worker.simulation_classes import class_label_rows, upper_bound_rows
from worker.simulation_components import ComponentRounds
from worker.simulation_curve import (
    FROZEN_ROUND,
    Row,
    draw_curve,
    reusable_rows,
    write_rows,
)
from worker.simulation_depth import forget_unfinished, unfinished_folder
from worker.simulation_options import COMPONENTS, SimulationOptions, Variant, checked
from worker.simulation_seed import PairRounds, SimulationSeed

_ARCHIVE_SHARE = 0.1  # of the progress bar


@dataclass(frozen=True)
class Simulation:
    """What a simulation found.

    Attributes:
        rows: by strategy (and λ), then seed, then round, in the order asked for.
        notes: what whoever reads the figures should know.
    """

    rows: list[Row]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Curve:
    """One variant of one seed."""

    variant: Variant
    seed: int

    @property
    def name(self) -> str:
        """Of files."""
        lam = "" if self.variant.lam is None else f"-{self.variant.lam:g}"
        return f"{self.variant.strategy}{lam}-{self.seed}"


def simulate(options: SimulationOptions, progress: Progress = silent) -> Simulation:
    """The rows of `curve.csv`, which is written together with `curve.png` into `options.out`.

    Rows of an earlier run into the same folder are taken over where strategy and seed are
    complete and everything else is the same, the program included; so an interrupted simulation
    goes on. At full depth an unfinished curve goes on at the step where its training was.

    Args:
        options: see there.
        progress: told strategy, seed and round; may raise `Cancelled`, what is done by then is
            kept.

    Raises:
        InputError: an option is not allowed, or the archive has fewer than two classes.
        ArchiveError, ModelError: the archive or the weights cannot be used.
    """
    options = checked(options)
    archive = read_archive(options, part_of(progress, 0.0, _ARCHIVE_SHARE))
    program = program_digest(__name__)
    identity = {**options.identity(), "archive": archive.digest, "program": program}
    curves = [_Curve(each, seed) for each in options.variants() for seed in options.seeds]
    done = _complete(reusable_rows(options.out, identity), curves, options)
    todo = [curve for curve in curves if curve not in done]
    write_rows(options.out, _ordered(done, curves), identity)
    unfinished = unfinished_folder(options.out, identity)
    for curve in done:  # one that ended just before
        forget_unfinished(unfinished / curve.name)
    rest = part_of(progress, _ARCHIVE_SHARE, 1.0)
    for place, rows in done_in_processes(
        [_task(archive, options, curve, unfinished) for curve in todo], options.processes, rest
    ):
        done[todo[place]] = rows
        write_rows(options.out, _ordered(done, curves), identity)
        forget_unfinished(unfinished / todo[place].name)
    rows = _ordered(done, curves)
    draw_curve(options.out, rows, archive.published)
    return Simulation(rows, archive.notes)


def _complete(
    rows: Sequence[Row], curves: Sequence[_Curve], options: SimulationOptions
) -> dict[_Curve, list[Row]]:
    """Rows of the asked curves that have all their rounds."""
    found: dict[_Curve, list[Row]] = {}
    for row in rows:
        found.setdefault(_Curve(Variant(row.strategy, row.lam), row.seed), []).append(row)
    return {
        curve: found[curve]
        for curve in curves
        if [row.round for row in found.get(curve, [])] == _rounds_of(curve.variant, options)
    }


def _rounds_of(variant: Variant, options: SimulationOptions) -> list[int]:
    if variant.strategy == "all":
        return [FROZEN_ROUND, 1]
    started = 1 if options.initial == "none" else 0
    return [FROZEN_ROUND, *range(started, options.rounds + 1)]


def _ordered(done: dict[_Curve, list[Row]], curves: Sequence[_Curve]) -> list[Row]:
    return [row for curve in curves for row in done.get(curve, [])]


def _task(
    archive: SimulationArchive, options: SimulationOptions, curve: _Curve, unfinished: Path
) -> Task[list[Row]]:
    name = f"{curve.variant.label}, seed {curve.seed}"
    folder = unfinished / curve.name if options.is_full else None
    return Task(name, _curve_rows, (archive, options, curve, folder))


def _curve_rows(
    archive: SimulationArchive,
    options: SimulationOptions,
    curve: _Curve,
    unfinished: Path | None,
    progress: Progress,
) -> list[Row]:
    """All rows of one curve."""
    seed = SimulationSeed(archive, options, curve.seed, unfinished=unfinished)
    return [
        replace(row, strategy=curve.variant.strategy, lam=curve.variant.lam)
        for row in _rows(seed, curve.variant, progress)
    ]


def _rows(seed: SimulationSeed, variant: Variant, progress: Progress) -> Iterator[Row]:
    if variant.strategy == "cal":
        return class_label_rows(seed, progress)
    if variant.strategy == "all":
        return upper_bound_rows(seed, progress)
    if variant.strategy == COMPONENTS:
        return (state.row for state in ComponentRounds(seed).states(progress))
    return (state.row for state in PairRounds(seed, variant).states(progress))
