"""Parts of a work done by several threads, each of which takes whole parts on one core.

torch's own threads meet after every small operation, and each meeting waits for the slowest:
beside a busy program, two of them were slower than one. Lanes never wait for one another. What
is done to a part is the caller's.

Source: ours; measured in docs/decisions/0008-half-precision-mining.md.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event

import torch

from domain.jobs import Progress, silent

_PARTS_EACH = 4  # fewer than so many parts a lane are not worth starting threads

Work = Callable[[Iterator[int]], Iterator[None]]


def work_through(
    numbers: range,
    work: Work,
    *,
    device: str | torch.device = "cpu",
    progress: Progress = silent,
    message: str = "",
) -> None:
    """Do all parts with these numbers.

    Args:
        numbers: of the parts.
        work: given numbers, does their parts one by one and yields after each; called once a
            lane, all lanes drawing from the same numbers.
        device: where the parts run: there is a lane for each core that torch may use; a GPU has
            one queue. While lanes run, torch gives other new threads one core too.
        progress: told after each part, by the calling thread; what it raises ends the work after
            the parts that are being done.
        message: what progress is told.

    Raises:
        Whatever work or progress raises.
    """
    threads = torch.get_num_threads()
    lanes = min(threads, len(numbers) // _PARTS_EACH) if torch.device(device).type == "cpu" else 1

    def report(done: int) -> None:
        progress(done / len(numbers), message)

    if lanes <= 1:
        for done, _ in enumerate(work(iter(numbers)), 1):
            report(done)
        return
    try:
        _in_threads(numbers, work, lanes, report)
    finally:
        torch.set_num_threads(threads)


def _in_threads(numbers: range, work: Work, lanes: int, report: Callable[[int], None]) -> None:
    shared = iter(numbers)  # the next of a range is taken in one step: no tile comes twice
    went_well: SimpleQueue[bool] = SimpleQueue()
    stop = Event()

    def lane() -> None:
        try:
            for _ in work(shared):
                went_well.put(True)
                if stop.is_set():
                    return
        except BaseException:
            went_well.put(False)
            raise

    # set_num_threads holds for the thread that calls it, and for threads made after it
    with ThreadPoolExecutor(lanes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        running = [pool.submit(lane) for _ in range(lanes)]
        try:
            for done in range(1, len(numbers) + 1):
                if not went_well.get():
                    break
                report(done)
        finally:
            stop.set()
        for each in running:
            each.result()
