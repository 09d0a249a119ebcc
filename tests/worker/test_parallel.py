"""Tasks in processes of their own: what they give, and what happens when one of them ends badly.

Few and slow for their size: each process loads PyTorch.
"""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_info

from domain.errors import JobError
from domain.jobs import Progress, silent
from worker.parallel import Task, done_in_processes


def _die(progress: Progress) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _fail(started: Path, progress: Progress) -> None:
    while not started.exists():
        time.sleep(0.05)
    raise JobError("It went wrong.", "Do it again.")


def _go_on(started: Path, ended: Path, progress: Progress) -> None:
    """Until it is stopped, or for a minute."""
    started.touch()
    for step in range(600):
        progress(step / 600, "waiting")
        time.sleep(0.1)
    ended.touch()


def _nothing(progress: Progress) -> None:
    pass


def _threads(progress: Progress) -> set[int]:
    """How many each library that is loaded would use."""
    KMeans(2, n_init=1).fit(np.arange(6.0).reshape(3, 2))  # loads the last of them
    return {pool["num_threads"] for pool in threadpool_info()} | {torch.get_num_threads()}


def test_every_library_takes_one_core() -> None:
    tasks = [Task(name, _threads, ()) for name in ("one", "other")]
    assert [found for _, found in done_in_processes(tasks, 2, silent)] == [{1}, {1}]


def test_a_process_that_is_killed_is_an_error_in_words() -> None:
    tasks = [Task("dying", _die, ()), Task("other", _nothing, ())]
    with pytest.raises(JobError, match="ended from outside"):
        list(done_in_processes(tasks, 2, silent))


def test_a_task_that_fails_stops_the_others_and_keeps_its_hint(tmp_path: Path) -> None:
    started, ended = tmp_path / "started", tmp_path / "ended"
    tasks = [Task("failing", _fail, (started,)), Task("long", _go_on, (started, ended))]
    with pytest.raises(JobError) as caught:
        list(done_in_processes(tasks, 2, silent))
    assert (caught.value.message, caught.value.hint) == ("It went wrong.", "Do it again.")
    assert not ended.exists()
