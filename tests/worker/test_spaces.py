"""The space of images on disk: the same again, bounded, and never a wrong or a broken one."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from annealing.components.space import Space, space_of
from domain.images import ImageRecord, Part
from training.head import Standardise, fitted_standardise
from worker import spaces
from worker.spaces import kept_looks, kept_space
from workflow.project import Project

FEATURES = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
STATISTICS = fitted_standardise(FEATURES)


def records(count: int, *, start: int = 0) -> list[ImageRecord]:
    names = [f"{number:02d}" for number in range(start, start + count)]
    return [
        ImageRecord(number, name, name * 32, name * 32, "0", 8, 8, None, number, number, Part.TRAIN)
        for number, name in enumerate(names)
    ]


def made(rows: int = 30) -> Callable[[], Space]:
    return lambda: space_of(FEATURES[:rows])


def never() -> Space:
    raise AssertionError("made again")


def files(project: Project) -> list[Path]:
    return sorted((project.cache / "spaces").iterdir())


def test_a_space_is_the_same_when_it_is_read_again(project: Project) -> None:
    before = kept_space(project, STATISTICS, records(30), made())
    after = kept_space(project, STATISTICS, records(30), never)
    np.testing.assert_array_equal(after.unit, before.unit)
    np.testing.assert_array_equal(after.graph.links.toarray(), before.graph.links.toarray())
    values = np.arange(30, dtype=np.float32)
    np.testing.assert_array_equal(after.graph.spread(values), before.graph.spread(values))
    np.testing.assert_array_equal(after.graph.own, before.graph.own)


@pytest.mark.parametrize(
    ("statistics", "of"),
    [
        (fitted_standardise(FEATURES[:29]), records(30)),
        (STATISTICS, records(29)),
        (STATISTICS, records(30, start=1)),
        (STATISTICS, records(30)[::-1]),
    ],
    ids=["other features", "fewer images", "other images", "another order"],
)
def test_what_differs_is_made_anew(
    project: Project, statistics: Standardise, of: list[ImageRecord]
) -> None:
    kept_space(project, STATISTICS, records(30), made())
    with pytest.raises(AssertionError, match="made again"):
        kept_space(project, statistics, of, never)


def test_a_space_made_by_another_version_is_made_anew(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_space(project, STATISTICS, records(30), made())
    monkeypatch.setattr(spaces, "_FORMAT", "next")
    with pytest.raises(AssertionError, match="made again"):
        kept_space(project, STATISTICS, records(30), never)


@pytest.mark.parametrize("size", [0, 100, -50])
def test_a_damaged_file_is_made_anew(project: Project, size: int) -> None:
    expected = kept_space(project, STATISTICS, records(30), made())
    (path,) = files(project)
    path.write_bytes(path.read_bytes()[:size])
    np.testing.assert_array_equal(
        kept_space(project, STATISTICS, records(30), made()).unit, expected.unit
    )
    kept_space(project, STATISTICS, records(30), never)


def test_looks_are_the_same_when_they_are_read_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_space(project, STATISTICS, records(30), made())  # as the first questions do
    before = kept_looks(project, records(30), FEATURES)
    monkeypatch.setattr(spaces, "looks_of", never)
    after = kept_looks(project, records(30), FEATURES)
    space = kept_space(project, STATISTICS, records(30), never)
    for found in (after.space, space):
        np.testing.assert_array_equal(found.unit, before.space.unit)
        np.testing.assert_array_equal(
            found.graph.links.toarray(), before.space.graph.links.toarray()
        )
    rows = torch.from_numpy(FEATURES)
    np.testing.assert_array_equal(after.standardise(rows), before.standardise(rows))
    np.testing.assert_allclose(after.standardise(rows), after.space.unit, atol=1e-6)


def let_time_pass(project: Project) -> None:
    """File systems tell times apart by milliseconds only; the calls here take less."""
    for path in files(project):
        os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns - 10**9))


def test_the_two_that_were_used_last_are_kept(project: Project) -> None:
    for rows in (30, 29):
        kept_space(project, STATISTICS, records(rows), made(rows))
        let_time_pass(project)
    kept_space(project, STATISTICS, records(30), never)
    let_time_pass(project)
    kept_space(project, STATISTICS, records(28), made(28))
    assert len(files(project)) == 2
    kept_space(project, STATISTICS, records(30), never)


def test_where_nothing_can_be_written_it_is_made_each_time(project: Project) -> None:
    project.cache.mkdir(exist_ok=True)
    (project.cache / "spaces").write_text("in the way")
    assert len(kept_space(project, STATISTICS, records(30), made())) == 30
