"""All views beside the single one: when they are embedded, who uses them, and what stays."""

import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from domain.clock import utc_now
from domain.config import Views
from domain.jobs import Job, JobState, silent
from labeling_store import jobs as queue
from tests.pictures import texture, write_archive
from tests.projects import answer, make_project
from tests.worker.done_jobs import active_run
from training.checkpoints import load_head
from worker import backbone, lane
from worker.foreground import run_to_end
from worker.foreign import embed_file
from worker.lane import work
from worker.report import JobReport
from worker.stopping import Stop
from workflow import jobs, rounds
from workflow.catalogue import ingest
from workflow.project import CONFIG_NAME, Project
from workflow.run_files import CHECKPOINT, read_embeddings, views_of
from workflow.status import overview

SINGLE, ALL = 1280, 1280 + 320 + 2 * 96  # widths of MobileNetV2's features


@pytest.fixture
def project(tmp_path: Path, weights: Path) -> Iterator[Project]:
    """40 small images, of which all views are wanted; no job done yet."""
    archive = write_archive(tmp_path / "archive")
    made = make_project(tmp_path / "project", archive, weights, views=Views.MULTI)
    yield made
    made.close()


@pytest.fixture
def no_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in archives of more than a handful of images."""
    monkeypatch.setattr(backbone, "FEW_IMAGES", 0)


def do(project: Project, kind: str) -> None:
    run_to_end(project, kind, {"device": "cpu"}, silent)


def do_round(project: Project) -> None:
    params = rounds.round_params(project, strategy=None, pairs=20)
    run_to_end(project, jobs.ROUND, {"device": "cpu", **params}, silent)


def newest(project: Project, kind: str) -> Job:
    job = jobs.newest(project, kind)
    assert job is not None
    return job


def width(project: Project, run: str) -> int:
    """Of the features that a run's model reads."""
    state = load_head(project.runs / run / CHECKPOINT).module.state_dict()
    return len(state.get("mean", state.get("standardise.mean", ())))


def write_views(project: Project, views: str) -> None:
    path = project.folder / CONFIG_NAME
    text = re.sub('(?m)^views = "single"\n', "", path.read_text())
    path.write_text(text.replace("[model]\n", f'[model]\nviews = "{views}"\n'))


def add_image(project: Project, name: str) -> None:
    Image.fromarray(texture("stripes", np.random.default_rng(99))).save(project.images_root / name)
    settings = project.config
    layout = settings.archive.layout
    ingest(project.store, project.images_root, layout=layout, seed=settings.seed)


def test_the_single_view_is_in_use_before_the_others_are_embedded(project: Project) -> None:
    do(project, jobs.PREPARE)
    assert (active_run(project).name, width(project, "frozen")) == ("frozen", SINGLE)
    waiting = newest(project, jobs.VIEWS)
    assert waiting.state is JobState.QUEUED


def test_then_the_features_of_all_views_take_its_place(project: Project) -> None:
    do(project, jobs.PREPARE)
    do(project, jobs.VIEWS)
    run = active_run(project)
    assert (run.name, run.depth, width(project, run.name)) == ("frozen-views", "frozen", ALL)
    assert "features of all views" in overview(project).model_state
    vectors = [read_embeddings(project.runs / each).vectors for each in ("frozen", "frozen-views")]
    assert vectors[0].shape != vectors[1].shape


def test_where_the_settings_say_single_nothing_else_is_embedded(project: Project) -> None:
    write_views(project, "single")
    do(project, jobs.PREPARE)
    assert jobs.newest(project, jobs.VIEWS) is None
    answer(project)
    do_round(project)
    assert width(project, "round-001") == SINGLE


@pytest.mark.usefixtures("no_few")
def test_a_round_does_not_wait_for_the_views_and_the_next_learns_from_them(
    project: Project,
) -> None:
    do(project, jobs.PREPARE)
    answer(project)
    do_round(project)
    assert newest(project, jobs.VIEWS).state is JobState.QUEUED
    assert width(project, "round-001") == SINGLE
    do(project, jobs.VIEWS)
    assert active_run(project).name == "round-001"  # what people taught is not thrown away
    answer(project)
    do_round(project)
    assert width(project, active_run(project).name) == ALL


@pytest.mark.usefixtures("no_few")
def test_a_run_says_which_views_it_was_made_from(project: Project) -> None:
    do(project, jobs.PREPARE)
    answer(project)
    do_round(project)
    do(project, jobs.VIEWS)
    do(project, jobs.TRAIN)
    found = {run.name: views_of(project.runs / run.name) for run in rounds.list_runs(project)}
    names = list(found)
    assert [found[name] for name in names] == [Views.SINGLE, Views.SINGLE, Views.MULTI]
    assert [width(project, name) for name in names] == [SINGLE, SINGLE, ALL]


def test_a_run_of_a_version_without_views_is_of_the_single_view(project: Project) -> None:
    do(project, jobs.PREPARE)
    settings = project.runs / "frozen" / "config.toml"
    settings.write_text(re.sub("(?m)^views = .*\n", "", settings.read_text()))
    assert "views" not in tomllib.loads(settings.read_text())["model"]
    do(project, jobs.VIEWS)
    assert width(project, active_run(project).name) == ALL


@pytest.mark.parametrize("run", ["frozen", "frozen-views"])
def test_a_query_is_embedded_with_the_views_of_the_active_model(project: Project, run: str) -> None:
    do(project, jobs.PREPARE)
    do(project, jobs.VIEWS)
    rounds.activate(project, run)
    path = project.images_root / "dots" / "dots03.png"
    vector = embed_file(project, path, device="cpu", progress=silent)
    embeddings = read_embeddings(project.runs / run)
    best = embeddings.vectors @ vector
    assert best.max() == pytest.approx(1, abs=1e-5)


def test_new_images_join_the_model_of_all_views(project: Project) -> None:
    do(project, jobs.PREPARE)
    do(project, jobs.VIEWS)
    add_image(project, "stripes/stripes99.png")
    do(project, jobs.PREPARE)
    assert len(read_embeddings(project.runs / active_run(project).name).rows) == 40
    do(project, jobs.VIEWS)
    assert active_run(project).name == "frozen-views+41"
    assert len(read_embeddings(project.runs / "frozen-views+41").rows) == 41


def test_they_do_so_also_when_the_settings_have_changed_to_the_single_view(
    project: Project,
) -> None:
    do(project, jobs.PREPARE)
    do(project, jobs.VIEWS)
    write_views(project, "single")
    add_image(project, "stripes/stripes99.png")
    do(project, jobs.PREPARE)
    do(project, jobs.VIEWS)
    assert active_run(project).name == "frozen-views+41"


def test_a_few_new_images_do_not_make_a_round_fall_back(project: Project) -> None:
    do(project, jobs.PREPARE)
    do(project, jobs.VIEWS)
    add_image(project, "stripes/stripes99.png")
    answer(project)
    do_round(project)
    assert width(project, active_run(project).name) == ALL


@pytest.mark.usefixtures("no_few")
def test_an_older_project_gets_its_views_after_its_next_training(project: Project) -> None:
    do(project, jobs.PREPARE)
    jobs.cancel(project, newest(project, jobs.VIEWS).job_id)
    with project.jobs.transaction() as db:
        db.execute("DELETE FROM job WHERE kind = 'views'")
    answer(project)
    do_round(project)
    assert newest(project, jobs.VIEWS).state is JobState.QUEUED


@pytest.mark.usefixtures("no_few")
def test_cancelled_views_are_not_embedded_after_all(project: Project) -> None:
    do(project, jobs.PREPARE)
    jobs.cancel(project, newest(project, jobs.VIEWS).job_id)
    answer(project)
    do_round(project)
    assert newest(project, jobs.VIEWS).state is JobState.CANCELLED


def test_views_make_way_for_other_jobs_and_go_on_after_them(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def views(project: Project, params: object, report: JobReport) -> None:
        order.append("views")
        if len(order) > 1:
            return
        queue.enqueue(project.jobs, jobs.TRAIN, {})
        for _ in range(200):
            report(0.1, "embedding")
            Stop().wait(0.05)

    def train(project: Project, params: object, report: JobReport) -> None:
        order.append("train")

    monkeypatch.setattr(lane, "STEPS", {jobs.VIEWS: views, jobs.TRAIN: train})
    jobs.cancel(project, newest(project, jobs.PREPARE).job_id)
    job_id = jobs.enqueue_views(project.jobs, {})
    work(project, Stop(), until_job=job_id)
    assert order == ["views", "train", "views"]
    assert jobs.get(project, job_id).state is JobState.DONE
    assert jobs.get(project, job_id).attempt == 1  # making way is no failed attempt


def test_no_other_job_makes_way(project: Project) -> None:
    job = queue.claim_job(project.jobs, "test", now=utc_now())
    assert job is not None
    assert job.kind == jobs.PREPARE
    queue.enqueue(project.jobs, jobs.TRAIN, {})
    with JobReport(project.jobs, job, Stop()) as report:
        Stop().wait(1.5)
        report(0.5, "going on")
    assert not report.makes_way


@pytest.mark.usefixtures("no_few")
def test_views_that_are_gone_are_embedded_again(project: Project) -> None:
    do(project, jobs.PREPARE)
    do(project, jobs.VIEWS)
    shutil.rmtree(project.cache / "features")
    answer(project)
    do_round(project)
    assert width(project, active_run(project).name) == SINGLE
    assert newest(project, jobs.VIEWS).state is JobState.QUEUED


def test_the_progress_of_views_begins_at_their_beginning(project: Project) -> None:
    do(project, jobs.PREPARE)
    told: list[tuple[float, str]] = []
    backbone.archive_features(
        project,
        torch.device("cpu"),
        lambda done, message: told.append((done, message)),
        views=Views.MULTI,
    )
    first = next(done for done, message in told if "with all views" in message)
    assert first < 0.05
    assert told[-1][0] == pytest.approx(1)
