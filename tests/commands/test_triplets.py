"""compare-triplets: a table of labels in, scores of each choice of triplets out."""

import csv
from pathlib import Path
from typing import Any

import pytest

from domain.errors import Cancelled
from tests.commands.conftest import Run
from tests.pictures import KINDS, write_archive
from worker import triplet_study

LABELS = ("lines", "round", "even")
OF_KIND = {"stripes": "100", "checks": "110", "dots": "010", "plain": "001"}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(tmp_path_factory.mktemp("labelled"), each=6)


@pytest.fixture(scope="module")
def labels(images: Path) -> Path:
    """Beside the archive, so that it is no file of it."""
    path = images.parent / f"{images.name}.tsv"
    rows = [
        "\t".join([f"{kind}{number:02d}", *OF_KIND[kind]]) for kind in KINDS for number in range(6)
    ]
    path.write_text("\n".join(["\t".join(["image", *LABELS]), *rows]) + "\n")
    return path


def options(images: Path, labels: Path, out: Path) -> list[object]:
    archive = ["--images", images, "--labels", labels, "--out", out, "--cache", out / "cache"]
    quick = ["--backbone", "s_cnn", "--size", 8, "--epochs", 2, "--batch", 8, "--k", 3]
    return [*archive, *quick]


def test_every_method_and_seed_has_a_row(
    run: Run, images: Path, labels: Path, tmp_path: Path
) -> None:
    methods = ["--methods", "das+rhdis, ras+bis,triplet", "--seeds", "0,1"]
    done = run("compare-triplets", *options(images, labels, tmp_path), *methods, "--json")
    assert done.status == 0, done.err
    rows = done.json["rows"]
    assert [(row["method"], row["seed"]) for row in rows] == [
        (method, seed)
        for seed in (0, 1)
        for method in ("frozen", "das+rhdis", "ras+bis", "triplet")
    ]
    assert all(0 <= row["f1_macro"] <= 1 and row["queries"] == 5 for row in rows)
    assert [bool(row["triplets"]) for row in rows[:4]] == [False, True, True, False]
    with (tmp_path / "triplets.csv").open(newline="") as stream:
        assert [row["method"] for row in csv.DictReader(stream)] == [r["method"] for r in rows]


def test_an_interrupted_comparison_goes_on_where_it_was(
    run: Run, images: Path, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["compare-triplets", *options(images, labels, tmp_path), "--json"]
    trained = list[str]()
    real = triplet_study.train_multilabel_head

    def train(*given: Any, **how: Any) -> Any:
        if len(trained) == 1:
            raise Cancelled("Stopped.")
        trained.append("x")
        return real(*given, **how)

    monkeypatch.setattr(triplet_study, "train_multilabel_head", train)
    two = ["--methods", "das+rhdis,ras+bis", "--seeds", "0"]
    assert run(*asked, *two).status != 0
    monkeypatch.setattr(
        triplet_study, "train_multilabel_head", lambda *a, **b: trained.append("y") or real(*a, **b)
    )
    rows = run(*asked, *two).json["rows"]
    assert trained == ["x", "y"]
    assert [row["method"] for row in rows] == ["frozen", "das+rhdis", "ras+bis"]
    again = run(*asked, *two, "--seeds", "0,1").json["rows"]
    assert again[:3] == rows
    assert trained == ["x", "y", "y", "y"]
    assert run(*asked, *two, "--k", 2).json["rows"] != rows  # another question


def test_the_seeds_are_averaged_for_reading(
    run: Run, images: Path, labels: Path, tmp_path: Path
) -> None:
    done = run(
        "compare-triplets", *options(images, labels, tmp_path), "--methods", "das+rhdis",
        "--seeds", "0,1",
    )  # fmt: skip
    words = [line.split() for line in done.out.splitlines()]
    assert [line[:3] for line in words[1:3]] == [["frozen", "64", "2"], ["das+rhdis", "8", "2"]]


def test_several_lengths_are_compared_and_further_ones_join(
    run: Run, images: Path, labels: Path, tmp_path: Path
) -> None:
    asked = [*options(images, labels, tmp_path), "--methods", "das+rhdis", "--seeds", "0", "--json"]
    first = run("compare-triplets", *asked, "--size", "4").json["rows"]
    rows = run("compare-triplets", *asked, "--size", "8,4").json["rows"]
    assert [(row["method"], row["out"]) for row in rows] == [
        ("frozen", 64),
        ("das+rhdis", 8),
        ("das+rhdis", 4),
    ]
    assert [rows[0], rows[2]] == first


def test_whole_networks_are_compared(run: Run, images: Path, labels: Path, tmp_path: Path) -> None:
    asked = [*options(images, labels, tmp_path), "--methods", "das+rhdis,triplet", "--seeds", "0"]
    full = ["--depth", "full", "--image-size-px", 32, "--tune", "batch_norm=live", "--json"]
    done = run("compare-triplets", *asked, *full)
    assert done.status == 0, done.err
    frozen, chosen, triplet = done.json["rows"]
    assert [bool(row["triplets"]) for row in (frozen, chosen, triplet)] == [False, True, False]
    heads = run("compare-triplets", *asked, "--image-size-px", 32, "--json").json["rows"]
    assert heads[0]["f1_macro"] == frozen["f1_macro"]
    assert heads[1] != chosen


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--methods", "das+none"], "must be rhdis or ris or bis"),
        (["--methods", "nothing"], "There is no loss nothing"),
        (["--seeds", "x"], "must be numbers with commas"),
        (["--size", "large"], "must be numbers with commas"),
        (["--tune", "batch_norm=live"], "--tune is of whole networks"),
        (["--depth", "full", "--tune", "batch_norm=warm"], "batch_norm"),
    ],
)
def test_what_is_not_allowed_is_told(
    run: Run, images: Path, labels: Path, tmp_path: Path, extra: list[str], message: str
) -> None:
    done = run("compare-triplets", *options(images, labels, tmp_path), *extra)
    assert done.status == 2
    assert message in done.err


def test_images_that_are_not_in_the_archive_are_told(
    run: Run, images: Path, labels: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.tsv"
    other.write_text(labels.read_text() + "harbour00\t1\t0\t0\n")
    done = run("compare-triplets", *options(images, other, tmp_path / "out"))
    assert done.status == 2
    assert "Of 25 images with labels 1 are not in the archive (harbour00)" in done.err
