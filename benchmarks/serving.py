"""The app and a browser for it, as benchmarks and browser tests need them; nothing stays behind."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 5.0
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True)
class Server:
    """A running app: where, and the process, the leader of its own group."""

    address: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """End it at once, without a chance to finish anything."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def served(
    project: Path,
    *,
    app: str = "app:app",
    health: str = "/api/health",
    port: int | None = None,
) -> Iterator[str]:
    """The address of the app, serving a project on that or a free port, until the block ends.

    Raises:
        RuntimeError: it did not start; with what it wrote.
    """
    with serving(project, app=app, health=health, port=port) as server:
        yield server.address


@contextmanager
def serving(
    project: Path,
    *,
    app: str = "app:app",
    health: str = "/api/health",
    port: int | None = None,
) -> Iterator[Server]:
    """As `served`, with the process, for those who want to end it themselves."""
    port = port or free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--log-level", "warning", "--timeout-graceful-shutdown", "1"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "ANNEAL_PROJECT": str(project)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            if not _answers(address + health, process):
                log.seek(0)
                raise RuntimeError(f"{app} did not start:\n{log.read().decode()[-4000:]}")
            yield Server(address, process)
        finally:
            _stop(process)


def chromium() -> str:
    """The system's Chromium.

    Raises:
        RuntimeError: there is none.
    """
    for name in CHROMIUM_NAMES:
        if found := shutil.which(name):
            return found
    raise RuntimeError('No Chromium on this machine; "script/setup --test" installs it.')


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
