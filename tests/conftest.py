"""Shared by all tests: where the real images are, and how many tests used them."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
SECRETS = Path(".streamlit") / "secrets.toml"
LONGEST = (  # modules of minutes
    "tests/ui/test_whole_round.py",
    "tests/worker/test_simulate.py",
    "tests/worker/test_crashes.py",
)

# How long an example takes says what else the machine does, and fails nobody's test.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """PyTorch on one core: numbers are the same on every machine, and a busy one is no slower."""
    import torch  # most tests need it not

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def ucmerced() -> Path:
    """The 2100 real images, a folder a class."""
    return _real(SHARED / "data" / "ucmerced")


@pytest.fixture(scope="session")
def original_tif() -> Path:
    """Four original TIFF files."""
    return _real(SHARED / "data" / "original_tif")


@pytest.fixture(scope="session")
def mobilenet_weights() -> Path:
    """ImageNet weights of MobileNetV2."""
    return _real(SHARED / "weights" / "mobilenet_v2_imagenet.safetensors")


def _real(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"no real data: {path} is absent")
    return path


class _RealDataCounts:
    """Counts tests marked `real_data` for `.ci/run`, which refuses skips where the data is."""

    def __init__(self) -> None:
        self.ran = 0
        self.skipped = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if "real_data" in report.keywords:
            self.skipped += report.skipped
            self.ran += report.when == "call" and not report.skipped

    def pytest_sessionfinish(self) -> None:
        target = os.environ.get("ANNEAL_REAL_DATA_COUNTS")
        if target:
            Path(target).write_text(f"{self.ran} {self.skipped}\n")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest modules begin first: else one core waits for the other at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


def pytest_configure(config: pytest.Config) -> None:
    for settings in (ROOT / SECRETS, Path.home() / SECRETS):
        if settings.is_file() and "[auth" in settings.read_text(errors="replace"):
            raise pytest.UsageError(
                f"{settings} sets sign-in up, which the tests would meet in every app that they "
                "start. Put it aside meanwhile, or test in a clone of its own."
            )
    if not hasattr(config, "workerinput"):  # reports of all processes arrive in the first one
        config.pluginmanager.register(_RealDataCounts(), "real-data-counts")
