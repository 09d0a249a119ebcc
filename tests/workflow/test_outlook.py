"""What the models so far say of the next, in words; and which images changed between two."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from domain.answers import Kind
from domain.errors import InputError
from domain.images import ImageRecord, Part
from labeling_store import images
from tests.pictures import write_archive
from tests.ui import stage
from workflow import comparing, outlook, published
from workflow.creation import create_project
from workflow.curves import CurvePoint
from workflow.project import Project
from workflow.run_files import Embeddings


def points(values: list[float], figure: str = "map_at_5_min") -> list[CurvePoint]:
    return [
        CurvePoint(f"r{at}", at, 30 * 2**at, 30 * 2**at, 0, {figure: value})
        for at, value in enumerate(values)
    ]


RISING = [0.5, 0.6, 0.68, 0.744, 0.795]  # a fifth of the error less at twice the bits


def test_a_curve_that_rises_is_worth_another_round() -> None:
    found = outlook.outlook(points(RISING))
    assert found is not None
    assert found.last_round_bits == 240
    said = outlook.another_round(found)
    assert "It is worth it" in said
    assert "+8.0, +6.4, +5.1" in said
    assert "about 960 bits" in outlook.bits_to_reach(found, 0.836)


def test_a_curve_that_has_levelled_off_is_not() -> None:
    found = outlook.outlook(points([0.9, 0.9001, 0.8999, 0.9, 0.9001, 0.9]))
    assert found is not None
    assert "hardly worth it" in outlook.another_round(found)
    assert "not reachable as seen" in outlook.bits_to_reach(found, 0.95)


def test_a_curve_that_jumps_about_tells_nothing() -> None:
    found = outlook.outlook(points([0.5, 0.7, 0.55, 0.75]))
    assert found is not None
    assert "cannot be told" in outlook.another_round(found)


def test_a_target_that_the_newest_model_has_is_said_to_be_there() -> None:
    found = outlook.outlook(points(RISING))
    assert found is not None
    assert "has it already, with 480 bits" in outlook.bits_to_reach(found, 0.79)


def test_classes_are_preferred_to_random_pairs_and_hard_pairs_are_no_measure() -> None:
    both = [
        CurvePoint(p.run, p.round_number, p.bits, 0, 0, {**p.metrics, "auc_random": 0.5})
        for p in points(RISING)
    ]
    chosen = outlook.outlook(both)
    assert chosen is not None
    assert chosen.figure == "map_at_5_min"
    by_pairs = outlook.outlook(points(RISING, "auc_random"))
    assert by_pairs is not None
    assert by_pairs.figure == "auc_random"
    assert outlook.outlook(points(RISING, "auc")) is None
    frozen = CurvePoint("r", 0, 0, 0, 0, {"map_at_5_min": 0.4})  # nothing learnt yet
    assert outlook.outlook([frozen, *points(RISING[:3])]) is None
    assert "there are 3" in outlook.too_few([frozen, *points(RISING[:3])])


# --- two models ----------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Project]:
    classes = getattr(request, "param", True)
    folder = write_archive(tmp_path / "images", each=10, classes=classes)
    made = create_project(tmp_path / "project", images=folder).project
    stage.add_model(made, 0, metrics={})
    stage.add_model(made, 1, metrics={}, bits=30)
    yield made
    made.close()


def embeddings(project: Project, name: str) -> Embeddings:
    from workflow.run_files import read_embeddings

    return read_embeddings(project.runs / name)


def average_precision(project: Project, run: str, query: ImageRecord) -> float:
    """AP@5 by a slow loop over the ranked gallery."""
    model = embeddings(project, run)
    gallery = images.list_images(project.store.reader(), part=Part.TEST)
    vector = model.vectors[model.rows[query.image_id]].astype(np.float64)
    gallery.sort(
        key=lambda each: -float(model.vectors[model.rows[each.image_id]].astype(float) @ vector)
    )
    relevant = [each.class_name == query.class_name for each in gallery]
    hits, found = 0, 0.0
    for rank, right in enumerate(relevant[:5], start=1):
        hits += right
        found += right * hits / rank
    return found / min(5, sum(relevant))


def test_queries_are_compared_by_their_classes(project: Project) -> None:
    found = comparing.compare_runs(project, "r000", "r001")
    assert found.by_classes
    queries = images.list_images(project.store.reader(), part=Part.VALIDATION)
    records = {each.image_id: each for each in queries}
    for change in (*found.better, *found.worse):
        query = records[change.image_id]
        assert change.before == pytest.approx(average_precision(project, "r000", query))
        assert change.after == pytest.approx(average_precision(project, "r001", query))
    assert all(each.after > each.before for each in found.better)
    assert all(each.after < each.before for each in found.worse)
    assert found.better or found.worse
    assert comparing.compare_runs(project, "r001", "r000").worse[::1] == tuple(
        comparing.Change(each.image_id, each.after, each.before) for each in found.better
    )


@pytest.mark.parametrize("project", [False], indirect=True, ids=["flat folder"])
def test_without_classes_answers_tell_which_images_changed(project: Project) -> None:
    a, b, c = (each.image_id for each in stage.training_images(project)[:3])
    stage.answer_pair(project, a, b, Kind.SIMILAR)
    stage.answer_pair(project, a, c, Kind.DISSIMILAR)
    found = comparing.compare_runs(project, "r000", "r001")
    assert not found.by_classes
    right = []
    for run in ("r000", "r001"):
        model = embeddings(project, run)
        query, similar, other = (model.vectors[model.rows[each]] for each in (a, b, c))
        right.append(float(query @ similar > query @ other))
    changed = (*found.better, *found.worse)
    if right[0] == right[1]:
        assert (changed, found.same) == ((), 1)
    else:
        assert changed == (comparing.Change(a, *right),)


def test_a_model_that_is_not_there_cannot_be_compared(project: Project) -> None:
    assert comparing.comparable_runs(project) == ["r001", "r000"]
    with pytest.raises(InputError, match="r009"):
        comparing.compare_runs(project, "r000", "r009")


def test_figures_of_the_paper_are_shown_for_its_archives_only(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert published.published_figures(project) == {}
    classes = [f"Class {letter}" for letter in "abcdefghijklmnop"]
    classes += ["Agricultural", "baseball diamond", "chaparral", "mobile_homepark", "storagetanks"]
    some = images.list_images(project.store.reader())[0]
    records = [ImageRecord(**{**vars(some), "class_name": classes[at % 21]}) for at in range(2100)]
    monkeypatch.setattr(images, "list_images", lambda db: records)
    assert max(published.published_figures(project).values()) == 0.9356
    monkeypatch.setattr(images, "list_images", lambda db: records[:-1])
    assert published.published_figures(project) == {}
