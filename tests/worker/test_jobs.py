"""Jobs from the queue to their end: what they leave behind, and what happens when they cannot."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from domain.config import Layout
from domain.errors import JobError
from domain.images import Part
from domain.jobs import JobState, silent
from labeling_store import answers, images, runs
from tests.pictures import texture, write_archive
from tests.projects import answer, make_project
from worker.foreground import run_to_end
from workflow import curves, jobs, labels, rounds, search
from workflow.catalogue import ingest
from workflow.project import CONFIG_NAME, Project, local_owner
from workflow.questions import round_progress
from workflow.run_files import read_embeddings
from workflow.status import overview


def do(project: Project, kind: str, **params: object) -> None:
    run_to_end(project, kind, {"device": "cpu", **params}, silent)


def do_round(project: Project) -> None:
    do(project, jobs.ROUND, **rounds.round_params(project, strategy=None, pairs=20))


def test_preparing_gives_every_image_a_unit_vector(project: Project) -> None:
    do(project, jobs.PREPARE)
    embeddings = read_embeddings(project.runs / "frozen")
    ids = {image.image_id for image in images.list_images(project.store.reader())}
    assert set(embeddings.rows) == ids
    np.testing.assert_allclose(np.linalg.norm(embeddings.vectors, axis=1), 1, rtol=1e-5)
    assert overview(project).active_run is not None


def test_preparing_replaces_the_random_questions(project: Project) -> None:
    before = round_progress(project)
    do(project, jobs.PREPARE)
    after = round_progress(project)
    assert before is not None
    assert after is not None
    assert after.open == before.open
    reasons = project.store.reader().execute(
        "SELECT DISTINCT reason FROM proposal WHERE state = 'open'"
    )
    assert all("random" not in row["reason"] for row in reasons)


def test_preparing_twice_keeps_questions_and_runs(project: Project) -> None:
    do(project, jobs.PREPARE)
    first = round_progress(project)
    do(project, jobs.PREPARE)
    assert round_progress(project) == first
    assert [run.name for run in rounds.list_runs(project)] == ["frozen"]


def test_answers_given_during_preparation_stay(project: Project) -> None:
    answer(project, 7)
    do(project, jobs.PREPARE)
    assert answers.effort(project.store.reader()).bits == 7
    progress = round_progress(project)
    assert progress is not None
    assert progress.answered == 7


def test_a_round_leaves_a_complete_run_directory(project: Project) -> None:
    do(project, jobs.PREPARE)
    answer(project)
    do_round(project)
    folder = project.runs / "round-001"
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint.safetensors",
        "config.toml",
        "embeddings.npy",
        "image_ids.npy",
        "log.jsonl",
        "metrics.json",
        "pairs.parquet",
    ]
    run = runs.active_run(project.store.reader())
    assert run is not None
    assert run.name == "round-001"
    assert json.loads((folder / "metrics.json").read_text()) == dict(run.metrics)
    assert len(pq.read_table(folder / "pairs.parquet")) == run.known_pairs >= run.bits


def test_a_round_asks_new_pairs_of_training_images_only(project: Project) -> None:
    do(project, jobs.PREPARE)
    answer(project, 60)
    do_round(project)
    db = project.store.reader()
    training = {image.image_id for image in images.list_images(db, part=Part.TRAIN)}
    asked = db.execute(
        "SELECT a, b FROM proposal JOIN round USING (round_id) "
        "WHERE number = 2 AND asked_of IS NULL"  # without hidden repeats
    ).fetchall()
    answered = {tuple(label.pair) for label in answers.pair_labels(db)}
    progress = round_progress(project)
    assert progress is not None
    assert progress.target == 21  # 20 and 5 % random checks
    assert len(asked) == 31  # and 10 to spare
    assert all({row["a"], row["b"]} <= training for row in asked)
    assert not answered & {(row["a"], row["b"]) for row in asked}


def test_the_curve_gets_a_point_a_round(project: Project) -> None:
    do(project, jobs.PREPARE)
    answer(project, 60)
    do_round(project)
    answer(project, 60)
    do_round(project)
    points = curves.quality_curve(project)
    assert [point.run for point in points] == ["frozen", "round-001", "round-002"]
    assert points[0].bits == 0 < points[1].bits < points[2].bits
    assert all("map_at_5_min" in point.metrics for point in points)
    assert all("auc" in point.metrics for point in points[:2])


def test_a_flat_folder_is_measured_by_answers_alone(tmp_path: Path, weights: Path) -> None:
    archive = write_archive(tmp_path / "flat", classes=False)
    project = make_project(tmp_path / "project", archive, weights, layout=Layout.AUTO)
    do(project, jobs.PREPARE)
    answer(project, 60)
    do_round(project)
    answer(project, 60)
    points = curves.quality_curve(project)
    assert "map_at_5_hits" not in points[-1].metrics
    assert "auc" in points[-1].metrics
    project.close()


def test_training_twice_in_a_round_keeps_both_models(project: Project) -> None:
    do(project, jobs.PREPARE)
    answer(project)
    do(project, jobs.TRAIN)
    do(project, jobs.TRAIN)
    names = [run.name for run in rounds.list_runs(project)]
    assert names == ["frozen", "round-001", "round-001-2"]


def test_training_with_one_kind_of_answers_keeps_the_frozen_features(project: Project) -> None:
    do(project, jobs.PREPARE)
    project.store.reader()
    answer(project, 1)
    do(project, jobs.TRAIN)
    frozen = read_embeddings(project.runs / "frozen").vectors
    trained = read_embeddings(project.runs / "round-001").vectors
    np.testing.assert_array_equal(frozen, trained)


def test_when_all_pairs_are_answered_the_page_says_so(tmp_path: Path, weights: Path) -> None:
    archive = write_archive(tmp_path / "few", each=1, classes=False)
    project = make_project(tmp_path / "project", archive, weights)
    do(project, jobs.PREPARE)
    answer(project)
    do_round(project)
    progress = round_progress(project)
    assert progress is not None
    assert progress.left == 0
    assert overview(project).next_step.title == "Everything is known"
    project.close()


def add_image(project: Project, name: str) -> None:
    picture = texture("stripes", np.random.default_rng(99))
    Image.fromarray(picture).save(project.images_root / name)
    ingest(
        project.store,
        project.images_root,
        layout=project.config.archive.layout,
        seed=project.config.seed,
    )


def test_new_images_join_the_active_model_which_stays_the_same(project: Project) -> None:
    do(project, jobs.PREPARE)
    answer(project)
    do(project, jobs.TRAIN)
    base = project.runs / "round-001"
    add_image(project, "stripes/stripes99.png")
    do(project, jobs.PREPARE)
    wider = project.runs / "round-001+41"
    assert len(read_embeddings(wider).rows) == 41
    assert pq.read_table(wider / "pairs.parquet").equals(pq.read_table(base / "pairs.parquet"))
    assert (wider / "log.jsonl").read_text() == (base / "log.jsonl").read_text()
    metrics = [json.loads((each / "metrics.json").read_text()) for each in (base, wider)]
    assert metrics[0]["threshold"] == metrics[1]["threshold"]


def test_an_earlier_model_activated_again_can_be_widened_again(project: Project) -> None:
    do(project, jobs.PREPARE)
    add_image(project, "stripes/stripes99.png")
    do(project, jobs.PREPARE)
    rounds.activate(project, "frozen")
    do(project, jobs.PREPARE)
    run = runs.active_run(project.store.reader())
    assert run is not None
    assert run.name == "frozen+41"
    assert [each.name for each in rounds.list_runs(project)] == ["frozen", "frozen+41"]


def test_a_round_says_what_its_replaced_questions_were_chosen_with(project: Project) -> None:
    do(project, jobs.PREPARE)
    first = rounds.list_rounds(project)[0].round
    assert (first.strategy, first.model) == ("mgue", "frozen")
    do(project, jobs.PROPOSE, **rounds.round_params(project, strategy="random", pairs=5))
    do(project, jobs.PREPARE)
    again = rounds.list_rounds(project)[0]
    assert (again.round.number, again.round.strategy, again.target) == (1, "random", 5)


def test_a_first_round_without_questions_gets_some_when_there_are_pairs(project: Project) -> None:
    with project.store.transaction() as db:
        db.execute("DELETE FROM proposal")  # as if images for pairs had come only now
    do(project, jobs.PREPARE)
    progress = round_progress(project)
    assert progress is not None
    assert progress.target == project.config.selection.pairs_per_round


def test_after_training_alone_the_next_pairs_can_be_asked(project: Project) -> None:
    do(project, jobs.PREPARE)
    answer(project, 40)
    do(project, jobs.PROPOSE, **rounds.round_params(project, strategy=None, pairs=5))
    answer(project)
    do(project, jobs.TRAIN)
    assert overview(project).next_step.title == "Ask the next pairs"
    rounds.start_round(project, strategy=None, pairs=5)
    do(project, jobs.PROPOSE)
    assert [run.name for run in rounds.list_runs(project)] == ["frozen", "round-002"]
    assert rounds.list_rounds(project)[0].round.number == 3


def test_an_answer_taken_back_after_training_is_learnt_from_again(project: Project) -> None:
    do(project, jobs.PREPARE)
    receipts = answer(project, 60)
    do(project, jobs.TRAIN)
    assert rounds.has_learnt_all(project)
    labels.take_back(project, local_owner(project), receipts[0].key)
    assert not rounds.has_learnt_all(project)
    assert rounds.needs_training(project, "mgue")


def test_wrong_weights_fail_the_preparation_and_say_where_they_are_set(project: Project) -> None:
    settings = project.folder / CONFIG_NAME
    settings.write_text(re.sub("(?m)^weights = .*", 'weights = "/gone.pth"', settings.read_text()))
    with pytest.raises(JobError, match=r"/gone\.pth: .* \[model\] in project\.toml"):
        do(project, jobs.PREPARE)


def test_a_missing_image_fails_the_job_and_names_the_file(project: Project) -> None:
    (project.images_root / "dots" / "dots03.png").unlink()
    with pytest.raises(JobError, match=r"dots03\.png"):
        do(project, jobs.PREPARE)
    assert jobs.recent(project)[0].state is JobState.FAILED
    step = overview(project).next_step
    assert step.title == "Look at the failed preparation"
    assert "dots03.png" in step.text
    answer(project, 60)
    assert "dots03.png" in (rounds.check_can_train(project) or "")


def test_a_deleted_image_with_kept_features_does_not_stop_preparing(project: Project) -> None:
    do(project, jobs.PREPARE)
    (project.images_root / "dots" / "dots03.png").unlink()
    shutil.rmtree(project.cache / "pictures")
    do(project, jobs.PREPARE)
    lines = [line.text for line in jobs.log(project, jobs.recent(project)[0].job_id)]
    assert "1 pictures could not be rendered: dots/dots03.png" in lines


def test_a_search_finds_the_image_itself_nowhere_and_k_others(project: Project) -> None:
    do(project, jobs.PREPARE)
    hits = search.similar_images(project, 1, k=5)
    assert len(hits) == 5
    assert all(hit.image_id != 1 for hit in hits)
    similarities = [hit.similarity for hit in hits]
    assert similarities == sorted(similarities, reverse=True)


def test_an_earlier_model_can_be_used_again(project: Project) -> None:
    do(project, jobs.PREPARE)
    answer(project)
    do(project, jobs.TRAIN)
    rounds.activate(project, "frozen")
    run = runs.active_run(project.store.reader())
    assert run is not None
    assert run.name == "frozen"
