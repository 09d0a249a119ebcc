"""A run's directory appears complete, replaces an older one, and is not its owner's alone."""

from pathlib import Path

import numpy as np
import pytest

from workflow.run_files import Embeddings, RunFiles, read_embeddings, write_run


def _files(value: float, fail: bool = False) -> RunFiles:
    def save(path: Path) -> None:
        if fail:
            raise OSError("No space left on device")
        path.write_bytes(b"head")

    return RunFiles(
        config_toml="",
        relations=[],
        embeddings=Embeddings(np.array([7]), np.full((1, 2), value, np.float32)),
        metrics={},
        log=[],
        save_checkpoint=save,
    )


def test_colleagues_can_read_a_run(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "runs", "round-001", _files(1.0))
    assert folder.stat().st_mode & 0o077 == 0o055


def test_a_run_that_fails_leaves_the_older_one(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "runs", "round-001", _files(1.0))
    with pytest.raises(OSError, match="No space"):
        write_run(tmp_path / "runs", "round-001", _files(2.0, fail=True))
    assert read_embeddings(folder).vectors.tolist() == [[1.0, 1.0]]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["round-001"]
