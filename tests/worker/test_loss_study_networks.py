"""Losses compared at full depth: whole networks from one start, and figures of other images."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from domain.config import FullDepthSettings, TrainingSettings
from domain.descriptors import Descriptor, Pooling
from domain.errors import InputError
from domain.losses import NetworkVariant
from tests.worker.simulations import folder_of_classes
from training.full_depth import Retrained
from worker import loss_study_networks
from worker.loss_study import compare_on_answers, compare_on_classes
from worker.loss_study_options import StudyOptions, Training, trainings_of
from worker.loss_study_table import CHECKPOINT, FROZEN, Row
from worker.simulation_options import SimulationOptions

HEAD = TrainingSettings(hidden=16, out=8, components=0, fewest_steps=5, most_steps=5)
FULL = FullDepthSettings(
    fewest_steps=4,
    most_steps=4,
    evaluate_every=2,
    batch_anchors=8,
    batch_others=4,
    backbone_learning_rate=1e-3,
)
PARTS = (Training("osap"), Training("pedc", {"rotation_weight": 0.0}))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of_classes(tmp_path_factory.mktemp("archive"), images=60, strength=6)


@pytest.fixture
def simulation(images: Path, tmp_path: Path) -> SimulationOptions:
    return SimulationOptions(
        images=images,
        out=tmp_path,
        strategies=("random",),
        rounds=1,
        bits_per_round=400,
        propagation="closure",
        initial="none",
        depth="head",
        backbone="s_cnn",
        image_size_px=32,
        cache=tmp_path / "cache",
        device="cpu",
        training=HEAD,
    )


def _options(out: Path, **changes: Any) -> StudyOptions:
    options = StudyOptions(out=out, trainings=PARTS, device="cpu", full=FULL)
    return replace(options, **changes)


class Calls:
    """What networks were retrained for, and where each started."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.losses, self.starts = list[str](), list[bytes]()
        self.parameters, self.turned = list[Mapping[str, Any]](), set[bool]()
        self.descriptors = list[Descriptor]()
        self._real = loss_study_networks.retrain_backbone
        monkeypatch.setattr(loss_study_networks, "retrain_backbone", self)

    def __call__(
        self, backbone: Any, pixels: Any, features: Any, known: Any, settings: Any, **rest: Any
    ) -> Retrained:
        self.losses.append(settings.full.loss)
        self.parameters.append(settings.full.parameters)
        self.starts.append(features.tobytes())
        self.descriptors.append(backbone.descriptor)
        self.turned.add(rest["turned"])
        return self._real(backbone, pixels, features, known, settings, **rest)


def _figures(rows: list[Row]) -> list[tuple[str, Mapping[str, float]]]:
    return [(row.training, row.metrics) for row in rows]


def test_each_network_starts_from_the_contrastive_one(
    simulation: SimulationOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(monkeypatch)
    rows = compare_on_classes(_options(tmp_path), simulation)
    assert [row.training for row in rows] == [FROZEN, CHECKPOINT, *(each.name for each in PARTS)]
    assert calls.losses == ["contrastive", "osap", "pedc"]
    assert calls.parameters[2] == {"rotation_weight": 0.0}
    given, first, second = calls.starts
    assert first == second
    assert first != given
    assert calls.turned == {False}
    assert {"map", "p_at_5", "map of class0", "turned_cosine"} <= rows[0].metrics.keys()
    assert {"auc_before", "auc_after", "embedded_p_at_5"} <= rows[-1].metrics.keys()
    assert rows[-1].metrics["embedded_map"] != rows[-1].metrics["map"]
    assert rows[1].metrics["map"] != rows[0].metrics["map"]


def test_from_the_given_network_each_loss_learns_alone_and_nothing_is_done_twice(
    simulation: SimulationOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, options = Calls(monkeypatch), _options(tmp_path, alone=True)
    descriptor = Descriptor(pooling=Pooling.GEM, scales=(1.0, 2.0))
    simulation = replace(simulation, views="multi", descriptor=descriptor)
    first = compare_on_answers(replace(options, trainings=PARTS[:1]), simulation)
    both = compare_on_answers(options, simulation)
    assert calls.losses == ["contrastive", "osap", "pedc"]
    assert len(set(calls.starts)) == 1
    assert calls.turned == {True}
    assert calls.descriptors == [descriptor.at_scale_one] * 3
    assert _figures(both)[:3] == _figures(first)


def test_losses_of_whole_networks_have_names_and_parameters() -> None:
    (found,) = trainings_of(("pedc",), settings=("alpha=4",), full=True)
    assert found == Training("pedc", {"alpha": 4.0})
    assert len(trainings_of((), sweeps=("pedc-parts",), full=True)) == 4
    with pytest.raises(InputError, match="no loss pedc"):
        trainings_of((), sweeps=("pedc-parts",))


class Untrained:
    """In place of retraining: what it is asked for; the network stays as it is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings, self.widths = list[TrainingSettings](), list[int]()
        monkeypatch.setattr(loss_study_networks, "retrain_backbone", self)

    def __call__(
        self, backbone: Any, pixels: Any, features: Any, known: Any, settings: Any, **rest: Any
    ) -> Retrained:
        self.settings.append(settings)
        self.widths.append(features.shape[1])
        return Retrained(backbone, None, [{"step": 0.0, "selection_auc": 0.5}])


def test_networks_differ_in_what_a_sweep_varies(
    simulation: SimulationOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Untrained(monkeypatch)
    varied = (
        Training("osap", network=NetworkVariant(out=4)),
        Training("osap", network=NetworkVariant(buffer=3)),
    )
    rows = compare_on_classes(_options(tmp_path, trainings=varied, alone=True), simulation)
    _, short, buffered = asked.settings
    assert (short.out, buffered.out) == (4, HEAD.out)
    assert short.full == FULL.model_copy(update={"loss": "osap"})
    assert (buffered.full.batch_anchors, buffered.full.batch_others) == (24, 12)
    assert buffered.full.chunk_images == 3 * 8 + 2 * 4
    assert [row.training for row in rows[2:]] == ["osap out=4", "osap buffer=3"]


def test_networks_that_fuse_other_maps_each_start_from_the_given_weights(
    simulation: SimulationOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Untrained(monkeypatch)
    fused = Training("osap", network=NetworkVariant(levels=(2, 3)))
    options = _options(tmp_path, trainings=(fused, Training("osap")))
    networks = replace(simulation, backbone="mobilenet_v2")
    with pytest.raises(InputError, match="no checkpoint in common"):
        compare_on_classes(options, networks)
    compare_on_classes(replace(options, alone=True), networks)
    assert asked.widths == [1280, 2 * 256, 1280]


def test_heads_have_no_sweeps_of_networks() -> None:
    with pytest.raises(InputError, match="osap-multistage is of whole networks"):
        trainings_of((), sweeps=("osap-multistage",))
    found = trainings_of((), sweeps=("osap-multistage",), full=True)
    assert [each.name for each in found] == ["osap", "osap buffer=8"]
    both = trainings_of(("contrastive", "osap"), sweeps=("osap-multistage",), full=True)
    assert [each.name for each in both] == ["contrastive", "osap", "osap buffer=8"]


def test_the_contrastive_loss_has_no_parameters_at_full_depth(
    simulation: SimulationOptions, tmp_path: Path
) -> None:
    wanted = _options(tmp_path, trainings=(Training("contrastive", {"margin": 0.3}),))
    with pytest.raises(InputError, match="no parameters here"):
        compare_on_classes(wanted, simulation)


def test_too_few_answers_to_judge_a_network_by_are_an_error(
    simulation: SimulationOptions, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"Too few answers|known pair"):
        compare_on_answers(_options(tmp_path), replace(simulation, bits_per_round=3))
