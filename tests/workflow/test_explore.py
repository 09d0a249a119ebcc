"""The map of the archive: what is drawn, what a rectangle selects, which images are a group."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from domain.answers import Kind
from tests.pictures import write_archive
from tests.ui import stage
from workflow import explore
from workflow.creation import create_project
from workflow.explore import ArchiveMap
from workflow.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    images = write_archive(tmp_path / "images", each=5)
    made = create_project(tmp_path / "project", images=images).project
    yield made
    made.close()


def grid_map(side: int = 10) -> ArchiveMap:
    """Image 100 + 10 x + y at (x, y)."""
    points = np.array([(x, y) for x in range(side) for y in range(side)], dtype=np.float32)
    return ArchiveMap("r", np.arange(len(points)) + 100, points, (0.5, 0.5))


def test_a_rectangle_selects_what_lies_in_it_the_middle_first() -> None:
    found = grid_map().inside([4.5, 1.5], [2.5, 5.5])  # as it is drawn from the right
    assert set(found.tolist()) == {100 + 10 * x + y for x in (2, 3, 4) for y in (3, 4, 5)}
    assert found[0] == 134
    assert len(grid_map().inside([20, 30], [0, 9])) == 0


def test_of_many_images_those_in_groups_are_drawn_and_others_at_random() -> None:
    shown = grid_map()
    group = explore.Group((105, 107, 150))
    rows = shown.drawn(shown.in_groups([group]), most=20)
    assert len(set(rows.tolist())) == 20
    assert set(group.image_ids) <= set(shown.image_ids[rows].tolist())
    assert rows.tolist() == shown.drawn(shown.in_groups([group]), most=20).tolist()
    assert len(shown.drawn(shown.in_groups([]))) == 100


def test_images_from_all_over_the_map_are_different_ones() -> None:
    assert len(set(grid_map().spread_out(12))) == 12
    assert len(grid_map(side=2).spread_out(12)) == 4


def test_groups_are_what_answers_put_together_the_largest_first(project: Project) -> None:
    ids = [each.image_id for each in stage.training_images(project)]
    stage.answer_pair(project, ids[5], ids[6], Kind.SIMILAR)
    stage.answer_pair(project, ids[0], ids[1], Kind.SIMILAR)
    stage.answer_pair(project, ids[1], ids[3], Kind.SIMILAR)
    stage.answer_pair(project, ids[8], ids[9], Kind.DISSIMILAR)
    found = explore.groups(project)
    assert [each.image_ids for each in found] == [(ids[0], ids[1], ids[3]), (ids[5], ids[6])]


def test_every_image_of_the_active_model_is_on_its_map(project: Project) -> None:
    assert explore.active_run_name(project) is None
    stage.add_model(project, 0, metrics={})
    run = explore.active_run_name(project)
    assert run == "r000"
    shown = explore.archive_map(project, run)
    assert len(shown.image_ids) == len(shown.points) == 20
    assert 0 < shown.shares[1] <= shown.shares[0] < 1
