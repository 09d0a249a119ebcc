"""Rounds of `components`: chains in the queue, a head of groups, and what a run keeps of it."""

import shutil
from itertools import combinations

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from annealing.components.labels import SoftLabels
from annealing.components.space import Space
from domain.answers import Kind
from domain.errors import InputError, JobError
from domain.images import Part
from domain.jobs import silent
from domain.pairs import pair
from labeling_store import answers, images, runs
from labeling_store import rounds as round_store
from tests.projects import answer
from tests.ui import stage
from tests.worker.done_jobs import do_group_round
from tests.worker.tuned import always_keep_groups
from training.checkpoints import load_head
from training.head import TrainedHead
from worker import finetuning as worker_finetuning
from worker import repeats, steps
from worker.distinct import answers_of, distinct, labels_about
from worker.foreground import run_to_end
from worker.group_labels import kept_labels, labels_of
from worker.group_questions import archive_of, group_questions, random_checks
from workflow import jobs
from workflow.catalogue import ingest
from workflow.project import CONFIG_NAME, Project, local_owner, open_project
from workflow.questions import next_questions, round_progress
from workflow.run_files import CHECKPOINT, read_embeddings, read_groups


def copy_image(project: Project, path: str, to: str) -> None:
    shutil.copyfile(project.images_root / path, project.images_root / to)


def take_in(project: Project) -> None:
    settings = project.config
    ingest(project.store, project.images_root, layout=settings.archive.layout, seed=settings.seed)


def test_the_model_keeps_the_groups_it_learnt(sorted_once: Project) -> None:
    run = runs.active_run(sorted_once.store.reader())
    assert run is not None
    folder = sorted_once.runs / run.name
    assert load_head(folder / CHECKPOINT).module.kind == "groups"
    groups = pq.read_table(folder / "groups.parquet").to_pandas()
    assert groups["probability"].between(0, 1).all()
    assert groups["weight"].between(0, 1).all()
    per_image = groups.groupby("image_ids")["probability"].sum()
    np.testing.assert_allclose(per_image, 1, atol=0.05)  # but for what is improbable


def test_a_round_is_reached_after_few_answers_and_holds_more(sorted_once: Project) -> None:
    progress = round_progress(sorted_once)
    current = round_store.current_round(sorted_once.store.reader())
    assert progress is not None
    assert current is not None
    assert current.strategy == "components"
    assert 0 < progress.target <= sorted_once.config.selection.learn_every


def test_no_chain_puts_two_questions_of_one_image_before_people(sorted_once: Project) -> None:
    rows = sorted_once.store.reader().execute(
        "SELECT proposal_id, chain FROM proposal JOIN round USING (round_id) "
        "WHERE number = 2 AND chain IS NOT NULL AND proposal.state = 'open'"
    )
    chain = {row["proposal_id"]: row["chain"] for row in rows}
    asked = next_questions(sorted_once, local_owner(sorted_once), count=200)
    chains = [chain[each.proposal_id] for each in asked if each.proposal_id in chain]
    assert len(chains) == len(set(chains))


def test_all_answers_are_learnt_from(sorted_once: Project) -> None:
    records = images.list_images(sorted_once.store.reader())
    said = answers_of(labels_about(sorted_once, distinct(records)))
    labelled = sorted_once.store.reader().execute(
        "SELECT count(DISTINCT a * 1000 + b) FROM event WHERE similar IS NOT NULL"
    )
    assert len(said) == labelled.fetchone()[0]


def test_checks_are_new_pairs_of_training_images(sorted_once: Project) -> None:
    run = runs.active_run(sorted_once.store.reader())
    assert run is not None
    archive = archive_of(sorted_once, run)
    ids = archive.images.image_ids.tolist()
    everything = {pair(a, b) for a, b in combinations(ids, 2)}
    labels = {label.pair for label in answers.pair_labels(sorted_once.store.reader())}
    asked = sorted(everything - labels)[::3]
    rng = np.random.default_rng(0)
    drawn = random_checks(sorted_once, archive, 10_000, but=asked, rng=rng)
    assert {each.pair for each in drawn} == everything - labels - {*asked}
    embeddings = read_embeddings(sorted_once.runs / run.name)
    a, b = (embeddings.vectors[embeddings.rows[image]] for image in drawn[0].pair)
    assert drawn[0].similarity == pytest.approx(float(a @ b), abs=1e-6)
    assert drawn[0].threshold == run.metrics["threshold"]


def test_a_space_is_made_once_and_anew_for_other_images(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    of_unit = Space.of_unit.__func__  # type: ignore[attr-defined]

    def counted(cls: type[Space], unit: np.ndarray) -> Space:
        made.append(len(unit))
        space: Space = of_unit(cls, unit)
        return space

    monkeypatch.setattr(Space, "of_unit", classmethod(counted))
    run_to_end(project, jobs.PREPARE, {"device": "cpu"}, silent)
    answer(project)
    do_group_round(project)
    do_group_round(project)
    assert len(made) == 1
    copy_image(project, "stripes/stripes00.png", "stripes/copy.png")
    Image.new("RGB", (48, 48), "red").save(project.images_root / "stripes" / "red.png")
    take_in(project)
    do_group_round(project)
    assert [made[1]] == [made[0] + 1], "a copy is no further row"


def test_copies_count_as_one_image_whatever_is_answered_of_which(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    always_keep_groups(monkeypatch)
    records = images.list_images(project.store.reader(), part=Part.TRAIN)
    original = records[0]
    for number in range(3):
        copy_image(project, original.path, f"copy{number}.png")
    take_in(project)
    run_to_end(project, jobs.PREPARE, {"device": "cpu"}, silent)
    now = images.list_images(project.store.reader(), part=Part.TRAIN)
    copies = [each.image_id for each in now if each.duplicate_group == original.duplicate_group]
    assert len(copies) == 4
    for number, copied in enumerate(copies):
        stage.answer_pair(project, copied, records[number + 1].image_id, Kind.DISSIMILAR)
    answer(project)
    do_group_round(project)
    run = runs.active_run(project.store.reader())
    assert run is not None
    archive = archive_of(project, run)
    assert len(archive.images.records) == len(now) - 3
    about = [label.rows for label in labels_about(project, archive.images)]
    assert {pair(0, row) for row in (1, 2, 3, 4)} <= {*about}
    asked = {image for each in group_questions(project, archive, 500) for image in each.pair}
    assert not asked & set(copies[1:])
    groups = pq.read_table(project.runs / run.name / "groups.parquet").to_pandas()
    said = [groups[groups["image_ids"] == each].drop(columns="image_ids") for each in copies]
    for each in said[1:]:
        np.testing.assert_array_equal(each, said[0])


def test_where_answers_contradict_each_other_pairs_are_asked_again(
    sorted_once: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubted = answers.pair_labels(sorted_once.store.reader())[0].pair
    monkeypatch.setattr(repeats, "asked_again", lambda project, count: [doubted][:count])
    answer(sorted_once)
    do_group_round(sorted_once)
    asked = next_questions(sorted_once, local_owner(sorted_once), count=200)
    again = [each for each in asked if (each.image_a, each.image_b) == doubted]
    assert ["second time" in each.reason for each in again] == [True]


def test_where_similar_does_not_carry_over_mgue_takes_over_and_says_why(
    prepared: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "steps_back", lambda found: "No groups here.")
    answer(prepared, 20)
    do_group_round(prepared)
    current = round_store.current_round(prepared.store.reader())
    assert current is not None
    assert current.strategy == "mgue"
    assert current.notes[0] == "No groups here."
    run = runs.active_run(prepared.store.reader())
    assert run is not None
    assert not (prepared.runs / run.name / "groups.parquet").exists()


def test_what_a_model_learnt_of_groups_is_read_back(sorted_once: Project) -> None:
    run = runs.active_run(sorted_once.store.reader())
    assert run is not None
    kept = read_groups(sorted_once.runs / run.name)
    assert kept is not None
    records = images.list_images(sorted_once.store.reader(), part=Part.TRAIN)
    ids = np.array([each.image_id for each in records])[::-1]  # in any order
    labels = labels_of(kept, ids)
    assert labels.probability.shape == (len(ids), len(labels.alike))
    np.testing.assert_allclose(labels.probability.sum(axis=1), 1, atol=0.05)
    np.testing.assert_allclose(np.diag(labels.alike), 1)
    again = kept_labels(ids, labels)
    image = int(ids[3])
    for part in (kept, again):
        chosen = part.image_ids == image
        dense = np.zeros(len(labels.alike))
        dense[part.groups[chosen]] = part.probability[chosen]
        np.testing.assert_allclose(dense, labels.probability[3])
        np.testing.assert_allclose(part.weight[chosen], labels.weight[3])


def test_an_image_that_came_later_belongs_to_no_group(sorted_once: Project) -> None:
    run = runs.active_run(sorted_once.store.reader())
    assert run is not None
    kept = read_groups(sorted_once.runs / run.name)
    assert kept is not None
    labels = labels_of(kept, np.array([int(kept.image_ids[0]), 10**6]))
    assert labels.probability[0].any()
    assert not labels.probability[1].any()
    assert labels.weight[1] == 0


def test_fine_tuning_learns_from_the_guesses_of_the_run(
    sorted_once: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With those that are kept; and where they were dropped, the same made again."""
    found: list[SoftLabels | None] = []

    def stop(start: TrainedHead, *_: object, **__: object) -> None:
        found.append(start.labels)
        raise InputError("Far enough.")

    monkeypatch.setattr(worker_finetuning, "fine_tune", stop)
    run = runs.active_run(sorted_once.store.reader())
    assert run is not None
    with (sorted_once.folder / CONFIG_NAME).open("a") as config:
        config.write("\n[finetuning]\nguess_weight = 0.5\n")
    guessing = open_project(sorted_once.folder)
    params = {"device": "cpu", "loss": "triplet"}
    for _ in range(2):
        with pytest.raises(JobError, match="Far enough"):
            run_to_end(guessing, jobs.FINETUNE, params, silent)
        (guessing.runs / run.name / "groups.parquet").unlink(missing_ok=True)
    guessing.close()
    kept, again = found
    assert kept is not None
    assert again is not None
    np.testing.assert_allclose(kept.probability, again.probability, atol=0.011)  # the rest is cut
    np.testing.assert_allclose(kept.alike, again.alike, atol=1e-6)
