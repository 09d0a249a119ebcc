"""compare-descriptors: an archive of classes in, scores of each pooling and number of sizes out."""

import csv
from pathlib import Path

import pytest

from tests.commands.conftest import Run
from tests.pictures import write_archive
from training.backbones import build_backbone
from training.weights import save_backbone
from worker import descriptor_study


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_backbone(build_backbone("mobilenet_v2"), path)
    return path


def test_every_pooling_has_a_row_for_each_size_added(
    run: Run, weights: Path, tmp_path: Path
) -> None:
    archive, out = write_archive(tmp_path / "few", each=4), tmp_path / "out"
    done = run(
        "compare-descriptors", "--images", archive, "--out", out, "--backbone", "mobilenet_v2",
        "--weights", weights, "--poolings", "max,mean", "--json",
    )  # fmt: skip
    assert done.status == 0, done.err
    rows = done.json["rows"]
    assert [(row["pooling"], row["scales"]) for row in rows] == [
        (pooling, scales) for pooling in ("max", "mean") for scales in range(1, 6)
    ]
    assert all(0.25 < row["map"] <= 1 and 0 <= row["recall_at_1"] <= 1 for row in rows)
    with (tmp_path / "out" / "descriptors.csv").open(newline="") as stream:
        assert [float(row["map"]) for row in csv.DictReader(stream)] == [r["map"] for r in rows]


def test_what_is_done_is_not_done_again(
    run: Run, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, out = write_archive(tmp_path / "few", each=3), tmp_path / "out"
    asked = [
        "compare-descriptors", "--images", archive, "--out", out, "--backbone", "mobilenet_v2",
        "--weights", weights, "--json", "--poolings",
    ]  # fmt: skip
    first = run(*asked, "max").json["rows"]
    done = list[tuple[str, ...]]()
    real = descriptor_study._described
    monkeypatch.setattr(
        descriptor_study,
        "_described",
        lambda files, backbone, study, progress: (
            done.append(study.poolings) or real(files, backbone, study, progress)
        ),
    )
    assert run(*asked, "mean,max").json["rows"][5:] == first
    assert run(*asked, "max").json["rows"] == first
    assert done == [("mean",)]
    (archive / "dots" / "dots00.png").unlink()
    assert run(*asked, "max").status == 0
    assert done[1:] == [("max",)]


def test_an_unknown_pooling_is_told(run: Run, archive: Path, tmp_path: Path) -> None:
    done = run("compare-descriptors", "--images", archive, "--out", tmp_path, "--poolings", "sum")
    assert done.status == 2
    assert "There is no pooling sum." in done.err


def test_an_archive_without_classes_is_told(run: Run, archive: Path, tmp_path: Path) -> None:
    done = run("compare-descriptors", "--images", archive / "plain", "--out", tmp_path)
    assert done.status == 2
    assert "four in two are needed" in done.err
