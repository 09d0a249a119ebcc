"""An earlier model whose embeddings were dropped is used again."""

import numpy as np
import pytest

from domain.jobs import JobState
from labeling_store import jobs as queue
from tests.projects import answer
from tests.worker.done_jobs import active_run
from worker.lane import work
from worker.stopping import Stop
from workflow import jobs, old_runs, rounds
from workflow.project import CONFIG_NAME, Project
from workflow.run_files import has_embeddings, read_embeddings
from workflow.search import similar_images


@pytest.fixture
def project(prepared: Project) -> Project:
    """Its images are embedded."""
    return prepared


def trained(project: Project, number: int) -> str:
    """The model of a training on five more answers that nobody started by hand."""
    answer(project, 5)
    params = {"device": "cpu"}
    queue.enqueue(project.jobs, jobs.TRAIN, params, by=jobs.BY_ITSELF, key=f"{number}")
    work_newest(project)
    return active_run(project).name


def work_newest(project: Project) -> None:
    work(project, Stop(), until_job=jobs.recent(project)[0].job_id)


def test_a_training_drops_old_embeddings_which_can_be_made_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(old_runs, "KEPT", 1)
    answer(project, 30)
    first = trained(project, 1)
    before = np.array(read_embeddings(project.runs / first).vectors)
    newer = trained(project, 2)
    assert not has_embeddings(project.runs / first)
    assert has_embeddings(project.runs / newer)
    rounds.activate(project, first)
    work_newest(project)
    assert active_run(project).name == first
    np.testing.assert_array_equal(read_embeddings(project.runs / first).vectors, before)
    assert len(similar_images(project, 1, k=5)) == 5


def test_a_model_of_another_backbone_is_not_embedded_with(project: Project) -> None:
    answer(project, 30)
    older, newest = trained(project, 1), trained(project, 2)
    path = project.folder / CONFIG_NAME
    path.write_text(path.read_text().replace("image_size_px = 32", "image_size_px = 64"))
    jobs.enqueue_use(project.jobs, older)
    work_newest(project)
    job = jobs.recent(project)[0]
    assert job.state is JobState.FAILED
    assert "another backbone" in (job.error or "")
    assert active_run(project).name == newest
