"""Runs the command line in this process, as a user would type it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from commands.main import main
from tests.pictures import write_archive


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("init", "--images", folder)`: status, standard output and standard error."""
    monkeypatch.setenv("ANNEAL_PROJECT", str(tmp_path / "project"))

    def run_command(*words: object) -> Outcome:
        monkeypatch.setattr("sys.argv", ["cli.py", *map(str, words)])
        capsys.readouterr()
        status = main()
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run_command


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """40 small images in four class folders."""
    return write_archive(tmp_path / "archive")


@pytest.fixture
def project(run: Run, archive: Path, tmp_path: Path) -> Path:
    """A project made from the archive; no model yet."""
    assert run("init", "--images", archive).status == 0
    return tmp_path / "project"
