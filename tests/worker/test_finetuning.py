"""Fine-tuned runs: from the parent's answers, kept with their loss, in use only if better."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from domain.errors import InputError, JobError
from domain.rounds import Run
from tests.projects import answer, opened_copy
from tests.worker.done_jobs import active_run, do_job
from tests.worker.tuned import BETTER, WORSE, tune_quickly
from training.checkpoints import load_head
from training.group_head import GroupHead
from training.head import TrainedHead
from training.ranking_selection import RankingGain
from worker.run_training import RunTraining
from workflow import curves, finetuning, jobs, rounds
from workflow.finetuning import fine_tuning_of, starting_run
from workflow.project import CONFIG_NAME, Project, open_project
from workflow.run_files import CHECKPOINT, read_embeddings, read_relations

BEST = RankingGain(0.80, 0.95, 0.01, 40)


def _fine_tune(project: Project, loss: str = "triplet", **params: Any) -> Run:
    do_job(project, jobs.FINETUNE, loss=loss, **params)
    return rounds.list_runs(project)[-1]


@pytest.fixture(scope="module")
def trained_folder(tmp_path_factory: pytest.TempPathFactory, prepared_folder: Path) -> Path:
    """One round is answered and learnt."""
    with opened_copy(prepared_folder, tmp_path_factory.mktemp("finetuning") / "project") as project:
        tune_quickly(project)
        answer(project)
        do_job(project, jobs.TRAIN)
        assert active_run(project).name == "round-001"
    return project.folder


@pytest.fixture
def trained(trained_folder: Path, tmp_path: Path) -> Iterator[Project]:
    """A copy of it for each test."""
    with opened_copy(trained_folder, tmp_path / "project") as project:
        yield project


def test_a_better_model_takes_the_place_of_its_parent(
    trained: Project, judged: dict[str, RankingGain | None]
) -> None:
    judged["next"] = BETTER
    made = _fine_tune(trained)
    parent = starting_run(trained, "round-001")
    assert (made.name, made.active) == ("round-001-triplet", True)
    assert (made.bits, made.answers, made.known_pairs, made.round_number) == (
        parent.bits, parent.answers, parent.known_pairs, 1,
    )  # fmt: skip
    assert active_run(trained).name == made.name


@pytest.mark.parametrize("verdict", [WORSE, None], ids=["worse", "too few answers"])
def test_a_model_that_is_not_better_is_kept_but_not_used(
    trained: Project, judged: dict[str, RankingGain | None], verdict: RankingGain | None
) -> None:
    judged["next"] = verdict
    made = _fine_tune(trained)
    assert not made.active
    assert active_run(trained).name == "round-001"
    how = fine_tuning_of(trained.runs / made.name)
    assert how is not None
    assert "round-001 stays in use" in how.verdict
    assert made.name in {point.run for point in curves.quality_curve(trained)}


def test_a_second_loss_must_beat_the_first(
    trained: Project, judged: dict[str, RankingGain | None]
) -> None:
    judged["next"] = BEST
    _fine_tune(trained)
    judged["next"] = BETTER
    assert not _fine_tune(trained, "contrastive").active
    assert active_run(trained).name == "round-001-triplet"
    judged["next"] = replace(BEST, after=0.96)
    assert _fine_tune(trained, "contrastive", parameters={"margin": 0.1}).active
    assert active_run(trained).name == "round-001-contrastive-2"


def test_every_loss_starts_from_the_same_checkpoint(
    trained: Project, judged: dict[str, RankingGain | None]
) -> None:
    judged["next"] = BETTER
    first = _fine_tune(trained)
    second = _fine_tune(trained, "contrastive")
    parents = [fine_tuning_of(trained.runs / each.name) for each in (first, second)]
    assert [each.parent for each in parents if each is not None] == ["round-001", "round-001"]


def test_another_model_in_use_is_not_replaced(
    trained: Project, judged: dict[str, RankingGain | None]
) -> None:
    rounds.activate(trained, "frozen")
    judged["next"] = BETTER
    assert not _fine_tune(trained, run="round-001").active
    assert active_run(trained).name == "frozen"


def test_a_run_says_how_it_was_made(trained: Project) -> None:
    made = _fine_tune(trained, parameters={"margin": 0.3})
    folder = trained.runs / made.name
    how = fine_tuning_of(folder)
    assert how is not None
    assert (how.loss, how.parameters) == ("triplet", {"margin": 0.3, "mining": "all"})
    assert how.device.startswith("CPU")
    assert how.images == 0  # 32 images are too few to hold any out
    assert read_relations(folder) == read_relations(trained.runs / "round-001")
    assert fine_tuning_of(trained.runs / "round-001") is None


def test_the_embeddings_are_those_of_the_checkpoint(trained: Project) -> None:
    made = _fine_tune(trained)
    kept = read_embeddings(trained.runs / made.name)
    before = read_embeddings(trained.runs / "round-001")
    assert not np.allclose(kept.vectors, before.vectors)
    np.testing.assert_allclose(np.linalg.norm(kept.vectors, axis=1), 1, atol=1e-5)
    assert load_head(trained.runs / made.name / CHECKPOINT).module.out == kept.vectors.shape[1]


def test_answers_that_came_later_take_no_part(trained: Project) -> None:
    before = read_relations(trained.runs / "round-001")
    do_job(trained, jobs.PROPOSE, pairs=20, strategy="random")
    answer(trained)
    made = _fine_tune(trained)
    assert read_relations(trained.runs / made.name) == before


def test_a_job_that_is_done_again_makes_no_second_run(trained: Project) -> None:
    _fine_tune(trained)
    job = jobs.newest(trained, jobs.FINETUNE)
    assert job is not None
    count = len(rounds.list_runs(trained))
    with trained.jobs.transaction() as db:
        db.execute("UPDATE job SET state = 'failed' WHERE job_id = :id", {"id": job.job_id})
    jobs.retry(trained, job.job_id)
    do_job(trained, jobs.FINETUNE, **job.params)
    assert len(rounds.list_runs(trained)) == count


def test_a_round_goes_on_to_fine_tuning(trained: Project) -> None:
    do_job(trained, jobs.PROPOSE, pairs=20, strategy="random")
    answer(trained)
    params: Mapping[str, Any] = rounds.round_params(
        trained, strategy="mgue", pairs=10, then_finetune="triplet"
    )
    do_job(trained, jobs.ROUND, **params)
    waiting = jobs.running(trained)
    assert waiting is not None
    assert (waiting.kind, waiting.params["loss"]) == (jobs.FINETUNE, "triplet")
    do_job(trained, jobs.FINETUNE, **waiting.params)
    assert rounds.list_runs(trained)[-1].name == "round-002-triplet"


def test_a_model_of_groups_is_fine_tuned(sorted_once: Project) -> None:
    tune_quickly(sorted_once)
    made = _fine_tune(sorted_once)
    assert made.name.endswith("-triplet")
    assert isinstance(load_head(sorted_once.runs / made.name / CHECKPOINT).module, GroupHead)


@pytest.mark.parametrize(("weight", "reads"), [(0.0, 0), (0.5, 1)], ids=["none", "some"])
def test_soft_labels_are_read_only_where_guesses_count(
    trained: Project, monkeypatch: pytest.MonkeyPatch, weight: float, reads: int
) -> None:
    asked: list[Path] = []

    def spied(self: RunTraining, start: TrainedHead, folder: Path) -> TrainedHead:
        asked.append(folder)
        return start

    monkeypatch.setattr(RunTraining, "labelled", spied)
    with (trained.folder / CONFIG_NAME).open("a") as config:
        config.write(f"guess_weight = {weight}\n")
    project = open_project(trained.folder)
    _fine_tune(project)
    project.close()
    assert len(asked) == reads


def test_what_cannot_be_fine_tuned_is_said_before_a_job_starts(trained: Project) -> None:
    for name, words in (("frozen", "learnt nothing"), ("round-009", "There is no run")):
        with pytest.raises(InputError, match=words):
            finetuning.fine_tuning_params(trained, "triplet", run=name)
    with pytest.raises(InputError, match="has no colour"):
        finetuning.fine_tuning_params(trained, "triplet", settings=("colour=1",))
    rounds.activate(trained, "frozen")
    with pytest.raises(JobError, match="learnt nothing"):
        finetuning.start_fine_tuning(trained, "triplet")
