"""Models that learnt by themselves: the newest keep all, older ones only what is small."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.errors import JobError
from labeling_store import jobs as queue
from tests.pictures import write_archive
from tests.ui import stage
from workflow import curves, jobs, rounds
from workflow.creation import create_project
from workflow.old_runs import KEPT, drop_old_embeddings
from workflow.project import Project, open_project
from workflow.run_files import has_embeddings

SMALL = {"checkpoint.safetensors", "config.toml", "log.jsonl", "metrics.json", "pairs.parquet"}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A frozen model, nothing answered."""
    images = write_archive(tmp_path / "images")
    create_project(tmp_path / "project", images=images).project.close()
    made = open_project(tmp_path / "project")
    stage.finish_jobs(made)
    stage.add_model(made, 0, metrics={})
    yield made
    made.close()


def add_model(project: Project, number: int, *, by: str = jobs.BY_ITSELF) -> str:
    """A model of the round of that number, in use, trained by a job that somebody wanted."""
    key = f"{by} {number}"
    queue.enqueue(project.jobs, jobs.ROUND, {}, by=by, key=key)
    stage.finish_jobs(project)
    name = stage.add_model(project, number, metrics={"threshold": 0.2}, bits=10 * number).name
    with project.store.transaction() as db:
        db.execute("UPDATE run SET made_by = ? WHERE name = ?", (key, name))
    return name


def add_models(project: Project, numbers: range) -> list[str]:
    return [add_model(project, number) for number in numbers]


def embedded(project: Project) -> set[str]:
    names = [run.name for run in rounds.list_runs(project)]
    return {name for name in names if has_embeddings(project.runs / name)}


def test_the_newest_and_those_that_people_started_keep_their_embeddings(project: Project) -> None:
    by_hand = add_model(project, 1, by=jobs.BY_PAGE)
    names = add_models(project, range(2, KEPT + 4))
    assert drop_old_embeddings(project) == names[:-KEPT]
    assert embedded(project) == {"r000", by_hand, *names[-KEPT:]}
    kept = {path.name for path in (project.runs / names[0]).iterdir()}
    assert SMALL <= kept <= SMALL | {"image_ids.npy"}
    assert drop_old_embeddings(project) == []


def test_a_model_in_use_keeps_its_embeddings_however_old_it_is(project: Project) -> None:
    names = add_models(project, range(1, KEPT + 3))
    rounds.activate(project, names[0])
    assert drop_old_embeddings(project) == [names[1]]
    assert names[0] in embedded(project)


def test_the_curve_keeps_what_following_answers_said_of_a_model(project: Project) -> None:
    first = add_model(project, 1)
    stage.next_round(project, 2, stage.training_pairs(project, 30, skip=200), model=first)
    stage.answer_questions(project, 30)
    before = {point.run: dict(point.metrics) for point in curves.quality_curve(project)}
    add_models(project, range(2, KEPT + 2))
    assert drop_old_embeddings(project) == [first]
    after = {point.run: dict(point.metrics) for point in curves.quality_curve(project)}
    assert {"auc", "auc_random", "balanced_accuracy", "threshold"} <= set(before[first])
    assert after[first] == before[first]


def test_an_older_model_is_embedded_with_before_it_is_used(project: Project) -> None:
    names = add_models(project, range(1, KEPT + 3))
    drop_old_embeddings(project)
    rounds.activate(project, names[0])
    (active,) = [run.name for run in rounds.list_runs(project) if run.active]
    assert active == names[-1]
    job = jobs.recent(project)[0]
    assert (job.kind, job.params) == (jobs.USE, {"run": names[0]})
    rounds.activate(project, names[0])  # twice is no error
    with pytest.raises(JobError, match=names[0]):
        rounds.activate(project, names[1])
