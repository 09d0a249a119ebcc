"""Parts of a work in several threads: each once, errors told, and torch left as it was."""

import threading
import time

import pytest
import torch

from annealing.lanes import work_through
from domain.errors import Cancelled


def recorder(done):
    def work(numbers):
        for number in numbers:
            done.append((number, threading.get_ident(), torch.get_num_threads()))
            time.sleep(1e-3)
            yield

    return work


def test_each_part_is_done_once_by_threads_of_one_core(two_threads):
    done, both = [], threading.Barrier(2, timeout=30)

    def work(numbers):
        both.wait()  # however late the second thread starts, the first leaves it parts
        yield from recorder(done)(numbers)

    work_through(range(5, 45), work)
    assert sorted(number for number, _, _ in done) == list(range(5, 45))
    assert len({thread for _, thread, _ in done}) == 2
    assert {cores for _, _, cores in done} == {1}
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("parts", "device"), [(3, "cpu"), (40, "cuda")])
def test_few_parts_and_parts_of_a_gpu_stay_in_one_thread(two_threads, parts, device):
    done = []
    work_through(range(parts), recorder(done), device=device)
    assert [number for number, _, _ in done] == list(range(parts))
    assert {thread for _, thread, _ in done} == {threading.get_ident()}


@pytest.mark.parametrize("parts", [3, 4000])
def test_an_error_of_a_part_is_told_and_ends_the_work(two_threads, parts):
    done = []

    def work(numbers):
        for number in numbers:
            if number == 2:
                raise ValueError("part 2")
            time.sleep(1e-3)
            done.append(number)
            yield

    with pytest.raises(ValueError, match="part 2"):
        work_through(range(parts), work)
    assert len(done) < parts / 2 + 2  # others go on until the thread of part 2 gets its turn
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("parts", [4, 400])
def test_progress_is_told_after_each_part_and_can_end_the_work(two_threads, parts):
    told, done = [], []

    def until_half(fraction, message):
        told.append((fraction, message))
        if fraction >= 0.5:
            raise Cancelled("Enough.")

    with pytest.raises(Cancelled):
        work_through(range(parts), recorder(done), progress=until_half, message="working")
    assert told == [((k + 1) / parts, "working") for k in range(parts // 2)]
    assert len(done) < 0.75 * parts + 2
