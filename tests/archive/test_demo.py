import multiprocessing
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archive import demo
from archive.demo import KINDS, write_demo
from archive.duplicates import split_groups
from archive.scan import scan
from domain.errors import ArchiveError, Cancelled, InputError


def _bytes(folder: Path) -> dict[str, bytes]:
    files = sorted(folder.rglob("*.jpg"))
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_same_seed_gives_same_bytes_and_another_seed_gives_others(tmp_path):
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        write_demo(tmp_path / name, seed=seed, tiles_per_kind=1, size_px=64)
    first, again, other = (_bytes(tmp_path / name) for name in ("first", "again", "other"))
    assert first == again
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first)


def test_every_kind_has_its_folder_of_jpeg_tiles(tmp_path):
    messages = []
    count = write_demo(
        tmp_path,
        tiles_per_kind=2,
        size_px=96,
        progress=lambda done, message: messages.append((done, message)),
    )
    files = sorted(tmp_path.rglob("*.*"))
    assert count == len(files) == 2 * len(KINDS)
    assert len(KINDS) >= 10
    assert {file.parent.name for file in files} == set(KINDS)
    for file in files:
        with Image.open(file) as image:
            assert (image.format, image.size, image.mode) == ("JPEG", (96, 96), "RGB")
    assert messages[-1][0] == 1


def test_a_larger_archive_begins_with_the_tiles_of_a_smaller_one(tmp_path):
    write_demo(tmp_path / "small", tiles_per_kind=1, size_px=64)
    write_demo(tmp_path / "large", tiles_per_kind=2, size_px=64)
    assert _bytes(tmp_path / "small").items() <= _bytes(tmp_path / "large").items()


@pytest.fixture
def two_processes(monkeypatch):
    """Even small archives are drawn by two processes."""
    monkeypatch.setattr(demo, "_cores", lambda: 2)
    monkeypatch.setattr(demo, "_FEWEST_FOR_PROCESSES", 1)


def test_several_processes_draw_the_bytes_that_one_draws(tmp_path, two_processes, monkeypatch):
    reports = []
    count = write_demo(
        tmp_path / "many",
        tiles_per_kind=2,
        size_px=32,
        progress=lambda *told: reports.append(told),
    )
    monkeypatch.setattr(demo, "_cores", lambda: 1)
    write_demo(tmp_path / "one", tiles_per_kind=2, size_px=32)
    assert count == 2 * len(KINDS)
    assert _bytes(tmp_path / "many") == _bytes(tmp_path / "one")
    assert [done for done, _ in reports] == sorted(done for done, _ in reports)
    assert reports[-1][0] == 1


def test_cancelling_stops_the_processes_and_leaves_tiles_undrawn(tmp_path, two_processes):
    def stop(done: float, message: str) -> None:
        raise Cancelled("Asked to stop.")

    with pytest.raises(Cancelled):
        write_demo(tmp_path, tiles_per_kind=60, size_px=32, progress=stop)
    assert not multiprocessing.active_children()
    assert len(_bytes(tmp_path)) < 60 * len(KINDS)


def test_a_script_without_a_guarded_start_gets_its_tiles_all_the_same(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom archive import demo\n"
        "demo._cores, demo._FEWEST_FOR_PROCESSES = lambda: 2, 1\n"
        "print(demo.write_demo(Path(sys.argv[1]), tiles_per_kind=2, size_px=32))\n"
    )
    command = [sys.executable, str(script), str(tmp_path / "tiles")]
    environment = {"PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert run.stdout.splitlines()[-1:] == [str(2 * len(KINDS))], run.stderr
    assert len(_bytes(tmp_path / "tiles")) == 2 * len(KINDS)


@pytest.mark.parametrize("wrong", [{"tiles_per_kind": 0}, {"size_px": 8}])
def test_impossible_sizes_are_refused(tmp_path, wrong):
    with pytest.raises(InputError, match="at least 1 tile and 32 pixels"):
        write_demo(tmp_path, **wrong)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArchiveError, match="file"):
        write_demo(tmp_path / "file", tiles_per_kind=1, size_px=64)


def test_colour_alone_does_not_tell_the_kinds_apart(tmp_path):
    """Nearest neighbour by colour histogram; guessing is right for 1 tile in 13."""
    write_demo(tmp_path, tiles_per_kind=10, size_px=64)
    files = sorted(tmp_path.rglob("*.jpg"))
    kinds = np.array([file.parent.name for file in files])
    histograms = np.sqrt([_histogram(file) for file in files])
    likeness = histograms @ histograms.T
    np.fill_diagonal(likeness, -1)
    assert np.mean(kinds[likeness.argmax(axis=1)] == kinds) < 0.55


def _histogram(file: Path) -> np.ndarray:
    bins = np.asarray(Image.open(file)).astype(int) // 64
    return np.bincount((bins @ (16, 4, 1)).ravel(), minlength=64) / bins[..., 0].size


def test_no_tile_is_a_copy_of_another(tmp_path):
    write_demo(tmp_path, tiles_per_kind=10, size_px=64)
    images = scan(tmp_path).images
    pixels = [image.pixel_sha256 for image in images]
    groups = split_groups(pixels, [image.perceptual_hash for image in images])
    assert groups == list(range(len(images)))
