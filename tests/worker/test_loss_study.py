"""Losses compared from the same checkpoint: cells, resuming, tables, and what would be chosen."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from domain.answers import Propagation
from domain.config import FineTuningSettings, TrainingSettings
from domain.errors import Cancelled, InputError
from tests.worker.simulations import bare_archive, bare_options
from tests.worker.test_finetuning import trained as trained  # fixtures
from tests.worker.test_finetuning import trained_folder as trained_folder
from training.group_head import GroupHead
from worker import loss_study, loss_study_heads
from worker.loss_study import compare_on_answers, compare_on_classes, compare_on_project
from worker.loss_study_options import StudyOptions, Training, trainings_of
from worker.loss_study_sources import classes_source
from worker.loss_study_table import (
    CHECKPOINT,
    CHOSEN,
    FROZEN,
    Row,
    drawn,
    reusable_rows,
    summaries,
    with_choice,
    write_rows,
)
from workflow import rounds
from workflow.project import Project

QUICK = FineTuningSettings(
    steps=4, check_steps=2, batch_anchors=8, batch_others=8, learning_rate=1e-3
)
HEAD = TrainingSettings(hidden=32, out=16, components=0, fewest_steps=60, most_steps=60)
TWO = (Training("triplet"), Training("contrastive", {"margin": 0.1}))


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bare features in place of a folder of images."""
    made = bare_archive(images=200, classes=5)
    monkeypatch.setattr(loss_study, "read_archive", lambda *_: made)


def _options(out: Path, **changes: Any) -> StudyOptions:
    options = StudyOptions(out=out, trainings=TWO, seeds=(0, 1), finetuning=QUICK, device="cpu")
    return replace(options, **changes)


SIMULATION = bare_options(bits_per_round=200, training=HEAD, strategies=("random",))


@pytest.mark.usefixtures("archive")
def test_each_loss_starts_from_the_checkpoint_of_the_simulation(tmp_path: Path) -> None:
    rows = compare_on_answers(_options(tmp_path), SIMULATION)
    names = [FROZEN, CHECKPOINT, "triplet", "contrastive margin=0.1"]
    assert [(row.training, row.seed) for row in rows] == [(n, s) for s in (0, 1) for n in names]
    tuned = [row for row in rows if row.training == "triplet"]
    assert all(0 < row.metrics["map"] <= 1 and row.steps in (2, 4) for row in tuned)
    assert not any("gap" in name for row in tuned for name in row.metrics)  # nobody asked for it
    before = {row.before for row in rows if row.seed == 0 and row.steps}
    assert len(before) == 1  # the same held-out images, the same checkpoint
    assert (tmp_path / "losses.png").stat().st_size > 10_000


@pytest.mark.usefixtures("archive")
def test_from_frozen_features_each_loss_trains_a_head_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_study_heads, "fine_tune", None)  # nothing is trained further
    longer = QUICK.model_copy(update={"steps": 30, "learning_rate": 3e-3})
    options = _options(tmp_path, seeds=(0,), finetuning=longer, alone=True)
    frozen, _, *alone = compare_on_classes(options, SIMULATION)
    assert [row.steps for row in alone] == [30, 30]
    assert all(row.metrics["map"] > frozen.metrics["map"] + 0.1 for row in alone)
    assert alone[0].metrics != alone[1].metrics
    assert {row.after for row in alone} == {None}
    assert options.over == FROZEN


@pytest.mark.usefixtures("archive")
def test_the_loss_of_small_batches_is_compared_with_that_of_all_images(tmp_path: Path) -> None:
    ranking = (Training("smooth_ap", {"tau": 0.001}),)
    options = _options(tmp_path, trainings=ranking, seeds=(0,), gaps=True)
    *_, row = compare_on_classes(options, SIMULATION)
    assert {name for name in row.metrics if name.startswith("gap")} == {"gap at 32", "gap at 64"}
    assert row.metrics["gap at 32"] < 0
    assert row.metrics["gap at 64"] < 0


@pytest.mark.usefixtures("archive")
def test_an_interrupted_comparison_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = compare_on_answers(_options(tmp_path / "whole"), SIMULATION)

    def stop(done: float, message: str) -> None:
        if "seed 1: contrastive" in message:
            raise Cancelled("Stop.")

    with pytest.raises(Cancelled):
        compare_on_answers(_options(tmp_path / "cut"), SIMULATION, stop)
    trained_anew = list[str]()
    real = loss_study_heads.fine_tune
    monkeypatch.setattr(
        loss_study_heads, "fine_tune", lambda *a, **b: trained_anew.append("x") or real(*a, **b)
    )
    again = compare_on_answers(_options(tmp_path / "cut"), SIMULATION)
    assert len(trained_anew) == 1
    assert [replace(row, seconds=0) for row in again] == [replace(row, seconds=0) for row in whole]


@pytest.mark.usefixtures("archive")
def test_rows_of_other_options_are_not_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare_on_answers(_options(tmp_path, seeds=(0,)), SIMULATION)
    calls = list[str]()
    real = loss_study_heads.fine_tune
    monkeypatch.setattr(
        loss_study_heads, "fine_tune", lambda *a, **b: calls.append("x") or real(*a, **b)
    )
    compare_on_answers(_options(tmp_path, seeds=(0,)), SIMULATION)
    assert not calls
    other = QUICK.model_copy(update={"learning_rate": 2e-3})
    compare_on_answers(_options(tmp_path, seeds=(0,), finetuning=other), SIMULATION)
    assert len(calls) == 2


@pytest.mark.usefixtures("archive")
def test_losses_can_learn_from_more_than_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = list[int]()
    real = loss_study_heads.fine_tune

    def spy(start: Any, features: Any, pairs: Any, *rest: Any, **options: Any) -> Any:
        known.append(len(pairs))
        return real(start, features, pairs, *rest, **options)

    monkeypatch.setattr(loss_study_heads, "fine_tune", spy)
    simulation = replace(SIMULATION, propagation="off")
    for spread in (None, Propagation.CLOSURE):
        options = _options(tmp_path, seeds=(0,), trainings=TWO[:1], propagation=spread)
        compare_on_answers(options, simulation)
    assert known[1] > 2 * known[0]


@pytest.mark.usefixtures("archive")
def test_a_head_of_groups_is_trained_further_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = list[Any]()
    real = loss_study_heads.fine_tune
    monkeypatch.setattr(
        loss_study_heads,
        "fine_tune",
        lambda start, *a, **b: starts.append(start) or real(start, *a, **b),
    )
    simulation = replace(SIMULATION, strategies=("components",), initial="none")
    options = _options(tmp_path, seeds=(0,), trainings=TWO[:1])
    frozen, checkpoint, tuned = compare_on_answers(options, simulation)
    (start,) = starts
    assert isinstance(start.module, GroupHead)
    assert checkpoint.metrics["map"] > frozen.metrics["map"]
    assert tuned.before is not None
    assert tuned.steps in (2, 4)


@pytest.mark.usefixtures("archive")
def test_class_labels_are_compared_on_images_of_no_training(tmp_path: Path) -> None:
    rows = compare_on_classes(_options(tmp_path, seeds=(0,)), SIMULATION)
    figures = rows[-1].metrics
    assert {"map", "p_at_50", "map_with_self", "map of class0"} <= figures.keys()
    assert figures["map_with_self"] > figures["map"]
    of_classes = [value for name, value in figures.items() if name.startswith("map of")]
    assert np.mean(of_classes) == pytest.approx(figures["map"])


def test_a_split_by_class_keeps_near_duplicates_on_one_side() -> None:
    made = bare_archive(images=200, classes=5)
    made = replace(made, split_groups=np.arange(200) // 10 * 5 + made.labels)
    source = classes_source(made, SIMULATION, 0.5, 0)
    features = {row.tobytes() for row in source.features}
    train = np.array([row.tobytes() in features for row in made.features])
    assert 80 <= train.sum() <= 120
    for group in np.unique(made.split_groups):
        assert len(set(train[made.split_groups == group])) == 1
    for label in range(5):
        assert 16 <= train[made.labels == label].sum() <= 24


def test_a_projects_own_answers_are_compared_and_nothing_of_it_changes(
    trained: Project, tmp_path: Path
) -> None:
    before = rounds.list_runs(trained)
    rows = compare_on_project(_options(tmp_path / "out", seeds=(0,)), trained, None)
    assert [row.training for row in rows][2:] == ["triplet", "contrastive margin=0.1"]
    assert all("map" in row.metrics for row in rows)
    assert rounds.list_runs(trained) == before


def test_strategies_without_pairs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gives no answers about pairs"):
        compare_on_answers(_options(tmp_path), replace(SIMULATION, strategies=("cal",)))


def test_a_sweep_names_its_settings() -> None:
    found = trainings_of((), sweeps=("osap-omega",))
    assert [each.name for each in found][:2] == ["osap omega=0.0", "osap omega=0.2"]


def test_a_parameter_is_set_for_all_losses_that_are_compared() -> None:
    (found,) = trainings_of(("triplet", "triplet"), settings=("margin=0.4",))
    assert found.name == "triplet margin=0.4"
    with pytest.raises(InputError, match="has no colour"):
        trainings_of(("triplet",), settings=("colour=1",))


def _row(training: str, seed: int, value: float, **values: Any) -> Row:
    metrics: Mapping[str, float] = {"map": value}
    return Row(training, seed, metrics=metrics, **values)


ROWS = [
    _row(CHECKPOINT, 0, 0.5),
    _row("a", 0, 0.6, better=True, before=0.7, after=0.8, uncertainty=0.01, steps=20),
    _row("b", 0, 0.4, better=True, before=0.7, after=0.9, uncertainty=0.01, steps=40),
    _row(CHECKPOINT, 1, 0.5),
    _row("a", 1, 0.8, better=False, before=0.7, after=0.6, uncertainty=0.01, steps=20),
    _row("b", 1, 0.7, better=False, before=0.7, after=0.7, uncertainty=0.01, steps=20),
]


def test_held_out_images_choose_not_the_figures_that_are_reported() -> None:
    chosen = [row for row in with_choice(ROWS) if row.training == CHOSEN]
    assert [row.metrics["map"] for row in chosen] == [0.4, 0.5]  # b, and the checkpoint


def test_means_are_over_seeds_and_gains_within_them() -> None:
    first, *_ = summaries(ROWS, "map")
    assert (first.training, first.seeds, first.wins, first.kept) == ("a", 2, 2, 1)
    assert (first.mean, first.gain) == (pytest.approx(0.7), pytest.approx(0.2))
    assert first.spread == pytest.approx(np.std([0.6, 0.8], ddof=1))
    assert first.held_out == pytest.approx(0.7)


def test_gains_can_be_counted_from_the_frozen_features() -> None:
    rows = [_row(FROZEN, 0, 0.1), *ROWS[:3]]
    gains = {each.training: each.gain for each in summaries(rows, "map", over=FROZEN)}
    assert gains["a"] == pytest.approx(0.5)
    assert gains[CHECKPOINT] == pytest.approx(0.4)


def test_rows_are_the_same_when_they_are_read_again(tmp_path: Path) -> None:
    write_rows(tmp_path, ROWS, {"seed": 1})
    assert reusable_rows(tmp_path, {"seed": 1}) == ROWS
    assert reusable_rows(tmp_path, {"seed": 2}) == []


@pytest.mark.parametrize("over", [CHECKPOINT, FROZEN])
def test_every_label_of_the_picture_is_inside_it(over: str) -> None:
    rows = [
        Row(name, 0, before=0.8, after=0.81, metrics={"map": 0.8})
        for name in (FROZEN, CHECKPOINT, "das_rhdis anchors=das images=rhdis", "osap gamma=0.1")
    ]
    figure = drawn(rows, over=over)
    figure.draw_without_rendering()
    width, height = figure.get_size_inches() * figure.dpi
    for axes in figure.axes:
        for text in (axes.xaxis.label, *axes.get_yticklabels()):
            found = text.get_window_extent()
            assert 0 <= found.x0 <= found.x1 <= width, text.get_text()
            assert 0 <= found.y0 <= found.y1 <= height, text.get_text()
