"""A simulation at full depth: what is evaluated, what a curve goes on with, what is left."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from sklearn.metrics.pairwise import cosine_similarity

from domain.config import FullDepthSettings, Views
from domain.descriptors import PLAIN, Descriptor, Pooling
from domain.errors import Cancelled
from domain.jobs import silent
from tests.worker.simulations import QUICK, drawn_options, untimed
from tests.worker.tuned import always_keep_groups, always_retrain
from training import group_head
from training.backbones import build_backbone
from training.full_depth import Retrained
from training.guesses import Guesses
from training.preprocessing import load_pixels
from training.views import embedder
from training.warmup import measure_statistics
from training.weights import load_weights
from worker import simulation_depth
from worker.simulate import simulate
from worker.simulation_archive import read_archive, split
from worker.simulation_options import SimulationOptions

pytestmark = pytest.mark.usefixtures("one_thread")
OF_TWO_SIZES = Descriptor(pooling=Pooling.GEM, scales=(2.0, 1.0))
FEW_STEPS = FullDepthSettings(
    fewest_steps=2, most_steps=2, batch_anchors=4, batch_others=2, evaluate_every=2
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> SimulationOptions:
    """Options on 60 images of 32 px under a network that never learnt anything."""
    return drawn_options(
        tmp_path_factory.mktemp("simulation"),
        depth="full",
        strategies=("random",),
        initial="none",
        propagation="closure",
        seeds=(0,),
        rounds=2,
        bits_per_round=60,
        training=QUICK.model_copy(update={"full": FEW_STEPS}),
    )


@pytest.fixture
def better(monkeypatch: pytest.MonkeyPatch) -> None:
    always_retrain(monkeypatch, simulation_depth)


def _mean_ap_of_better_features(options: SimulationOptions) -> float:
    """By scikit-learn, from pixels on; validation images query test images."""
    archive = read_archive(options, silent)
    parts = split(archive, 0)
    pixels = np.stack([load_pixels(path, options.image_size_px) for _, path in archive.files])
    backbone = build_backbone(options.backbone, descriptor=options.descriptor)
    load_weights(backbone, options.weights)
    measure_statistics(backbone, pixels[parts.train])
    embed = embedder(backbone, views=Views.SINGLE, size_px=options.image_size_px)
    with torch.inference_mode():
        features = embed([torch.from_numpy(pixels)]).double().numpy()
    train = features[parts.train]
    rows = (features - train.mean(axis=0)) / train.std(axis=0)
    similarity = cosine_similarity(rows[parts.queries], rows[parts.gallery])
    relevant = archive.labels[parts.queries][:, None] == archive.labels[parts.gallery]
    found = [average_precision_score(*each) for each in zip(relevant, similarity, strict=True)]
    return float(np.mean(found))


@pytest.mark.usefixtures("better")
@pytest.mark.parametrize(
    ("strategy", "descriptor"), [("random", PLAIN), ("components", PLAIN), ("random", OF_TWO_SIZES)]
)
def test_the_retrained_backbones_own_features_are_evaluated(
    base: SimulationOptions, strategy: str, descriptor: Descriptor, tmp_path: Path
) -> None:
    options = replace(base, strategies=(strategy,), bits_per_round=70, rounds=1, out=tmp_path)
    options = replace(options, descriptor=descriptor)
    frozen, full = simulate(options).rows
    assert "The backbone was retrained" in full.note
    assert (frozen.round, frozen.bits, full.round) == (-1, 0, 1)
    assert full.map == pytest.approx(_mean_ap_of_better_features(options), abs=1e-3)
    assert abs(full.map - frozen.map) > 0.01


def test_backbones_learn_from_what_groups_guess_without_the_held_out_answers(
    base: SimulationOptions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Guesses are made anew without the answers about some images, and count as much as told."""
    found: list[Guesses | None] = []
    always_keep_groups(monkeypatch)
    monkeypatch.setattr(group_head, "FEWEST_ANSWERS", 10)

    def retrain(backbone: Any, pixels: Any, *args: Any, guessing: Any, **options: Any) -> Retrained:
        nobody = np.zeros(len(pixels), dtype=bool)
        found.extend(guessing(each) for each in (nobody, np.arange(len(pixels)) < 8))
        return Retrained(backbone, None, [], note="Nothing.")

    monkeypatch.setattr(simulation_depth, "retrain_backbone", retrain)
    options = replace(base, strategies=("components",), bits_per_round=70, rounds=1)
    for weight in (0.5, 0.0):
        full = FEW_STEPS.model_copy(update={"guess_weight": weight})
        training = options.training.model_copy(update={"full": full})
        simulate(replace(options, training=training, out=tmp_path / str(weight)))
    told, held_out, *nothing = found
    assert nothing == [None, None]
    assert told is not None
    assert held_out is not None
    assert told.weight == 0.5
    assert told.digest != held_out.digest


def test_with_retrieval_by_the_head_the_head_reads_the_retrained_features(
    base: SimulationOptions, better: None, tmp_path: Path
) -> None:
    options = replace(base, bits_per_round=70, rounds=1, retrieval_space="head")
    full = simulate(replace(options, out=tmp_path / "full")).rows[1]
    frozen = simulate(replace(options, depth="head", out=tmp_path / "frozen")).rows[1]
    assert full.known_pairs == frozen.known_pairs
    assert full.map != frozen.map


class _Stop:
    """A progress that asks for an end at a step of the second round's training."""

    def __init__(self, step: int) -> None:
        self.told: list[str] = []
        self._step = step

    def __call__(self, done: float, message: str) -> None:
        self.told += [message] if "retraining the backbone" in message else []
        if f"round 2 of 2: retraining the backbone, step {self._step}" in message:
            raise Cancelled("Stopped.")


def test_an_interrupted_curve_goes_on_at_the_step_where_it_was(
    base: SimulationOptions, tmp_path: Path
) -> None:
    """The rows are those of a simulation that nothing interrupted, and nothing is left behind."""
    whole = simulate(replace(base, out=tmp_path / "whole")).rows
    assert {row.round for row in whole} == {-1, 1, 2}
    options = replace(base, out=tmp_path / "cut")
    first, again = _Stop(1), _Stop(99)
    with pytest.raises(Cancelled):
        simulate(options, first)
    assert list(options.out.glob("unfinished/*/random-0/round-2.safetensors"))
    rows = simulate(options, again).rows
    assert untimed(rows) == untimed(whole)
    assert len([message for message in first.told if "round 1" in message]) == 2
    (left,) = again.told
    assert "round 2 of 2: retraining the backbone, step 2" in left
    assert sorted(path.name for path in options.out.iterdir()) == [
        *("curve.csv", "curve.png", "options.json")
    ]


def test_what_other_options_left_unfinished_is_deleted(
    base: SimulationOptions, tmp_path: Path
) -> None:
    other = tmp_path / "unfinished" / "other" / "random-0"
    other.mkdir(parents=True)
    simulate(replace(base, depth="head", rounds=0, out=tmp_path))
    assert not (tmp_path / "unfinished").exists()
