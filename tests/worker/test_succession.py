"""A better model in use never makes way for a worse one, and learning goes on all the same."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from domain.answers import KnownRelation
from domain.clock import utc_now
from domain.config import Views
from domain.images import ImageRecord, Part
from domain.pairs import pair
from domain.rounds import Run
from labeling_store import jobs as job_store
from labeling_store import rounds as round_store
from labeling_store import runs
from tests.projects import answer, opened_copy
from tests.training.clusters import clusters
from tests.worker.done_jobs import active_run, do_job
from tests.worker.tuned import BETTER, WORSE, judge, tune_quickly
from training.checkpoints import save_head
from training.head import TrainedHead, fitted_standardise, frozen_head
from training.ranking_selection import RankingGain
from training.trainer import train_head
from training.weights import WeightsInfo, WeightsKind
from worker import finetuning as worker_finetuning
from worker import steps
from worker import succession as worker_succession
from worker.backbone import ArchiveFeatures
from worker.lane import lane_lock, run_job, work
from worker.run_training import RunTraining
from worker.stopping import Stop
from worker.succession import succession
from workflow import jobs, rounds
from workflow.project import Project
from workflow.run_files import (
    FINE_TUNING,
    Embeddings,
    RunFiles,
    drop_embeddings,
    read_embeddings,
    write_run,
)
from workflow.succession import Succession, kept_back, renew, renewal, succession_of

HARDLY_BETTER = RankingGain(0.80, 0.801, 0.02, 40)
CPU = torch.device("cpu")


def _round(project: Project, strategy: str = "mgue", **params: Any) -> Run:
    """Answer what is asked, and let the worker learn from it; the model that was trained."""
    answer(project, 15)
    do_job(project, jobs.ROUND, strategy=strategy, pairs=20, **params)
    made = [run for run in rounds.list_runs(project) if run.name.startswith("round-")]
    return made[-1]


def _queued(project: Project) -> list[tuple[str, str]]:
    found = [job for job in jobs.recent(project) if not job.state.ended]
    return [(job.params["run"], job.params["loss"]) for job in found if job.kind == jobs.FINETUNE]


@pytest.fixture(scope="module")
def trained_folder(tmp_path_factory: pytest.TempPathFactory, prepared_folder: Path) -> Path:
    """One round is answered and learnt."""
    with opened_copy(prepared_folder, tmp_path_factory.mktemp("succession") / "project") as project:
        tune_quickly(project)
        _round(project)
        assert active_run(project).name == "round-001"
    return project.folder


@pytest.fixture(scope="module")
def tuned_folder(trained_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model in use was fine-tuned then."""
    with (
        opened_copy(trained_folder, tmp_path_factory.mktemp("tuned") / "project") as project,
        pytest.MonkeyPatch.context() as patched,
    ):
        judge(patched, {"next": BETTER})
        do_job(project, jobs.FINETUNE, loss="triplet", parameters={"margin": 0.3})
        assert active_run(project).name == "round-001-triplet"
    return project.folder


@pytest.fixture(scope="module")
def waiting_folder(tuned_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second round was learnt after that."""
    with opened_copy(tuned_folder, tmp_path_factory.mktemp("waiting") / "project") as project:
        _round(project)
    return project.folder


@pytest.fixture
def trained(trained_folder: Path, tmp_path: Path) -> Iterator[Project]:
    """Each of the three anew for each test."""
    with opened_copy(trained_folder, tmp_path / "project") as project:
        yield project


@pytest.fixture
def tuned(tuned_folder: Path, tmp_path: Path) -> Iterator[Project]:
    with opened_copy(tuned_folder, tmp_path / "project") as project:
        yield project


@pytest.fixture
def waiting(waiting_folder: Path, tmp_path: Path) -> Iterator[Project]:
    with opened_copy(waiting_folder, tmp_path / "project") as project:
        yield project


def test_a_model_that_learnt_in_the_same_way_makes_way_for_one_with_more_answers(
    trained: Project,
) -> None:
    made = _round(trained)
    assert (made.name, made.active) == ("round-002", True)
    assert succession_of(trained.runs / made.name) is None
    assert kept_back(trained) is None


def test_a_fine_tuned_model_stays_until_the_new_one_is_fine_tuned_too(waiting: Project) -> None:
    assert active_run(waiting).name == "round-001-triplet"
    assert _queued(waiting) == [("round-002", "triplet")]
    found = kept_back(waiting)
    assert found is not None
    assert (found.run.name, found.run.active) == ("round-002", False)
    assert "round-001-triplet, which was fine-tuned with" in found.why.words


@pytest.mark.parametrize(("was", "asked"), [("head", "head"), ("full", "auto")])
def test_a_model_whose_head_alone_was_tuned_is_renewed_by_its_head(
    waiting: Project, monkeypatch: pytest.MonkeyPatch, was: str, asked: str
) -> None:
    """However deep the new model learnt; else as deep as that did."""
    told, queued = waiting.runs / "round-001-triplet" / FINE_TUNING, list[str]()
    told.write_text(told.read_text().replace('depth = "head"', f'depth = "{was}"'))
    monkeypatch.setattr(
        jobs, "enqueue_renewal", lambda _, params, key: queued.append(params["depth"])
    )
    (run,) = (each for each in rounds.list_runs(waiting) if each.name == "round-002")
    assert renew(waiting, run, device="cpu") == "triplet"
    assert queued == [asked]


def test_questions_come_from_the_model_that_knows_all_answers(waiting: Project) -> None:
    current = round_store.current_round(waiting.store.reader())
    assert current is not None
    assert current.model == "round-002"
    assert rounds.has_learnt_all(waiting)
    answer(waiting, 3)
    assert not rounds.has_learnt_all(waiting)


def test_questions_without_a_training_come_from_that_model_too(waiting: Project) -> None:
    answer(waiting, 3)
    do_job(waiting, jobs.PROPOSE, strategy="mgue", pairs=20)
    current = round_store.current_round(waiting.store.reader())
    assert current is not None
    assert (current.number, current.model) == (4, "round-002")
    answer(waiting, 3)
    drop_embeddings(waiting.runs / "round-002")
    do_job(waiting, jobs.PROPOSE, strategy="mgue", pairs=20)
    current = round_store.current_round(waiting.store.reader())
    assert current is not None
    assert (current.number, current.model) == (5, "round-001-triplet")


def test_a_new_model_that_wins_gets_its_embeddings_back(
    waiting: Project, judged: dict[str, RankingGain | None]
) -> None:
    """Those of a model that learnt by itself are dropped when some newer ones have come."""
    judged["next"] = WORSE
    folder = waiting.runs / "round-002"
    before = read_embeddings(folder).vectors.copy()
    drop_embeddings(folder)
    (job,) = (each for each in jobs.recent(waiting) if not each.state.ended)
    do_job(waiting, jobs.FINETUNE, **job.params)
    assert active_run(waiting).name == "round-002"
    np.testing.assert_allclose(read_embeddings(folder).vectors, before, atol=1e-5)


@pytest.mark.parametrize(
    ("gain", "used"),
    [
        (BETTER, "round-002-triplet"),
        (HARDLY_BETTER, "round-002-triplet"),
        (WORSE, "round-002"),
        (None, "round-001-triplet"),
    ],
    ids=["better", "hardly better", "worse", "too few to tell"],
)
def test_then_the_better_of_the_two_is_used(
    waiting: Project,
    judged: dict[str, RankingGain | None],
    gain: RankingGain | None,
    used: str,
) -> None:
    judged["next"] = gain
    (job,) = (each for each in jobs.recent(waiting) if not each.state.ended)
    assert job.params["parameters"]["margin"] == 0.3
    do_job(waiting, jobs.FINETUNE, **job.params)
    assert active_run(waiting).name == used
    found = kept_back(waiting)
    assert (found is None) == (gain is not None)
    if found is not None:  # what was promised has been tried
        assert "Too few answers" in found.why.words
        assert "until" not in found.why.words


def test_a_fine_tuning_that_ended_without_a_model_is_promised_no_longer(waiting: Project) -> None:
    (job,) = (each for each in jobs.recent(waiting) if not each.state.ended)
    found = kept_back(waiting)
    assert found is not None
    assert "until the new model is fine-tuned" in found.why.words
    job_store.request_cancel(waiting.jobs, job.job_id)
    found = kept_back(waiting)
    assert found is not None
    assert "the fine-tuning of round-002 that would have decided was cancelled" in found.why.words


def test_other_parameters_of_the_loss_are_another_way_to_learn(
    waiting: Project, judged: dict[str, RankingGain | None]
) -> None:
    """The margin of the model in use is 0.3."""
    (run,) = (each for each in rounds.list_runs(waiting) if each.name == "round-002")
    _do_beside(waiting, run="round-002", loss="triplet")
    assert active_run(waiting).name == "round-001-triplet"
    how = renewal(waiting, run)
    assert how is not None
    assert how.parameters["margin"] == 0.3


def _do_beside(project: Project, **params: Any) -> None:
    """A fine-tuning that a lead asks for, before the one in the queue."""
    for job in jobs.recent(project):
        if not job.state.ended:
            job_store.request_cancel(project.jobs, job.job_id)
    do_job(project, jobs.FINETUNE, **params)


@pytest.mark.parametrize(
    ("margin", "queued"), [(0.2, 1), (0.3, 2)], ids=["the same margin", "another margin"]
)
def test_the_loss_that_a_lead_names_is_not_trained_twice(
    trained: Project, judged: dict[str, RankingGain | None], margin: float, queued: int
) -> None:
    """0.2 is what a loss that is named without parameters has."""
    do_job(trained, jobs.FINETUNE, loss="triplet", parameters={"margin": margin})
    _round(trained, then_finetune="triplet")
    assert _queued(trained) == [("round-002", "triplet")] * queued


def test_another_loss_that_a_lead_asks_for_does_not_decide_alone(
    tuned: Project, judged: dict[str, RankingGain | None]
) -> None:
    _round(tuned, then_finetune="contrastive")
    assert sorted(_queued(tuned)) == [("round-002", "contrastive"), ("round-002", "triplet")]
    judged["next"] = replace(BETTER, after=0.95)
    do_job(tuned, jobs.FINETUNE, loss="contrastive", run="round-002")
    assert active_run(tuned).name == "round-001-triplet"
    judged["next"] = BETTER
    do_job(tuned, jobs.FINETUNE, loss="triplet", run="round-002", parameters={"margin": 0.3})
    assert active_run(tuned).name == "round-002-contrastive"  # the best of three from all answers


def test_a_model_that_somebody_chose_meanwhile_stays(
    waiting: Project, judged: dict[str, RankingGain | None]
) -> None:
    rounds.activate(waiting, "round-001")
    do_job(waiting, jobs.FINETUNE, loss="triplet", run="round-002")
    assert active_run(waiting).name == "round-001"
    assert kept_back(waiting) is None


class Killed(BaseException):
    """The worker's process ends here, as by SIGKILL: nothing else is written."""


def _killed(*_: Any, **__: Any) -> None:
    raise Killed


@pytest.mark.parametrize("where", ["propose_next", "renew"])
def test_a_round_killed_after_its_training_goes_on_to_the_fine_tuning(
    tuned: Project, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    answer(tuned, 15)
    params = {"strategy": "mgue", "pairs": 20, "device": "cpu"}
    job_id = job_store.enqueue(tuned.jobs, jobs.ROUND, params)
    job = job_store.claim_job(tuned.jobs, "doomed", now=utc_now())
    assert job is not None
    with monkeypatch.context() as patched:
        patched.setattr(steps, where, _killed)
        with pytest.raises(Killed):
            run_job(tuned, job, Stop())
    assert active_run(tuned).name == "round-001-triplet"
    with lane_lock(tuned):
        work(tuned, Stop(), until_job=job_id)
    assert [run.name for run in rounds.list_runs(tuned)].count("round-002") == 1
    assert _queued(tuned) == [("round-002", "triplet")]


def test_a_fine_tuning_killed_after_its_decision_decides_once(
    waiting: Project, judged: dict[str, RankingGain | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged["next"] = WORSE
    job = job_store.claim_job(waiting.jobs, "doomed", now=utc_now())
    assert job is not None

    def kept_then_killed(*args: Any, **options: Any) -> None:
        worker_finetuning.fine_tune_run(*args, **options)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(steps, "fine_tune_run", kept_then_killed)
        with pytest.raises(Killed):
            run_job(waiting, job, Stop())
    assert active_run(waiting).name == "round-002"
    judged["next"] = BETTER  # were it trained again
    with lane_lock(waiting):
        work(waiting, Stop(), until_job=job.job_id)
    assert active_run(waiting).name == "round-002"
    assert not _queued(waiting)


def test_a_model_that_learns_in_another_way_must_be_judged(
    trained: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """32 images are too few for that; where there are enough, they decide."""
    made = _round(trained, "components")
    found = succession_of(trained.runs / made.name)
    assert found is not None
    assert "too few images" in found.words
    assert active_run(trained).name == "round-001"
    assert not _queued(trained)
    monkeypatch.setattr(worker_succession._Unseen, "gain", lambda *_: BETTER)
    second = _round(trained, "components")
    assert second.active
    found = succession_of(trained.runs / second.name)
    assert found is not None
    assert (found.takes_over, found.images, found.was, found.became) == (True, 40, 0.8, 0.9)


ARCHIVE = clusters(images=240, classes=6)
IDS = np.arange(1000, 1240)
OLD = 120  # images that the model in use has answers about: the first ones


@pytest.fixture
def archive() -> ArchiveFeatures:
    records = tuple(
        ImageRecord(
            image_id=int(each),
            path=f"{each}.png",
            sha256=str(each),
            pixel_sha256=str(each),
            perceptual_hash="0",
            width_px=1,
            height_px=1,
            class_name=None,
            duplicate_group=int(each),
            split_group=int(each),
            part=Part.TRAIN,
        )
        for each in IDS
    )
    info = WeightsInfo(WeightsKind.UNTRAINED, "none", "0", "none")
    return ArchiveFeatures(records, ARCHIVE.features, info, Views.SINGLE)


def _relations(count: int, *, below: int) -> list[KnownRelation]:
    """Random pairs of the first images."""
    rng = np.random.default_rng(below)
    rows = np.sort([rng.choice(below, 2, replace=False) for _ in range(count)], axis=1)
    return [
        KnownRelation(
            pair=pair(int(IDS[a]), int(IDS[b])),
            similar=bool(ARCHIVE.labels[a] == ARCHIVE.labels[b]),
            implied=False,
            weight=1.0,
        )
        for a, b in rows.tolist()
    ]


def _learnt(project: Project, known: list[KnownRelation]) -> TrainedHead:
    row = {int(image): place for place, image in enumerate(IDS)}
    settings = project.config.training.model_copy(update={"fewest_steps": 60, "most_steps": 60})
    return train_head(
        ARCHIVE.features,
        np.array([[row[each.pair.a], row[each.pair.b]] for each in known]),
        np.array([each.similar for each in known]),
        np.ones(len(known)),
        settings,
        seed=0,
        device=CPU,
        against_frozen=False,
    )


def _in_use(project: Project, known: list[KnownRelation], vectors: np.ndarray) -> None:
    """A model of pairs that embeds as given."""
    head = _learnt(project, known)
    files = RunFiles(
        config_toml="",
        relations=known,
        embeddings=Embeddings(IDS, vectors.astype(np.float32)),
        metrics={},
        log=[],
        save_checkpoint=lambda path: save_head(head, path),
    )
    write_run(project.runs, "before", files)
    run = Run("before", 1, utc_now(), "resnet18", "head", 100, 100, 100, active=True)
    with project.store.transaction() as db:
        runs.add_run(db, run)


def _decided(project: Project, archive: ArchiveFeatures, known: list[KnownRelation]) -> Succession:
    found = succession(project, archive, frozen_head(ARCHIVE.features), known, device=CPU)
    assert found is not None
    return found


PERFECT = np.eye(6)[ARCHIVE.labels]
BLIND = np.ones((240, 3)) / np.sqrt(3)


@pytest.mark.parametrize(
    ("vectors", "makes_way"), [(PERFECT, False), (BLIND, True)], ids=["better", "worse"]
)
def test_images_that_the_model_in_use_knows_no_answer_about_decide(
    project: Project, archive: ArchiveFeatures, vectors: np.ndarray, makes_way: bool
) -> None:
    _in_use(project, _relations(400, below=OLD), vectors)
    found = _decided(project, archive, _relations(1500, below=240))
    assert found.takes_over is makes_way
    assert 10 <= found.images <= 240 - OLD
    assert (found.was == pytest.approx(1.0)) is not makes_way


def test_without_enough_such_images_the_model_in_use_stays(
    project: Project, archive: ArchiveFeatures
) -> None:
    known = _relations(400, below=OLD)
    _in_use(project, known, BLIND)
    found = _decided(project, archive, known)
    assert (found.takes_over, found.images) == (False, 0)
    assert "too few images" in found.words


@pytest.mark.parametrize("lost", ["checkpoint.safetensors", "embeddings.npy"])
def test_a_model_in_use_that_cannot_be_read_makes_way(
    project: Project, archive: ArchiveFeatures, lost: str
) -> None:
    """A whole training must not be lost for it, and "train again" is what its error says."""
    _in_use(project, _relations(400, below=OLD), PERFECT)
    (project.runs / "before" / lost).write_bytes(b"damaged")
    found = _decided(project, archive, _relations(1500, below=240))
    assert found.takes_over
    assert "before cannot be compared" in found.words


def test_the_new_model_is_judged_without_the_answers_about_those_images(
    project: Project, archive: ArchiveFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    _in_use(project, _relations(400, below=OLD), BLIND)
    asked: list[np.ndarray] = []
    real = RunTraining.retrain

    def spied(self: RunTraining, start: TrainedHead) -> Any:
        retrain = real(self, start)

        def again(held_out: np.ndarray) -> TrainedHead:
            asked.append(held_out)
            return retrain(held_out)

        return again

    monkeypatch.setattr(RunTraining, "retrain", spied)
    monkeypatch.setattr(worker_succession, "_learn_alike", lambda *_: False)
    known = _relations(1500, below=240)
    head = TrainedHead(_learnt(project, known).module)
    found = succession(project, archive, head, known, device=CPU)
    assert found is not None
    (held_out,) = asked
    assert not held_out[:OLD].any()
    assert 40 <= held_out.sum() <= 80  # half of 120


def test_the_first_model_and_one_after_the_frozen_features_are_not_judged(
    project: Project, archive: ArchiveFeatures
) -> None:
    known = _relations(400, below=OLD)
    head = _learnt(project, known)
    assert succession(project, archive, head, known, device=CPU) is None
    _in_use(project, known, PERFECT)
    assert succession(project, archive, head, known, device=CPU) is None  # in the same way
    frozen = TrainedHead(fitted_standardise(ARCHIVE.features))
    save_head(frozen, project.runs / "before" / "checkpoint.safetensors")
    assert succession(project, archive, head, known, device=CPU) is None
