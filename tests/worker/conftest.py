from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pictures import write_archive
from tests.projects import make_project, random_weights
from workflow.project import Project


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def project(tmp_path: Path, weights: Path) -> Iterator[Project]:
    """40 small images in four class folders; no job done yet."""
    made = make_project(tmp_path / "project", write_archive(tmp_path / "archive"), weights)
    yield made
    made.close()
