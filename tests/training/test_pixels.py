"""Training images come as they are decoded, whether kept or read again, ahead of their use."""

import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from domain.errors import ArchiveError, Cancelled
from tests.pictures import write_archive
from training.features import ImageFile
from training.pixels import FilePixels, ResidentPixels, ahead, open_pixels
from training.preprocessing import load_pixels

CPU = torch.device("cpu")


@pytest.fixture
def files(tmp_path: Path) -> list[ImageFile]:
    paths = sorted(write_archive(tmp_path / "archive", each=2).rglob("*.png"))
    return [(hashlib.sha256(path.read_bytes()).hexdigest(), path) for path in paths]


@pytest.mark.parametrize(("resident_mb", "kind"), [(1, ResidentPixels), (0, FilePixels)])
def test_pixels_are_those_of_the_files_kept_or_not(
    files: list[ImageFile], resident_mb: int, kind: type
) -> None:
    pixels = open_pixels(files, size_px=32, device=CPU, resident_mb=resident_mb)
    assert isinstance(pixels, kind)
    assert len(pixels) == len(files)
    rows = np.array([5, 0, 5])
    expected = np.stack([load_pixels(files[row][1], 32) for row in rows])
    np.testing.assert_array_equal(pixels.of(rows).numpy(), expected)


def test_images_stay_in_memory_only_up_to_the_bound(files: list[ImageFile]) -> None:
    bytes_each = 3 * 400**2
    fits = (2**20) // bytes_each
    kept = open_pixels(files[:fits], size_px=400, device=CPU, resident_mb=1)
    assert isinstance(kept, ResidentPixels)
    kept = open_pixels(files[: fits + 1], size_px=400, device=CPU, resident_mb=1)
    assert isinstance(kept, FilePixels)


@pytest.mark.parametrize("resident_mb", [1, 0])
def test_a_changed_file_is_told(files: list[ImageFile], resident_mb: int) -> None:
    files[1][1].write_bytes(b"changed")
    with pytest.raises(ArchiveError, match="has changed since it was catalogued"):
        open_pixels(files, size_px=32, device=CPU, resident_mb=resident_mb).of(np.arange(3))


def test_reading_can_be_cancelled(files: list[ImageFile]) -> None:
    def stop(done: float, message: str) -> None:
        if message.startswith("reading 3 of"):
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        open_pixels(files, size_px=32, device=CPU, resident_mb=1, progress=stop)


def test_steps_come_in_their_order_and_are_loaded_before_they_are_asked_for() -> None:
    later = threading.Event()

    def load(step: int) -> int:
        if step == 3:
            later.set()
        return step * step

    steps = ahead(load, range(1, 8))
    assert next(steps) == (1, 1)
    assert later.wait(5)
    assert list(steps) == [(step, step * step) for step in range(2, 8)]


def test_an_error_of_a_load_comes_at_its_step() -> None:
    steps = ahead(lambda step: 1 // (step - 3), range(1, 6))
    assert [next(steps)[0], next(steps)[0]] == [1, 2]
    with pytest.raises(ZeroDivisionError):
        next(steps)
