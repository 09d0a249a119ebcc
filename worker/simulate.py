"""The whole loop by simulation: an oracle that knows the folder names answers the questions.

Takes an archive whose folders are classes, gives a quality-against-bits curve of each strategy and
seed. It needs no project and no database; questions, transitivity, training and metrics are the
very functions that a project uses. Nothing is fitted to anything but training images, and
validation x test, on which the curve is measured, decides nothing.

Source: ANNEAL, section on experiments.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import torch

from domain.jobs import Progress, part_of, silent
from worker.simulation_archive import SimulationArchive, read_archive
from worker.simulation_curve import (
    FROZEN_ROUND,
    Row,
    draw_curve,
    reusable_rows,
    write_rows,
)
from worker.simulation_options import SimulationOptions, checked
from worker.simulation_seed import SeedRun

_ARCHIVE_SHARE = 0.1  # of the progress bar


def simulate(options: SimulationOptions, progress: Progress = silent) -> list[Row]:
    """The rows of `curve.csv`, which is written together with `curve.png` into `options.out`.

    Rows of an earlier run into the same folder are taken over where strategy and seed are
    complete and everything else is the same, so an interrupted simulation goes on.

    Args:
        options: see there.
        progress: told strategy, seed and round; may raise `Cancelled`, what is done by then is
            kept.

    Returns:
        By strategy, then seed, then round, in the order asked for.

    Raises:
        InputError: an option is not allowed, or the archive has fewer than two classes.
        ArchiveError, ModelError: the archive or the weights cannot be used.
    """
    options = checked(options)
    archive = read_archive(options, part_of(progress, 0.0, _ARCHIVE_SHARE))
    for note in archive.notes:
        progress(_ARCHIVE_SHARE, note)
    identity = {**options.identity(), "archive": archive.digest}
    done = _complete(reusable_rows(options.out, identity), options)
    write_rows(options.out, _ordered(done, options), identity)
    for rows in _simulated(archive, options, done, part_of(progress, _ARCHIVE_SHARE, 1.0)):
        done = [*done, *rows]
        write_rows(options.out, _ordered(done, options), identity)
    rows = _ordered(done, options)
    draw_curve(options.out, rows)
    return rows


def _complete(rows: Sequence[Row], options: SimulationOptions) -> list[Row]:
    """Rows of asked strategies and seeds that have all their rounds."""
    started = 1 if options.initial == "none" else 0
    wanted = {FROZEN_ROUND, *range(started, options.rounds + 1)}
    found: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        found.setdefault((row.strategy, row.seed), []).append(row)
    return [
        row
        for (strategy, seed), group in found.items()
        if strategy in options.strategies and seed in options.seeds
        if {row.round for row in group} == wanted
        for row in group
    ]


def _ordered(rows: Sequence[Row], options: SimulationOptions) -> list[Row]:
    return sorted(
        rows,
        key=lambda row: (
            options.strategies.index(row.strategy),
            options.seeds.index(row.seed),
            row.round,
        ),
    )


def _simulated(
    archive: SimulationArchive,
    options: SimulationOptions,
    done: Sequence[Row],
    progress: Progress,
) -> Iterator[list[Row]]:
    """The missing rows, one strategy of one seed at a time."""
    have = {(row.strategy, row.seed) for row in done}
    todo = {
        seed: tuple(name for name in options.strategies if (name, seed) not in have)
        for seed in options.seeds
    }
    todo = {seed: strategies for seed, strategies in todo.items() if strategies}
    if options.processes > 1 and len(todo) > 1:
        yield from _in_processes(archive, options, todo, progress)
        return
    for place, (seed, strategies) in enumerate(todo.items()):
        inner = part_of(progress, place / len(todo), (place + 1) / len(todo))
        yield from _seed_rows(archive, replace(options, strategies=strategies), seed, inner)


def _in_processes(
    archive: SimulationArchive,
    options: SimulationOptions,
    todo: Mapping[int, tuple[str, ...]],
    progress: Progress,
) -> Iterator[list[Row]]:
    """Seeds at the same time; each process starts fresh, because forked PyTorch can hang."""
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        try:
            running = {
                seed: pool.submit(
                    _all_seed_rows, archive, replace(options, strategies=strategies), seed
                )
                for seed, strategies in todo.items()
            }
            for place, (seed, future) in enumerate(running.items()):
                yield future.result()
                progress((place + 1) / len(todo), f"seed {seed} done")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _all_seed_rows(archive: SimulationArchive, options: SimulationOptions, seed: int) -> list[Row]:
    torch.set_num_threads(max(1, torch.get_num_threads() // options.processes))
    return [row for rows in _seed_rows(archive, options, seed, silent) for row in rows]


def _seed_rows(
    archive: SimulationArchive, options: SimulationOptions, seed: int, progress: Progress
) -> Iterator[list[Row]]:
    """The rows of each strategy of a seed; they share the frozen features and the initial set."""
    run = SeedRun(archive, options, seed)
    frozen = run.frozen()
    start = None if options.initial == "none" else run.initial(frozen, progress)
    for place, strategy in enumerate(options.strategies):
        inner = part_of(
            progress, place / len(options.strategies), (place + 1) / len(options.strategies)
        )
        first = [frozen] if start is None else [frozen, start]
        states = [*first, *run.rounds(first[-1], strategy, inner)]
        yield [replace(state.row, strategy=strategy) for state in states]
