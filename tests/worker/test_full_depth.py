"""A run at full depth holds its whole network, and everything that reads runs reads that one."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from domain.config import Depth, Layout, Views
from domain.errors import Cancelled, ModelError
from domain.images import Part
from domain.jobs import silent
from domain.rounds import Run
from labeling_store import images, runs
from labeling_store import jobs as queue
from tests.pictures import texture
from tests.projects import answer, opened_copy
from tests.worker.done_jobs import active_run, do_job
from tests.worker.tuned import always_keep_groups, always_retrain
from training import group_head
from training.full_depth import Retrained
from training.guesses import Guesses
from worker import learning, network_lessons, retraining, steps
from worker.backbone import ArchiveFeatures
from worker.foreign import embed_folder
from worker.quick import RunModel
from worker.retraining import retrained_features
from workflow import jobs, rounds
from workflow.backup import make_backup
from workflow.catalogue import ingest
from workflow.finetuning import fine_tuning_params
from workflow.project import CONFIG_NAME, Project, open_project
from workflow.restore import restore
from workflow.run_files import BACKBONE, drop_embeddings, read_embeddings, reads_own_backbone
from workflow.speed import read_speed
from workflow.verify import verify

CPU = torch.device("cpu")


@pytest.fixture
def answered(prepared: Project) -> Project:
    """A project with some answers, whose backbone is a network that never learnt anything."""
    answer(prepared)
    return prepared


@pytest.fixture(scope="module")
def trained_folder(prepared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, trained at full depth."""
    with (
        opened_copy(prepared_folder, tmp_path_factory.mktemp("trained") / "project") as made,
        pytest.MonkeyPatch.context() as patched,
    ):
        answer(made)
        always_retrain(patched, network_lessons)
        _train(made)
    return made.folder


@pytest.fixture
def full(trained_folder: Path, tmp_path: Path) -> Iterator[Project]:
    with opened_copy(trained_folder, tmp_path / "project") as project:
        yield project


def _train(project: Project, depth: Depth = Depth.FULL) -> Run:
    do_job(project, jobs.TRAIN, depth=depth.value)
    return active_run(project)


def _log(project: Project) -> str:
    newest = queue.list_jobs(project.jobs, limit=1)[0]
    return " ".join(line.text for line in jobs.log(project, newest.job_id))


def _vector_of_file(project: Project, run: str) -> tuple[np.ndarray, np.ndarray]:
    """The first image's vector as stored, and embedded anew as an uploaded picture."""
    record = images.list_images(project.store.reader())[0]
    held = read_embeddings(project.runs / run)
    stored = held.vectors[held.rows[record.image_id]]
    picture = Image.open(project.images_root / record.path).convert("RGB")
    return np.asarray(stored), RunModel(project, run).embed(picture)


def test_a_run_at_full_depth_reads_its_own_backbone_everywhere(
    full: Project, tmp_path: Path
) -> None:
    run = active_run(full)
    folder = full.runs / run.name
    assert run.depth == "full"
    assert reads_own_backbone(folder)
    frozen, found = (read_embeddings(full.runs / name).vectors for name in ("frozen", run.name))
    assert frozen.shape != found.shape or not np.allclose(frozen, found, atol=1e-3)
    stored, uploaded = _vector_of_file(full, run.name)
    np.testing.assert_allclose(uploaded, stored, atol=1e-4)
    embed_folder(full, full.images_root, tmp_path / "out.npz", device="cpu", progress=silent)
    foreign = np.load(tmp_path / "out.npz")["vectors"]
    assert np.abs(foreign - stored).sum(axis=1).min() < 1e-3
    assert verify(full).problems == ()


def test_new_images_are_embedded_by_the_backbone_of_the_run(full: Project) -> None:
    run, new = active_run(full), full.images_root / "dots" / "new.png"
    Image.fromarray(texture("dots", np.random.default_rng(7))).save(new)
    try:
        ingest(full.store, full.images_root, seed=0, layout=Layout.AUTO)
        do_job(full, jobs.PREPARE)
    finally:
        new.unlink()
    wider = active_run(full)
    assert wider.name.startswith(run.name + "+")
    assert reads_own_backbone(full.runs / wider.name)
    stored, uploaded = _vector_of_file(full, wider.name)
    np.testing.assert_allclose(uploaded, stored, atol=1e-4)


def test_dropped_embeddings_are_made_again_by_the_backbone_of_the_run(full: Project) -> None:
    run = active_run(full)
    before = read_embeddings(full.runs / run.name).vectors.copy()
    rounds.activate(full, "frozen")
    drop_embeddings(full.runs / run.name)
    do_job(full, jobs.USE, run=run.name)
    assert active_run(full).name == run.name
    after = read_embeddings(full.runs / run.name).vectors
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_later_heads_read_the_same_backbone_at_no_cost(full: Project) -> None:
    before = active_run(full)
    head = _train(full, Depth.HEAD)
    kept, shared = (full.runs / run.name / BACKBONE for run in (before, head))
    assert head.depth == "head"
    assert kept.samefile(shared)
    stored, uploaded = _vector_of_file(full, head.name)
    np.testing.assert_allclose(uploaded, stored, atol=1e-4)


def test_a_head_on_a_retrained_backbone_can_be_fine_tuned(full: Project) -> None:
    params = fine_tuning_params(full, "triplet", run=active_run(full).name)
    do_job(full, jobs.FINETUNE, **params)
    tuned = runs.list_runs(full.store.reader())[-1]
    assert tuned.name.endswith("-triplet")
    assert reads_own_backbone(full.runs / tuned.name)


def test_a_backup_brings_the_backbone_back(full: Project, tmp_path: Path) -> None:
    run = active_run(full)
    make_backup(full, tmp_path / "backup.zip")
    restore(tmp_path / "backup.zip", tmp_path / "restored").project.close()
    kept = (full.runs / run.name / BACKBONE).read_bytes()
    assert (tmp_path / "restored" / "runs" / run.name / BACKBONE).read_bytes() == kept


def test_a_missing_backbone_is_told_and_never_replaced_by_another(full: Project) -> None:
    run = active_run(full)
    (full.runs / run.name / BACKBONE).unlink()
    assert "Files of the model in use are missing" in verify(full).problems[0]
    with pytest.raises(ModelError, match="backbone"):
        RunModel(full, run.name)


def test_a_backbone_that_is_no_better_leaves_a_head(
    answered: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(backbone: Any, *args: Any, **options: Any) -> Retrained:
        return Retrained(backbone, None, [], note="No retrained backbone was better.")

    monkeypatch.setattr(network_lessons, "retrain_backbone", fails)
    run = _train(answered)
    assert run.depth == "head"
    assert not reads_own_backbone(answered.runs / run.name)
    assert "No retrained backbone was better." in _log(answered)


def test_a_model_in_use_is_judged_by_features_that_have_not_learnt_the_held_out_answers(
    answered: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The retrained backbone has learnt all of them."""
    assert _train(answered, Depth.HEAD).depth == "head"
    always_retrain(monkeypatch, network_lessons)
    judged_in: list[ArchiveFeatures] = []

    def spied(project: Project, archive: ArchiveFeatures, *args: Any, **options: Any) -> None:
        judged_in.append(archive)

    monkeypatch.setattr(learning, "succession", spied)
    assert _train(answered).depth == "full"
    (found,) = judged_in
    assert found.backbone_in is None
    before = retraining.archive_features(answered, CPU, silent)
    np.testing.assert_array_equal(found.features, before.features)


@pytest.mark.parametrize(
    ("device", "wanted", "reached"),
    [
        ("cpu", {}, "head"),
        ("cuda", {}, "full"),
        ("cuda", {"depth": "auto"}, "full"),
        ("cuda", {"depth": "head"}, "head"),
    ],
)
def test_the_device_says_how_deep_a_training_reaches(
    answered: Project,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    wanted: dict[str, str],
    reached: str,
) -> None:
    """On a GPU that is none: the features are computed on the CPU, and nothing is learnt."""
    real, asked = steps.archive_features, ["head"]

    def retrained(project: Project, archive: ArchiveFeatures, **_: Any) -> ArchiveFeatures:
        asked.append("full")
        return archive

    monkeypatch.setattr(steps, "resolve_device", lambda _: torch.device(device))
    monkeypatch.setattr(steps, "device_in_words", lambda _: "a device")
    monkeypatch.setattr(steps, "archive_features", lambda p, _, *a, **o: real(p, CPU, *a, **o))
    monkeypatch.setattr(steps, "retrained_features", retrained)
    monkeypatch.setattr(steps, "train_on_answers", lambda project, *_, **__: active_run(project))
    do_job(answered, jobs.TRAIN, **wanted)
    assert asked[-1] == reached


def test_the_real_training_runs_in_a_project(answered: Project) -> None:
    """40 images of 32 px: whatever comes out, a run does, and the folder to go on with is gone."""
    with (answered.folder / CONFIG_NAME).open("a") as config:
        config.write("\n[training.full]\nmost_steps = 2\nfewest_steps = 2\nbatch_anchors = 4\n")
        config.write("batch_others = 2\n")
    run = _train(answered)
    assert run.depth in ("head", "full")
    assert not list((answered.cache / "retraining").glob("*"))
    assert "the backbone" in _log(answered)


def test_an_interrupted_training_goes_on_with_the_answers_it_began_with(
    answered: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def stops(backbone: Any, pixels: Any, features: Any, known: Any, *_: Any, **__: Any) -> Any:
        seen.append(len(known))
        raise Cancelled("Stopped.")

    monkeypatch.setattr(network_lessons, "retrain_backbone", stops)

    class Report:
        key = "the same"

        def log(self, text: str) -> None:
            pass

    archive = retraining.archive_features(answered, CPU, silent)
    for _ in range(2):
        with pytest.raises(Cancelled):
            retrained_features(
                answered,
                archive,
                device=CPU,
                groups=True,
                report=Report(),  # type: ignore[arg-type]
                progress=silent,
            )
        do_job(answered, jobs.PROPOSE, strategy="random", pairs=30)
        answer(answered)
    assert seen[0] == seen[1] > 0
    Report.key = "another"
    with pytest.raises(Cancelled):
        retrained_features(
            answered,
            archive,
            device=CPU,
            groups=True,
            report=Report(),  # type: ignore[arg-type]
            progress=silent,
        )
    assert seen[2] > seen[0]
    assert len(list((answered.cache / "retraining").iterdir())) == 1


def _guessed(
    project: Project,
    patched: pytest.MonkeyPatch,
    key: str,
    *,
    held_out: int = 8,
    fewest_answers: int = 5,
) -> Guesses | None:
    """What a training at full depth is given to guess, the first images held out."""
    found: list[Guesses | None] = []

    def stops(backbone: Any, pixels: Any, *_: Any, guessing: Any, **__: Any) -> Any:
        if guessing is not None:
            found.append(guessing(np.arange(len(pixels)) < held_out))
        raise Cancelled("Stopped.")

    class Report:
        def log(self, text: str) -> None:
            pass

    patched.setattr(network_lessons, "retrain_backbone", stops)
    always_keep_groups(patched)
    patched.setattr(group_head, "FEWEST_ANSWERS", fewest_answers)
    report = Report()
    report.key = key  # type: ignore[attr-defined]
    archive = retraining.archive_features(project, CPU, silent)
    with pytest.raises(Cancelled):
        retrained_features(
            project,
            archive,
            device=CPU,
            groups=True,
            report=report,
            progress=silent,  # type: ignore[arg-type]
        )
    return found[0] if found else None


def test_guesses_about_groups_are_part_of_the_snapshot(
    answered: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They stay as they were when the training began; without a weight there are none."""
    settings = answered.folder / CONFIG_NAME
    usual = settings.read_text()
    settings.write_text(f"{usual}\n[training.full]\nguess_weight = 0\n")
    project = open_project(answered.folder)
    assert _guessed(project, monkeypatch, "without") is None
    project.close()
    settings.write_text(usual)
    project = open_project(answered.folder)
    first = _guessed(project, monkeypatch, "the same")
    assert first is not None
    assert first.weight == 0.5
    (folder,) = (project.cache / "retraining").iterdir()
    assert len(list(folder.glob("*/groups.parquet"))) == 1
    other = _guessed(project, monkeypatch, "the same", held_out=16)
    assert other is not None
    assert other.digest != first.digest  # never made with answers that are held out now
    do_job(project, jobs.PROPOSE, strategy="random", pairs=30)
    answer(project)
    again, anew = (_guessed(project, monkeypatch, key) for key in ("the same", "another"))
    project.close()
    assert again is not None
    assert anew is not None
    assert again.digest == first.digest != anew.digest


def test_that_nothing_could_be_guessed_stays_so_too(
    answered: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _guessed(answered, monkeypatch, "the same", fewest_answers=10_000) is None
    assert _guessed(answered, monkeypatch, "the same") is None
    assert _guessed(answered, monkeypatch, "another") is not None


def test_an_image_that_came_after_the_job_began_is_left_to_the_next_training(
    answered: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The features that the job began with do not know it."""
    real, dropped = retraining.archive_features, []

    def earlier(*args: Any, views: Views | None = None, **options: Any) -> ArchiveFeatures:
        found = real(*args, views=views, **options)
        if views is not None:
            return found
        last = next(row for row in found.rows_in(Part.TRAIN)[::-1])
        dropped.append(int(found.image_ids[last]))
        records = tuple(each for each in found.records if each.image_id != dropped[0])
        return replace(found, records=records, features=np.delete(found.features, last, axis=0))

    monkeypatch.setattr(retraining, "archive_features", earlier)
    assert _guessed(answered, monkeypatch, "the same") is not None
    (folder,) = (answered.cache / "retraining").iterdir()
    assert dropped[0] not in json.loads((folder / "image_ids.json").read_text())


def test_the_device_and_its_speed_are_noted_for_the_page(answered: Project) -> None:
    found = read_speed(answered)
    assert found is not None
    assert found.device == "cpu"
    assert found.name.startswith("CPU")
