"""The files that commands write."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.commands.conftest import Run
from tests.projects import make_project, random_weights


@pytest.fixture
def prepared(run: Run, archive: Path, tmp_path: Path) -> Path:
    """A project with a model."""
    make_project(tmp_path / "project", archive, random_weights(tmp_path)).close()
    assert run("embed", "--device", "cpu").status == 0
    return tmp_path / "project"


@pytest.fixture
def group_may_write() -> Iterator[None]:
    before = os.umask(0o002)
    yield
    os.umask(before)


@pytest.mark.usefixtures("prepared", "group_may_write")
def test_foreign_images_are_embedded_and_unreadable_ones_are_named(
    run: Run, archive: Path, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign"
    shutil.copytree(archive / "dots", foreign)
    (foreign / "broken.jpg").write_bytes(b"no picture")
    out = tmp_path / "vectors.npz"
    outcome = run("embed", "--images", foreign, "--out", out, "--json")
    assert outcome.status == 0
    assert outcome.json["images"] == 10
    assert [file["path"] for file in outcome.json["quarantined"]] == ["broken.jpg"]
    assert "Warning: 1 file was put aside: 'broken.jpg' (" in outcome.err
    with np.load(out) as written:
        assert written["paths"].tolist() == sorted(path.name for path in foreign.glob("*.png"))
        assert written["vectors"].shape[0] == 10
    assert out.stat().st_mode & 0o777 == 0o664
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.usefixtures("prepared")
def test_a_folder_without_a_readable_image_is_refused(run: Run, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "broken.jpg").write_bytes(b"no picture")
    outcome = run("embed", "--images", foreign, "--out", tmp_path / "vectors.npz")
    assert outcome.status == 2
    assert "broken.jpg" in outcome.err
    assert not (tmp_path / "vectors.npz").exists()


def test_a_project_among_foreign_images_is_passed_over(
    run: Run, prepared: Path, archive: Path, tmp_path: Path
) -> None:
    assert list((prepared / "cache" / "pictures").rglob("*.jpg"))
    outcome = run("embed", "--images", tmp_path, "--out", tmp_path / "vectors.npz", "--json")
    assert outcome.json["images"] == 40


@pytest.mark.parametrize(
    ("name", "options"),
    [("pairs.parquet", []), ("pairs.data", ["--format", "parquet"])],
    ids=["by its name", "by the option"],
)
def test_an_export_is_of_the_kind_that_its_name_or_the_option_says(
    run: Run, project: Path, tmp_path: Path, name: str, options: list[str]
) -> None:
    assert run("export", "--out", tmp_path / name, *options).status == 0
    assert "image_a" in pq.read_schema(tmp_path / name).names
