"""Small rounds of `components` start by themselves: in time, once, and not in a loop."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from domain.answers import Kind
from domain.config import Views, config_toml
from domain.jobs import Job
from labeling_store import jobs as job_queue
from labeling_store import queue, rounds
from tests.pictures import write_archive
from tests.ui import stage
from workflow import continuous, jobs
from workflow.creation import create_project
from workflow.project import CONFIG_NAME, Project, open_project
from workflow.rounds import activate, check_can_train
from workflow.run_files import RUN_CONFIG
from workflow.status import overview

EVERY = 10
Make = Callable[..., Project]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template")
    images = write_archive(root / "images", each=10)
    create_project(root / "project", images=images).project.close()
    return root / "project"


@pytest.fixture
def make(template: Path, tmp_path: Path) -> Iterator[Make]:
    """A prepared project in its first round, nothing answered."""
    opened: list[Project] = []

    def copy(*, every: int = EVERY, strategy: str = "components") -> Project:
        folder = tmp_path / f"project{len(opened)}"
        shutil.copytree(template, folder)
        with (folder / CONFIG_NAME).open("a") as config:
            config.write(f'\n[selection]\nlearn_every = {every}\nstrategy = "{strategy}"\n')
        project = open_project(folder)
        stage.finish_jobs(project)
        stage.add_model(project, 0, metrics={})
        opened.append(project)
        return project

    yield copy
    for project in opened:
        project.close()


def answer_first(project: Project, count: int) -> None:
    """Answers in the first round, one of them "similar"."""
    stage.answer_pair(project, *stage.one_kind(project, 2), Kind.SIMILAR)
    stage.answer_questions(project, count - 1)


def new_round(project: Project, number: int, *, target: int = EVERY, pairs: int = 20) -> None:
    """A round of `components` of single questions."""
    stage.next_round(project, number, stage.training_pairs(project, pairs, skip=200), model="r000")
    with project.store.transaction() as db:
        current = rounds.current_round(db)
        assert current is not None
        rounds.set_round_source(
            db, current.round_id, strategy="components", model="r000", target=target
        )


def started(project: Project) -> Job | None:
    job_id = continuous.start_if_due(project)
    return None if job_id is None else jobs.get(project, job_id)


def test_the_first_round_is_learnt_from_after_enough_answers(make: Make) -> None:
    project = make()
    answer_first(project, EVERY - 1)
    assert started(project) is None
    stage.answer_questions(project, 1)
    job = started(project)
    assert job is not None
    assert (job.kind, job.queued_by) == (jobs.ROUND, jobs.BY_ITSELF)
    assert job.params["strategy"] == "components"
    assert job.params["depth"] == "head"  # on a GPU, too: nobody waits for a whole network


def test_a_round_is_started_once(make: Make) -> None:
    project = make()
    answer_first(project, EVERY)
    assert started(project) is not None
    assert started(project) is None
    other = open_project(project.folder)
    assert continuous.start_if_due(other) is None
    other.close()
    assert len([job for job in jobs.recent(project) if job.kind == jobs.ROUND]) == 1


def test_a_round_that_can_ask_no_more_is_learnt_from(make: Make) -> None:
    project = make()
    new_round(project, 2, pairs=EVERY - 2)
    stage.answer_questions(project, EVERY - 2)
    assert started(project) is not None


def test_answers_that_were_learnt_from_start_nothing(make: Make) -> None:
    project = make()
    new_round(project, 2)
    stage.answer_questions(project, EVERY)
    stage.add_model(project, 1, metrics={}, bits=EVERY)
    assert started(project) is None
    stage.answer_questions(project, EVERY)
    assert started(project) is not None


def test_an_earlier_model_in_use_is_not_replaced_without_new_answers(make: Make) -> None:
    project = make()
    new_round(project, 2)
    stage.answer_questions(project, EVERY)
    stage.add_model(project, 1, metrics={}, bits=EVERY)
    activate(project, "r000")
    assert started(project) is None


@pytest.mark.parametrize(
    "settings", [{"every": 0}, {"strategy": "mgue"}], ids=["switched off", "another strategy"]
)
def test_other_projects_wait_for_a_lead(make: Make, settings: dict[str, object]) -> None:
    project = make(**settings)
    answer_first(project, 3 * EVERY)
    assert started(project) is None
    assert continuous.in_words(project) is None


def test_a_lead_may_go_on_with_another_strategy(make: Make) -> None:
    project = make()
    stage.next_round(project, 2, stage.training_pairs(project, 20, skip=200), model="r000")
    stage.answer_questions(project, 20)
    assert started(project) is None


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_after_a_round_that_did_not_end_well_further_answers_are_waited_for(
    make: Make, end: str
) -> None:
    project = make()
    answer_first(project, EVERY)
    first = started(project)
    assert first is not None
    if end == "failed":
        stage.finish_jobs(project, error="The disk is full.")
        assert f"It is tried again after {EVERY} further" in overview(project).next_step.text
    else:
        jobs.cancel(project, first.job_id)
    stage.answer_questions(project, EVERY - 1)
    assert started(project) is None
    stage.answer_questions(project, 1)
    assert started(project) is not None


def test_answers_of_one_kind_do_not_keep_groups_from_being_asked_about(make: Make) -> None:
    project = make()
    unlike = [each for each in stage.training_pairs(project, 60) if not stage.alike(project, each)]
    stage.next_round(project, 2, unlike[:EVERY], model="r000")
    new_round(project, 3, pairs=0)
    with project.store.transaction() as db:
        current = rounds.current_round(db)
        assert current is not None
        queue.add_proposals(db, current.round_id, [stage.question(each) for each in unlike])
    stage.answer_questions(project, EVERY)
    assert check_can_train(project, strategy="components") is None
    assert "similar pair" in (check_can_train(project, strategy="mgue") or "")
    assert started(project) is not None


@pytest.fixture
def embedding(make: Make) -> Project:
    """In its second round, whose answers are there; all views are being embedded."""
    project = make()
    jobs.enqueue_views(project.jobs, {})
    stage.claim_job(project)
    new_round(project, 2)
    stage.answer_questions(project, EVERY)
    return project


def test_the_embedding_of_views_is_not_interrupted_all_the_time(
    embedding: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert started(embedding) is None  # the preparation ended a moment ago
    monkeypatch.setattr(continuous, "VIEWS_UNDISTURBED_S", 0.0)
    assert started(embedding) is not None


def test_where_questions_run_short_views_can_wait(embedding: Project) -> None:
    assert started(embedding) is None
    stage.answer_questions(embedding, 1)
    assert started(embedding) is not None


def views_done(project: Project) -> None:
    """All views are embedded, by a job that ended just now."""
    jobs.enqueue_views(project.jobs, {})
    stage.finish_jobs(project)


@pytest.fixture
def single(make: Make) -> Project:
    """It has learnt from the single view all that was answered; nothing is left to ask."""
    project = make()
    new_round(project, 2)
    stage.answer_questions(project, 20)
    with project.store.transaction() as db:
        queue.withdraw_open(db, rounds.list_rounds(db)[-1].round_id)
    config = project.config
    run = stage.add_model(project, 1, metrics={}, bits=20)
    of_single = config.model.model_copy(update={"views": Views.SINGLE})
    text = config_toml(config.model_copy(update={"model": of_single}))
    (project.runs / run.name / RUN_CONFIG).write_text(text)
    assert started(project) is None
    return project


def test_when_all_views_are_there_it_is_learnt_from_them_without_another_answer(
    single: Project,
) -> None:
    views_done(single)
    assert started(single) is not None


def test_if_it_then_learns_from_the_single_view_again_it_is_not_tried_for_ever(
    single: Project,
) -> None:
    views_done(single)
    assert started(single) is not None
    stage.finish_jobs(single)
    assert started(single) is None
    stage.answer_questions(single, 1)
    assert started(single) is None


def test_a_model_of_all_views_is_not_trained_anew_when_some_more_are_embedded(
    single: Project,
) -> None:
    stage.add_model(single, 2, metrics={}, bits=20)
    views_done(single)
    assert started(single) is None


def test_a_preparation_comes_first(make: Make) -> None:
    project = make()
    answer_first(project, EVERY)
    jobs.enqueue_prepare(project.jobs)
    assert started(project) is None


def test_the_overview_says_that_nothing_needs_to_be_pressed(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "worker_alive", lambda project: True)
    project = make()
    new_round(project, 2)
    stage.answer_questions(project, EVERY)
    for _ in range(2):  # before the job is in the queue, and when it is
        step = overview(project).next_step
        assert step.page == "annotate"
        assert "learns by itself" in step.text
        continuous.start_if_due(project)
    assert "has not learnt yet" in (overview(project).learning or "")
    stage.finish_jobs(project)
    stage.add_model(project, 1, metrics={}, bits=EVERY)
    stage.answer_questions(project, 2)
    assert "2 came since" in (overview(project).learning or "")


def test_a_round_that_a_lead_has_queued_comes_first(make: Make) -> None:
    project = make()
    answer_first(project, EVERY)
    job_queue.enqueue(project.jobs, jobs.PROPOSE, {"strategy": "mgue", "pairs": 5})
    assert started(project) is None
