"""Independent tasks, one after another or several at a time, each in a process of its own.

Processes start fresh, because a forked PyTorch can hang; libraries take one core in each. What they
report comes together in one progress bar, and a cancelled bar stops them all.
"""

import os
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, Generic, TypeVar

import torch
from threadpoolctl import threadpool_limits

from domain.errors import Cancelled, JobError
from domain.jobs import Progress, named, part_of

Result = TypeVar("Result")
_POLL_S = 0.2


@dataclass(frozen=True)
class Task(Generic[Result]):
    """Work that another process can do.

    Attributes:
        name: stands before what it reports.
        work: a function of a module, called with the arguments and a `Progress`.
        arguments: can be pickled.
    """

    name: str
    work: Callable[..., Result]
    arguments: tuple[Any, ...]


def done_in_processes(
    tasks: Sequence[Task[Result]], processes: int, progress: Progress
) -> Iterator[tuple[int, Result]]:
    """The place and the result of each task, as they end.

    Args:
        tasks: none depends on another.
        processes: how many at a time; 1 does them here, in order.
        progress: told of all; may raise `Cancelled`, which ends the running tasks too.

    Raises:
        JobError: a process was ended from outside.
        Whatever a task or progress raises; the running tasks end at their next report.
    """
    if processes == 1 or len(tasks) <= 1:
        for place, task in enumerate(tasks):
            inner = part_of(progress, place / len(tasks), (place + 1) / len(tasks))
            yield place, task.work(*task.arguments, named(inner, task.name))
        return
    context = get_context("spawn")
    with (
        context.Manager() as manager,
        ProcessPoolExecutor(
            min(processes, len(tasks)), mp_context=context, initializer=_on_one_core
        ) as pool,
    ):
        said, stop = manager.Queue(), manager.Event()
        running = {
            pool.submit(_report_to, task, place, said, stop): place
            for place, task in enumerate(tasks)
        }
        try:
            yield from _as_they_end(running, tasks, said, progress)
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _as_they_end(
    running: dict[Future[Result], int],
    tasks: Sequence[Task[Result]],
    said: "queue.Queue[tuple[int, float, str]]",
    progress: Progress,
) -> Iterator[tuple[int, Result]]:
    shares = [0.0] * len(tasks)
    waiting = set(running)
    while waiting:
        ended, waiting = wait(waiting, timeout=_POLL_S, return_when=FIRST_COMPLETED)
        message = ""
        while not said.empty():
            place, done, text = said.get()
            shares[place], message = max(done, shares[place]), f"{tasks[place].name}: {text}"
        for future in sorted(ended, key=lambda future: future.exception() is not None):
            shares[running[future]], message = 1.0, f"{tasks[running[future]].name}: done"
            yield running[future], _result(future)
        if message:
            progress(sum(shares) / len(tasks), message)


def _result(future: Future[Result]) -> Result:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise JobError(
            "A process was ended from outside, perhaps because memory ran out.",
            "Start again with fewer processes; what was finished is kept.",
        ) from error


def _report_to(task: Task[Result], place: int, said: Any, stop: Any) -> Result:
    def report(done: float, message: str) -> None:
        if stop.is_set():
            raise Cancelled("Stopped.")
        said.put((place, done, message))

    return task.work(*task.arguments, report)


def _on_one_core() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # for libraries that are loaded later
    threadpool_limits(1)
    torch.set_num_threads(1)
