"""A simulation from folders to files: its curve, what is reused, what is refused."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from domain.config import Views
from domain.errors import ArchiveError, Cancelled, InputError, ModelError
from domain.jobs import silent
from tests.worker.simulations import (
    QUICK,
    bare_options,
    drawn_options,
    folder_of_classes,
    untimed,
)
from worker.simulate import simulate
from worker.simulation_archive import read_archive
from worker.simulation_curve import Row
from worker.simulation_options import SimulationOptions, Variant, checked

CONTRACT = (
    "strategy,seed,round,bits,answers,known_pairs,map_at_5_hits,map_at_5_min,map,p_at_5,p_at_10,"
    "recall_at_1,seconds_select,seconds_train"
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> SimulationOptions:
    """Options on an archive of three classes; its features are cached once for all tests."""
    return drawn_options(
        tmp_path_factory.mktemp("simulation"),
        strategies=("mgue", "random"),
        seeds=(0, 1),
        rounds=1,
        bits_per_round=10,
    )


def _lines(out: Path) -> list[dict[str, str]]:
    with (out / "curve.csv").open() as stream:
        return list(csv.DictReader(stream))


def _rows(options: SimulationOptions) -> list[Row]:
    return simulate(options).rows


def test_the_curve_has_the_agreed_columns_and_rows(base: SimulationOptions, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    rows = _rows(replace(base, out=out))
    assert (out / "curve.csv").read_text().splitlines()[0].startswith(CONTRACT)
    found = [(line["strategy"], int(line["seed"]), int(line["round"])) for line in _lines(out)]
    assert found == [(s, n, r) for s in ("mgue", "random") for n in (0, 1) for r in (-1, 0, 1)]
    assert [(row.strategy, row.seed, row.round) for row in rows] == found
    assert all(0 <= float(line["map_at_5_min"]) <= 1 for line in _lines(out))
    assert float(_lines(out)[2]["bits"]) == pytest.approx(2 * np.log2(3) + 10)


def test_strategies_of_a_seed_share_the_start(base: SimulationOptions, tmp_path: Path) -> None:
    rows = _rows(replace(base, out=tmp_path, seeds=(0,)))
    mgue, random = (
        untimed([replace(row, strategy="", lam=None) for row in rows if row.strategy == name])[:2]
        for name in ("mgue", "random")
    )
    assert mgue == random


def test_views_make_other_features_and_their_rows_are_not_reused(base: SimulationOptions) -> None:
    single, multi = (read_archive(replace(base, views=each), silent) for each in Views)
    assert (single.features.shape[1], multi.features.shape[1]) == (1280, 1280 + 320 + 2 * 96)
    assert single.digest != multi.digest


def test_the_picture_is_a_picture(base: SimulationOptions, tmp_path: Path) -> None:
    simulate(replace(base, out=tmp_path))
    with Image.open(tmp_path / "curve.png") as picture:
        picture.load()
        assert picture.format == "PNG"
        assert min(picture.size) > 400
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 50


def test_only_out_and_cache_are_written(base: SimulationOptions, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in base.images.rglob("*")}
    simulate(replace(base, out=tmp_path / "out"))
    assert {path: path.stat().st_mtime_ns for path in base.images.rglob("*")} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "curve.csv",
        "curve.png",
        "options.json",
    ]


def _forged(out: Path) -> None:
    """Give the first row a figure that no simulation finds."""
    text = (out / "curve.csv").read_text().splitlines()
    cells = text[1].split(",")
    cells[6] = "0.123456"
    (out / "curve.csv").write_text("\n".join([text[0], ",".join(cells), *text[2:]]) + "\n")


def test_complete_rows_are_taken_over_and_new_seeds_are_added(
    base: SimulationOptions, tmp_path: Path
) -> None:
    options = replace(base, out=tmp_path, strategies=("random",), seeds=(0,))
    simulate(options)
    _forged(tmp_path)
    rows = _rows(replace(options, seeds=(0, 1)))
    assert rows[0].map_at_5_hits == 0.123456
    assert [row.seed for row in rows] == [0, 0, 0, 1, 1, 1]
    fresh = _rows(replace(options, out=tmp_path / "fresh", seeds=(1,)))
    assert untimed(rows[3:]) == untimed(fresh)


@pytest.mark.parametrize(
    "change",
    [
        lambda options: replace(options, bits_per_round=11),
        lambda options: replace(options, rounds=2),
        lambda options: replace(options, noise=0.1),
        lambda options: replace(options, training=QUICK.model_copy(update={"most_steps": 6})),
    ],
    ids=["bits", "rounds", "noise", "training"],
)
def test_rows_of_other_options_are_not_taken_over(
    change: Callable[[SimulationOptions], SimulationOptions],
    base: SimulationOptions,
    tmp_path: Path,
) -> None:
    options = replace(base, out=tmp_path, strategies=("random",), seeds=(0,))
    simulate(options)
    _forged(tmp_path)
    assert _rows(change(options))[0].map_at_5_hits != 0.123456


@pytest.mark.parametrize("name", ["curve.csv", "options.json"])
def test_a_damaged_file_means_starting_again(
    name: str, base: SimulationOptions, tmp_path: Path
) -> None:
    options = replace(base, out=tmp_path, strategies=("random",), seeds=(0,))
    first = _rows(options)
    _forged(tmp_path)
    (tmp_path / name).write_text((tmp_path / name).read_text()[:90])
    again = _rows(options)
    assert untimed(again) == untimed(first)


def test_a_cancelled_simulation_keeps_what_is_done_and_goes_on(
    base: SimulationOptions, tmp_path: Path
) -> None:
    options = replace(base, out=tmp_path, strategies=("random",))

    def stop(done: float, message: str) -> None:
        if message.startswith("random, seed 1"):
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        simulate(options, stop)
    assert {line["seed"] for line in _lines(tmp_path)} == {"0"}
    _forged(tmp_path)
    rows = _rows(options)
    assert rows[0].map_at_5_hits == 0.123456
    assert [row.seed for row in rows] == [0, 0, 0, 1, 1, 1]


def test_progress_grows_to_the_end_and_names_strategy_seed_and_round(
    base: SimulationOptions, tmp_path: Path
) -> None:
    told: list[tuple[float, str]] = []
    simulate(replace(base, out=tmp_path), lambda done, message: told.append((done, message)))
    shares = [done for done, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert any("mgue λ=3, seed 1: round 1 of 1" in message for _, message in told)


def test_processes_give_the_rows_of_a_single_one(base: SimulationOptions, tmp_path: Path) -> None:
    """Slow for its size: each process loads PyTorch."""
    options = replace(base, strategies=("random",), rounds=0)
    alone = _rows(replace(options, out=tmp_path / "one"))
    together = _rows(replace(options, out=tmp_path / "two", processes=2))
    for ours, theirs in zip(alone, together, strict=True):
        assert (ours.seed, ours.round, ours.bits) == (theirs.seed, theirs.round, theirs.bits)
        assert theirs.map == pytest.approx(ours.map, abs=1e-3)


def test_the_options_stand_beside_the_curve(base: SimulationOptions, tmp_path: Path) -> None:
    simulate(replace(base, out=tmp_path, strategies=("random",), seeds=(0,), rounds=0))
    written = json.loads((tmp_path / "options.json").read_text())
    assert written["propagation"] == "one_step"
    assert written["training"]["most_steps"] == 5


@pytest.mark.parametrize("classes", [0, 1], ids=["no folder", "one class"])
def test_fewer_than_two_classes_are_refused(
    classes: int, base: SimulationOptions, tmp_path: Path
) -> None:
    images = folder_of_classes(tmp_path / "images", classes=1)
    if classes == 0:
        images = images / "class0"
    with pytest.raises(InputError, match="needs 2 or more"):
        simulate(replace(base, images=images, out=tmp_path / "out"))


def test_classes_put_aside_are_named_where_too_few_are_left(
    base: SimulationOptions, tmp_path: Path
) -> None:
    elsewhere = folder_of_classes(tmp_path / "elsewhere")
    images = tmp_path / "images"
    images.mkdir()
    for folder in elsewhere.iterdir():
        (images / folder.name).symlink_to(folder)
    with pytest.raises(InputError, match="0 classes") as caught:
        simulate(replace(base, images=images, out=tmp_path / "out"))
    assert "were put aside" in caught.value.hint
    assert "Links to folders are not followed" in caught.value.hint


def test_a_missing_archive_is_an_archive_error(base: SimulationOptions, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="nowhere"):
        simulate(replace(base, images=tmp_path / "nowhere", out=tmp_path / "out"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strategies": ("components",), "propagation": "one_step"}, "spread by closure"),
        ({"confusion": -0.1}, "--confusion -0.1"),
        ({"assumed_error": 0.5}, "--assumed-error 0.5"),
        ({"strategies": ("cal",), "initial": "pairs"}, "--strategy cal with --initial pairs"),
        ({"strategies": ("nonsense",)}, "nonsense"),
        ({"strategies": ()}, "--strategy"),
        ({"depth": "half"}, "--depth 'half' is not allowed; it must be one of auto, head, full"),
        ({"depth": "full", "strategies": ("cal",)}, "--strategy cal at full depth"),
        ({"depth": "full", "strategies": ("mgue", "all")}, "--strategy all at full depth"),
        ({"views": "all"}, "--views 'all' is not allowed; it must be one of single, multi"),
        ({"initial": "some"}, "class, pairs, none"),
        ({"propagation": "two_step"}, "off, one_step, closure"),
        ({"retrieval_space": "moon"}, "--retrieval-space"),
        ({"backbone": "resnet19"}, "resnet18"),
        ({"clip": "hard"}, "--clip"),
        ({"noise": 1.5}, "--noise 1.5"),
        ({"noise": float("nan")}, "--noise"),
        ({"lams": (3.0, -1.0)}, "--lambda '3,-1'"),
        ({"lams": ()}, "--lambda"),
        ({"implied_gain": 1.5}, "--implied-gain 1.5"),
        ({"gain": "pairs"}, "--gain 'pairs'"),
        ({"rounds": -1}, "--rounds -1"),
        ({"bits_per_round": 0}, "--bits-per-round 0"),
        ({"seeds": ()}, "--seeds"),
        ({"seeds": (-1,)}, "--seeds"),
        ({"processes": 0}, "--processes"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_is_not_allowed_is_refused_with_what_is(
    changes: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError) as caught:
        checked(bare_options(**changes))
    assert words in caught.value.message


def test_missing_weights_are_refused(base: SimulationOptions, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such weights file"):
        simulate(replace(base, weights=tmp_path / "nothing.safetensors", out=tmp_path))


def test_repeated_names_and_seeds_count_once() -> None:
    options = checked(bare_options(strategies=("mgue", "random", "mgue"), seeds=(1, 0, 1)))
    assert options.strategies == ("mgue", "random")
    assert options.seeds == (1, 0)


def test_lambda_is_swept_by_the_strategy_that_reads_it(
    base: SimulationOptions, tmp_path: Path
) -> None:
    options = replace(base, out=tmp_path, seeds=(0,), rounds=2)
    rows = _rows(replace(options, lams=(1.0, 3.0)))
    assert [(row.strategy, row.lam) for row in rows if row.round == 2] == [
        ("mgue", 1.0),
        ("mgue", 3.0),
        ("random", None),
    ]
    first, third = (row.threshold for row in rows if row.round == 2 and row.strategy == "mgue")
    assert first != third
    _forged(tmp_path)
    assert _rows(replace(options, lams=(1.0,)))[0].map_at_5_hits == 0.123456


def test_class_labels_cost_their_bits_and_the_upper_bound_is_one_round(
    base: SimulationOptions, tmp_path: Path
) -> None:
    options = replace(base, out=tmp_path, strategies=("cal", "all"), seeds=(0,), rounds=2)
    rows = _rows(options)
    per_image, a_round = np.log2(3), int(10 / np.log2(3))
    images = [2, 2 + a_round, 2 + 2 * a_round]
    cal = [row for row in rows if row.strategy == "cal"]
    assert [row.round for row in cal] == [-1, 0, 1, 2]
    assert [row.answers for row in cal[1:]] == images
    assert [row.bits for row in cal[1:]] == pytest.approx([n * per_image for n in images])
    bound = [row for row in rows if row.strategy == "all"]
    assert [(row.round, row.answers) for row in bound] == [(-1, 0), (1, 48)]
    assert bound[1].bits == pytest.approx(48 * per_image)
    _forged(tmp_path)
    assert _rows(options)[0].map_at_5_hits == 0.123456  # all of it was complete


def test_what_the_archive_lacks_is_told(base: SimulationOptions, tmp_path: Path) -> None:
    images = folder_of_classes(tmp_path / "images")
    (images / "class0" / "broken.jpg").write_bytes(b"no picture")
    options = replace(base, images=images, out=tmp_path / "out", rounds=0, seeds=(0,))
    assert "1 files could not be read" in simulate(options).notes[0]


def test_rows_of_another_program_are_not_taken_over(
    base: SimulationOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = replace(base, out=tmp_path, strategies=("random",), seeds=(0,), rounds=0)
    simulate(options)
    _forged(tmp_path)
    monkeypatch.setattr("worker.simulate.program_digest", lambda _: "newer")
    assert _rows(options)[0].map_at_5_hits != 0.123456


def test_only_a_variant_of_lambda_reads_lambda() -> None:
    """So rows of other strategies stay right whatever λ is asked for next."""
    options = bare_options(lams=(1.0,))
    assert options.selection(Variant("mgue", 1.0)).lambda_ == 1.0
    assert options.selection(Variant("bcgue")) == bare_options().selection(Variant("bcgue"))


@pytest.mark.real_data
@pytest.mark.timeout(1200)
def test_mgue_beats_random_questions_on_real_images(
    ucmerced: Path, mobilenet_weights: Path, tmp_path: Path
) -> None:
    """The issue's figures on one seed; two minutes, most of them for the features."""
    rows = _rows(
        SimulationOptions(
            images=ucmerced,
            out=tmp_path / "out",
            cache=tmp_path / "cache",
            weights=mobilenet_weights,
            backbone="mobilenet_v2",
            strategies=("mgue", "random"),
            seeds=(0,),
        )
    )
    found = {(row.strategy, row.round): row for row in rows}
    last, random = found["mgue", 4], found["random", 4]
    assert last.bits == pytest.approx(1844.96, abs=0.01)
    assert (last.map_at_5_hits or 0) >= 0.915
    assert (last.map_at_5_hits or 0) >= (random.map_at_5_hits or 0) + 0.05
    assert (last.map_at_5_min or 0) >= 0.86
    assert (found["mgue", 0].map_at_5_hits or 0) >= (found["mgue", -1].map_at_5_hits or 0) - 0.01
