"""compare-losses: an archive of classes in, what each loss made of the same start out."""

from pathlib import Path

import pytest

from tests.commands.conftest import Run
from tests.worker.simulations import folder_of_classes


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of_classes(tmp_path_factory.mktemp("archive"), images=30, strength=10)


def _asked(archive: Path, out: Path, *more: str) -> list[object]:
    return [
        "compare-losses", "--images", archive, "--out", out, "--backbone", "s_cnn",
        "--image-size-px", 32, "--cache", out / "cache", "--relations", "classes",
        "--train-share", 0.8, "--seeds", 0, "--tune", "batch_anchors=8", *more,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "names"),
    [
        (("--tune", "steps=2"), ["checkpoint", "chosen by held-out images", "frozen", "triplet"]),
        (("--tune", "steps=2", "--from", "frozen"), ["checkpoint", "frozen", "triplet"]),
        (
            ("--depth", "full", "--tune", "fewest_steps=2", "--tune", "most_steps=2"),
            ["checkpoint", "frozen", "triplet"],
        ),
    ],
    ids=["further", "alone", "networks"],
)
def test_where_held_out_images_judge_there_is_a_choice(
    run: Run, archive: Path, tmp_path: Path, more: tuple[str, ...], names: list[str]
) -> None:
    done = run(*_asked(archive, tmp_path, "--losses", "triplet", *more), "--json")
    assert done.status == 0, done.err
    found = {each["training"]: each for each in done.json["means"]}
    assert sorted(found) == names
    assert found["frozen" if "frozen" in more else "checkpoint"]["gain"] == 0
    assert (tmp_path / "losses.png").is_file()


def test_whole_networks_of_a_project_are_not_compared(run: Run, tmp_path: Path) -> None:
    done = run("compare-losses", "--out", tmp_path, "--depth", "full")
    assert done.status == 2
    assert "Give --images." in done.err
