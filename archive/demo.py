"""A synthetic aerial archive for the demo: kinds of places as folders of JPEG tiles."""

import multiprocessing
import os
import signal
from collections.abc import Generator, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archive.scenery import nature, town
from archive.scenery.palette import Difficulty
from archive.scenery.photograph import Painter, canvas_side, photograph
from archive.scenery.texture import NoiseBank, noise_bank
from domain.errors import ArchiveError, InputError
from domain.jobs import Progress, silent

KINDS: dict[str, Painter] = {
    "beach": nature.beach,
    "courts": town.courts,
    "crossing": town.crossing,
    "dense_houses": town.dense_houses,
    "farmland": nature.farmland,
    "forest": nature.forest,
    "harbour": town.harbour,
    "industry": town.industry,
    "orchard": nature.orchard,
    "parking": town.parking,
    "river": nature.river,
    "runway": town.runway,
    "sparse_houses": town.sparse_houses,
}

JPEG_QUALITY = 88

_TILES_PER_TASK = 30  # some 0.3 s: so long may cancelling take
_FEWEST_FOR_PROCESSES = 200  # below, starting processes takes longer than drawing
_MOST_PROCESSES = 8


@dataclass(frozen=True)
class _Task:
    """Tiles `first` to `end` (exclusive) of one kind, for any process to draw."""

    folder: Path
    seed: int
    kind: str
    first: int
    end: int
    size_px: int


def write_demo(
    folder: Path,
    *,
    seed: int = 0,
    tiles_per_kind: int = 60,
    size_px: int = 256,
    progress: Progress = silent,
) -> int:
    """Number of tiles written, as `folder/<kind>/<kind>NN.jpg`; the same seed gives the same bytes.

    Every tile depends on the seed, its kind and its number only, so that a larger archive
    begins with the tiles of a smaller one. Large archives are drawn by several processes; scripts
    that call this must guard their start with `if __name__ == "__main__"` as `multiprocessing`
    asks, else one process draws.

    Raises:
        InputError: fewer than one tile a kind, or tiles smaller than 32 pixels.
        ArchiveError: the folder cannot be written.
        Cancelled: `progress` asked to stop; the tiles drawn so far stay.
    """
    if tiles_per_kind < 1 or size_px < 32:
        raise InputError(
            f"The demo cannot have {tiles_per_kind} tiles a kind of {size_px} pixels; "
            "at least 1 tile and 32 pixels are needed.",
            "Ask for more.",
        )
    try:
        tasks = list(_tasks(folder, seed, tiles_per_kind, size_px))
        total = tiles_per_kind * len(KINDS)
        drawn = 0
        noise = noise_bank(np.random.default_rng(seed), canvas_side(size_px))
        with closing(_drawn(tasks, noise)) as counts:
            for count in counts:
                drawn += count
                progress(drawn / total, f"{drawn} of {total} tiles drawn")
        return drawn
    except OSError as error:
        raise ArchiveError(
            f"The demo images cannot be written to {folder}: {error.strerror}.",
            "Choose a folder you may write to, with some free space.",
        ) from error


def _tasks(folder: Path, seed: int, tiles_per_kind: int, size_px: int) -> Iterator[_Task]:
    for kind in KINDS:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for first in range(0, tiles_per_kind, _TILES_PER_TASK):
            end = min(first + _TILES_PER_TASK, tiles_per_kind)
            yield _Task(folder, seed, kind, first, end, size_px)


def _drawn(tasks: list[_Task], noise: NoiseBank) -> Generator[int, None, None]:
    """Number of tiles of each task, as they are done."""
    processes = min(_cores(), _MOST_PROCESSES, len(tasks))
    tiles = sum(task.end - task.first for task in tasks)
    left = tasks
    if processes > 1 and tiles >= _FEWEST_FOR_PROCESSES:
        done: list[_Task] = []
        try:
            with closing(_drawn_by_processes(tasks, noise, processes)) as finished:
                for task in finished:
                    done.append(task)
                    yield task.end - task.first
        except BrokenProcessPool:  # the system ended one, or the calling script has no guard
            pass
        left = [task for task in tasks if task not in done]
    for task in left:
        yield _draw(task, noise).end - task.first


def _drawn_by_processes(
    tasks: list[_Task], noise: NoiseBank, processes: int
) -> Generator[_Task, None, None]:
    """Tasks as they are done; if the caller stops early, those not begun are dropped."""
    pool = ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),  # forking is unsafe beside threads
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),  # Ctrl+C is answered once, by the parent
    )
    try:
        for future in as_completed([pool.submit(_draw, task, noise) for task in tasks]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _cores() -> int:
    """Cores this process may use, where the system tells; else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _draw(task: _Task, noise: NoiseBank) -> _Task:
    names = list(KINDS)
    position = names.index(task.kind)
    for tile in range(task.first, task.end):
        rng = np.random.default_rng([task.seed, position, tile])
        neighbour = names[(position + int(rng.integers(1, len(names)))) % len(names)]
        painters = (KINDS[task.kind], KINDS[neighbour])
        image = photograph(painters, rng, noise, size_px=task.size_px, difficulty=Difficulty())
        image.save(task.folder / task.kind / f"{task.kind}{tile:02d}.jpg", quality=JPEG_QUALITY)
    return task
