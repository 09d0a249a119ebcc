"""Fine-tuning at full depth: the network of a model goes on learning, and is judged fairly."""

import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from domain.config import Depth, TrainingSettings
from domain.errors import Cancelled, InputError, JobError
from domain.images import Part
from domain.jobs import Progress, silent
from domain.rounds import Run
from labeling_store import jobs as queue
from tests.pictures import write_archive
from tests.projects import answer, make_project, opened_copy
from tests.worker.done_jobs import active_run, do_job
from tests.worker.tuned import always_retrain
from training.checkpoint_comparison import Retrain
from training.finetuning import FineTuned
from training.full_depth import Further, Retrained
from training.head import TrainedHead, frozen_head
from training.objectives import Objective
from training.weights import load_backbone
from worker import finetuning as worker_finetuning
from worker import network_lessons, network_tuning
from worker.backbone import archive_features
from worker.network_tuning import NetworkTuning
from worker.run_training import RunTraining
from workflow import finetuning, jobs, rounds
from workflow.finetuning import (
    fine_tuning_of,
    fine_tuning_params,
    held_back,
    starting_run,
    tuning_depth,
)
from workflow.project import CONFIG_NAME, Project, open_project
from workflow.run_files import (
    BACKBONE,
    RETRAINED,
    learnt_images,
    read_embeddings,
    read_relations,
    reads_own_backbone,
)

CPU = torch.device("cpu")
QUICK = """
[training.full]
fewest_steps = 3
most_steps = 3
evaluate_every = 1
batch_anchors = 6
batch_others = 4
backbone_learning_rate = 1e-3
head_learning_rate = 1e-3

[finetuning]
steps = 4
check_steps = 2
batch_anchors = 8
batch_others = 8
network_rate = 0.5
"""


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Path:
    """64 images, whose answers a head has learnt, and the whole network, too."""
    root = tmp_path_factory.mktemp("network_tuning")
    archive = write_archive(root / "archive", each=16)
    project = make_project(root / "project", archive, weights)
    settings = project.folder / CONFIG_NAME
    quick = settings.read_text().replace("[training]\n", "[training]\nfewest_steps = 10\n") + QUICK
    settings.write_text(quick)
    project.close()
    project = open_project(root / "project")
    do_job(project, jobs.PREPARE)
    answer(project, 150)
    do_job(project, jobs.TRAIN, depth="head")
    with pytest.MonkeyPatch.context() as patched:
        always_retrain(patched, network_lessons)
        do_job(project, jobs.TRAIN, depth="full")
    project.close()
    return root / "project"


@pytest.fixture
def project(learnt: Path, tmp_path: Path) -> Iterator[Project]:
    with opened_copy(learnt, tmp_path / "project") as opened:
        yield opened


class Taught:
    """In place of a training: moves the weights a little, and says that this was better."""

    def __init__(self, note: str = "") -> None:
        self.note, self.seen = note, list[tuple[Further, Any]]()

    def __call__(self, backbone: Any, *given: Any, further: Further, **_: Any) -> Retrained:
        self.seen.append((further, given[-1]))
        with torch.no_grad():
            for weight in backbone.parameters():
                weight.mul_(1.01)
        history = [{"step": 1.0, "selection_auc": 0.9}]
        return Retrained(backbone, None, history, start=0.8, best=0.9, pairs=7, note=self.note)


@pytest.fixture
def taught(monkeypatch: pytest.MonkeyPatch) -> Taught:
    made = Taught()
    monkeypatch.setattr(network_lessons, "retrain_backbone", made)
    return made


def _tuned(project: Project, loss: str = "pedc", **params: Any) -> Run:
    do_job(project, jobs.FINETUNE, loss=loss, **params)
    return rounds.list_runs(project)[-1]


def _log(project: Project) -> str:
    newest = queue.list_jobs(project.jobs, limit=1)[0]
    return " ".join(line.text for line in jobs.log(project, newest.job_id))


def _head_run(project: Project) -> Run:
    return next(run for run in rounds.list_runs(project) if run.depth == "head")


def test_the_archive_is_large_enough_to_be_judged_by(project: Project) -> None:
    """What the other tests rest on."""
    run = active_run(project)
    assert run.depth == "full"
    learnt = learnt_images(project.runs / run.name)
    answered = {image for each in read_relations(project.runs / run.name) for image in each.pair}
    assert learnt is not None
    assert learnt < answered
    assert len(answered - learnt) >= 5


@dataclass(frozen=True)
class Tuned:
    """A fine-tuning with PEDC that stood in for a real one.

    Attributes:
        parent, made: folders of the two runs.
        further, settings: what the training was given.
        head: what the head was given, by name.
    """

    project: Project
    parent: Path
    made: Path
    further: Further
    settings: TrainingSettings
    head: dict[str, Any]


@pytest.fixture(scope="module")
def tuned(learnt: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tuned]:
    taught, real, head = Taught(), worker_finetuning.fine_tune, dict[str, Any]()

    def spied(start: Any, features: Any, *given: Any, **options: Any) -> FineTuned:
        head.update(options, features=features)
        return real(start, features, *given, **options)

    with opened_copy(learnt, tmp_path_factory.mktemp("tuned") / "project") as project:
        parent = project.runs / active_run(project).name
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(network_lessons, "retrain_backbone", taught)
            patched.setattr(worker_finetuning, "fine_tune", spied)
            made = _tuned(project, parameters={"alpha": 4.0})
        yield Tuned(project, parent, project.runs / made.name, *taught.seen[0], head)


def test_a_network_goes_on_from_the_weights_that_the_model_reads(tuned: Tuned) -> None:
    folders = tuned.parent, tuned.made
    before, after = (load_backbone(each / BACKBONE)[0].state_dict() for each in folders)
    weight = next(name for name, value in before.items() if value.ndim == 4)
    torch.testing.assert_close(after[weight], 1.01 * before[weight])
    assert rounds.list_runs(tuned.project)[-1].depth == "full"
    how = fine_tuning_of(tuned.made)
    assert how is not None
    assert (how.parent, how.loss, how.depth) == (tuned.parent.name, "pedc", "full")
    assert how.verdict.startswith("The whole network was trained further.")
    assert not list((tuned.project.cache / "retraining").glob("*"))
    vectors = [read_embeddings(each).vectors for each in folders]
    assert not np.allclose(*vectors, atol=1e-3)


def test_the_loss_its_parameters_and_smaller_steps_are_what_it_learns_with(tuned: Tuned) -> None:
    full = tuned.settings.full
    assert (full.loss, full.parameters["alpha"]) == ("pedc", 4.0)
    assert full.backbone_learning_rate == pytest.approx(0.5e-3)
    assert full.head_learning_rate == pytest.approx(0.5e-3)


def test_it_is_judged_by_images_whose_answers_the_network_never_learnt(tuned: Tuned) -> None:
    before, after = (learnt_images(each) for each in (tuned.parent, tuned.made))
    assert before is not None
    assert after is not None
    archive = archive_features(tuned.project, CPU, silent)
    ids = archive.image_ids[archive.rows_in(Part.TRAIN)]
    assert tuned.further.among is not None
    assert before.isdisjoint(ids[tuned.further.among].tolist())
    assert len(tuned.further.among) == len(ids) - len(before)
    assert before <= after  # what it learnt before, it has still learnt


def test_the_model_is_compared_with_its_parent_on_the_parents_features(tuned: Tuned) -> None:
    """By images that neither network has learnt an answer about."""
    archive = archive_features(tuned.project, CPU, silent, of=tuned.parent.name)
    rows = archive.rows_in(Part.TRAIN)
    np.testing.assert_array_equal(tuned.head["before"].features, archive.features[rows])
    assert not np.allclose(tuned.head["features"], archive.features[rows], atol=1e-3)
    assert tuned.further.among is not None
    np.testing.assert_array_equal(tuned.head["among"], tuned.further.among)


def test_at_head_depth_the_network_stays(project: Project, taught: Taught) -> None:
    parent = active_run(project)
    made = _tuned(project, depth="head")
    assert not taught.seen
    kept, shared = (project.runs / each.name / BACKBONE for each in (parent, made))
    assert kept.samefile(shared)
    how = fine_tuning_of(project.runs / made.name)
    assert how is not None
    assert how.depth == "head"


def test_a_model_that_learnt_at_head_depth_is_trained_so_unless_it_is_said(
    project: Project, taught: Taught
) -> None:
    run = _head_run(project)
    assert not reads_own_backbone(project.runs / run.name)
    assert not reads_own_backbone(project.runs / _tuned(project, run=run.name).name)
    made = _tuned(project, run=run.name, depth="full")
    assert reads_own_backbone(project.runs / made.name)
    assert len(taught.seen) == 1


def test_a_network_that_became_no_better_stays_and_its_head_learns(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_lessons, "retrain_backbone", Taught("None was better."))
    parent = active_run(project)
    made = _tuned(project)
    kept, shared = (project.runs / each.name / BACKBONE for each in (parent, made))
    assert kept.samefile(shared)
    how = fine_tuning_of(project.runs / made.name)
    assert how is not None
    assert how.depth == "head"
    assert how.verdict.startswith("None was better. The head alone was trained further.")
    assert "None was better." in _log(project)


def test_what_a_network_has_learnt_must_be_known_to_train_it_further(project: Project) -> None:
    run = active_run(project)
    told = project.runs / run.name / RETRAINED
    told.write_text('used = true\nverdict = "By an earlier version."\n')
    assert tuning_depth(project, run, Depth.HEAD) is Depth.HEAD
    with pytest.raises(InputError, match="does not say which answers"):
        tuning_depth(project, run, Depth.FULL)
    assert "does not say" in str(finetuning.check_can_fine_tune(project, depth=Depth.FULL))
    assert finetuning.check_can_fine_tune(project, depth=Depth.HEAD) is None
    with pytest.raises(JobError, match="does not say"):
        finetuning.start_fine_tuning(project, "pedc", depth=Depth.FULL)


def test_of_an_earlier_versions_network_the_head_is_trained_unless_it_is_said(
    project: Project, taught: Taught
) -> None:
    run = active_run(project)
    assert not held_back(project, run, Depth.AUTO)
    told = project.runs / run.name / RETRAINED
    told.write_text('used = true\nverdict = "By an earlier version."\n')
    assert finetuning.check_can_fine_tune(project) is None
    assert not held_back(project, _head_run(project), Depth.AUTO)
    how = fine_tuning_of(project.runs / _tuned(project, "triplet").name)
    assert how is not None
    assert how.depth == "head"
    assert not taught.seen
    assert "its head alone is trained further" in _log(project)


def test_a_head_that_cannot_be_made_of_the_new_features_loses_nothing(
    project: Project, taught: Taught, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model stays as it is, and its head learns."""
    parent, retrain = active_run(project), RunTraining.retrain
    archive = archive_features(project, CPU, silent, of=parent.name)
    own = archive.features[archive.rows_in(Part.TRAIN)]

    def of_use_before(self: RunTraining, start: TrainedHead) -> Retrain:
        if np.array_equal(self.features, own):
            return retrain(self, start)
        return lambda _: replace(frozen_head(self.features), note="Groups are of no use.")

    monkeypatch.setattr(RunTraining, "retrain", of_use_before)
    made = _tuned(project)
    assert len(taught.seen) == 1
    kept, shared = (project.runs / each.name / BACKBONE for each in (parent, made))
    assert kept.samefile(shared)
    how = fine_tuning_of(project.runs / made.name)
    assert how is not None
    assert how.depth == "head"
    assert "No head can be made of its features" in how.verdict
    assert "Groups are of no use." in _log(project)


def test_a_loss_that_teaches_a_network_alone_leaves_its_head_as_it_is_made(
    project: Project, taught: Taught, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of pairs that make no two groups which differ PEDC learns from turned images, but no head."""

    def refused(*_: Any) -> Objective:
        raise InputError("No two groups differ.", "Answer more.")

    monkeypatch.setattr(worker_finetuning, "loss_objective", lambda *_, **__: refused)
    made = _tuned(project)
    how = fine_tuning_of(project.runs / made.name)
    assert how is not None
    assert (how.depth, how.steps) == ("full", 0)
    assert "Its head was made without the loss: No two groups differ." in how.verdict
    with pytest.raises(JobError, match="No two groups differ"):
        _tuned(project, depth="head")


@pytest.mark.parametrize(
    ("name", "again"), [("round-001", 1), ("round-001+40", 1), ("round-009", 2)]
)
def test_another_attempt_goes_on_only_if_it_starts_from_the_same_model(
    project: Project, taught: Taught, name: str, again: int
) -> None:
    """The second has new images embedded; in the third case another model came into use."""
    parent = replace(active_run(project), name="round-001")
    archive = archive_features(project, CPU, silent)
    for run in (parent, replace(parent, name=name)):
        if not (project.runs / run.name).exists():
            shutil.copytree(project.runs / active_run(project).name, project.runs / run.name)
        tuning = NetworkTuning(project, run, archive, False, "pedc", {}, CPU)
        tuning.tuned(_Report(), silent)  # type: ignore[arg-type]
    assert len(taught.seen) == again


class _Report:
    """Of a job that is cancelled at some step of the network."""

    def __init__(self, stop_at: int = -1) -> None:
        self.key, self.told, self._wanted = "the same", list[str](), f"step {stop_at} of"

    def log(self, text: str) -> None:
        self.told.append(text)

    def __call__(self, done: float, message: str) -> None:
        if self._wanted in message and "backbone" in message:
            raise Cancelled("Stopped.")


def test_an_interrupted_training_goes_on_exactly(project: Project) -> None:
    parent = active_run(project)
    archive = archive_features(project, CPU, silent, of=parent.name)
    tuning = NetworkTuning(project, parent, archive, False, "pedc", {}, CPU)

    def history(report: _Report) -> list[dict[str, float]]:
        tuning.tuned(report, report)  # type: ignore[arg-type]
        (folder,) = (project.cache / "retraining").iterdir()
        told = tomllib.loads((folder / RETRAINED).read_text())
        found: list[dict[str, float]] = told["history"]
        return found

    whole = history(_Report())
    network_lessons.forget_lesson(project)
    with pytest.raises(Cancelled):
        history(_Report(stop_at=2))
    rest = history(_Report(stop_at=1))  # goes on after step 2, not at 1
    assert [line["step"] for line in rest] == [0, 1, 2, 3]
    assert rest == whole


@pytest.mark.parametrize("module", [network_tuning, network_lessons], ids=["base", "guesses"])
def test_it_can_be_cancelled_while_it_embeds(
    project: Project, monkeypatch: pytest.MonkeyPatch, module: ModuleType
) -> None:
    parent = active_run(project)
    archive = archive_features(project, CPU, silent, of=parent.name)
    assert archive.backbone_in is not None

    def embedded(project: Project, device: Any, progress: Progress, **_: Any) -> None:
        progress(0.5, "embedding")
        pytest.fail("It went on.")

    def stop(done: float, message: str) -> None:
        if message == "embedding":
            raise Cancelled("Stopped.")

    monkeypatch.setattr(module, "archive_features", embedded)
    tuning = NetworkTuning(project, parent, archive, True, "pedc", {}, CPU)
    with pytest.raises(Cancelled):
        tuning.tuned(_Report(), stop)  # type: ignore[arg-type]


def test_the_whole_way_with_proxies(project: Project) -> None:
    """64 textures let a network learn in three steps, and are too few to judge its model by."""
    params = fine_tuning_params(project, "pedc", run=active_run(project).name)
    do_job(project, jobs.FINETUNE, **params)
    made = rounds.list_runs(project)[-1]
    how = fine_tuning_of(project.runs / made.name)
    assert how is not None
    assert how.parent == starting_run(project, made.name).name
    assert how.depth == "full"
    folders = project.runs / made.name, project.runs / how.parent
    weights = [(each / BACKBONE).read_bytes() for each in folders]
    assert weights[0] != weights[1]
    assert (how.images, made.active) == (0, False)
