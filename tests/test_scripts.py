"""`script/run` as a user types it: serves the app with its worker, and leaves nothing behind."""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.serving import free_port
from tests.pictures import write_archive
from tests.projects import make_project, random_weights
from workflow import jobs
from workflow.project import Project

ROOT = Path(__file__).parents[1]
PATIENCE_S = 400.0  # beside busy programs a start takes minutes


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    archive = write_archive(tmp_path / "archive")
    made = make_project(tmp_path / "project", archive, random_weights(tmp_path))
    yield made
    made.close()


def run(*words: object, project: Path | None = None) -> subprocess.Popen[str]:
    command = [str(ROOT / "script" / "run"), *map(str, words)]
    environment = {**os.environ, "ANNEAL_PROJECT": str(project)}
    return subprocess.Popen(
        command, cwd="/", env=environment, stdout=-1, stderr=-1, text=True, start_new_session=True
    )


def answers_at(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def wait_for(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_it_serves_and_works_and_ends_without_a_trace(project: Project) -> None:
    port = free_port()
    process = run("--port", port, project=project.folder)
    try:
        wait_for(lambda: answers_at(port), "not served")
        wait_for(lambda: jobs.worker_alive(project), "no worker")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)
    wait_for(lambda: not jobs.worker_alive(project), "the worker is still there")
    assert not answers_at(port)


def test_a_killed_script_takes_its_worker_along(project: Project) -> None:
    port = free_port()
    process = run("--port", port, project=project.folder)
    try:
        wait_for(lambda: jobs.worker_alive(project), "no worker")
        process.kill()
        wait_for(lambda: not jobs.worker_alive(project), "the worker is still there")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=PATIENCE_S)


def test_a_port_in_use_is_said(project: Project) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = run("--port", port, project=project.folder)
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert f"port {port} cannot be used" in errors
    assert "--port N" in errors


@pytest.mark.parametrize(
    "words",
    [
        *(("--port", "many"), ("--port", "0"), ("--fast",), ("--port",)),
        *(("--host", "everywhere"), ("--host",)),
    ],
)
def test_wrong_options_are_said(words: tuple[str, ...], tmp_path: Path) -> None:
    process = run(*words, project=tmp_path)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert "script/run:" in errors


def test_without_sign_in_it_serves_this_machine_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # sign-in may be set up there
    process = run("--host", "0.0.0.0", "--port", free_port(), project=tmp_path / "project")
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert "docs/sign-in.md" in said
    assert not (tmp_path / "project").exists()
