from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pictures import write_archive
from tests.projects import answer, make_project, opened_copy, random_weights
from tests.worker.done_jobs import do_group_round, do_job
from tests.worker.tuned import BETTER, always_keep_groups, judge
from training.ranking_selection import RankingGain
from workflow import jobs
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


@pytest.fixture(scope="session")
def prepared_folder(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Path:
    """Such a project with its images embedded and nothing answered; tests work on copies."""
    root = tmp_path_factory.mktemp("prepared")
    made = make_project(root / "project", write_archive(root / "archive"), weights)
    do_job(made, jobs.PREPARE)
    made.close()
    return made.folder


@pytest.fixture
def prepared(prepared_folder: Path, tmp_path: Path) -> Iterator[Project]:
    """A copy of it; its images are everybody's."""
    with opened_copy(prepared_folder, tmp_path / "project") as project:
        yield project


@pytest.fixture(scope="session")
def sorted_folder(tmp_path_factory: pytest.TempPathFactory, prepared_folder: Path) -> Path:
    """Answered often enough for a head of groups."""
    with (
        opened_copy(prepared_folder, tmp_path_factory.mktemp("sorted") / "project") as project,
        pytest.MonkeyPatch.context() as patched,
    ):
        always_keep_groups(patched)
        answer(project)
        do_group_round(project)
    return project.folder


@pytest.fixture
def sorted_once(
    sorted_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    """A copy of it; its later heads are kept, too."""
    always_keep_groups(monkeypatch)
    with opened_copy(sorted_folder, tmp_path / "project") as project:
        yield project


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> dict[str, RankingGain | None]:
    """Lets a test say how held-out images judge the next head; it is better until then."""
    verdicts: dict[str, RankingGain | None] = {"next": BETTER}
    judge(monkeypatch, verdicts)
    return verdicts
