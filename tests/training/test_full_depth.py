"""Retraining a backbone helps where it can, goes on exactly, and never makes anything worse."""

import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from domain.config import FullDepthSettings, TrainingSettings
from domain.descriptors import Descriptor, Pooling
from domain.errors import Cancelled, InputError, JobError
from domain.jobs import step_in
from tests.pictures import KINDS, texture
from training import network, network_training
from training.backbones import Backbone, backbone_sha256, build_backbone
from training.full_depth import Further, Retrained, retrain_backbone
from training.judges import Judges
from training.loss_objectives import loss_objective
from training.losses.relevance import LossValue
from training.network import EmbeddingNetwork
from training.pixels import ResidentPixels
from training.preprocessing import load_pixels, normalised
from training.trainer import KnownPairs, checked_pairs
from training.warmup import measure_statistics
from training.weights import load_weights

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
IMAGES = 80
FULL = FullDepthSettings(
    backbone_learning_rate=3e-4,
    fewest_steps=24,
    most_steps=24,
    batch_anchors=8,
    batch_others=4,
    evaluate_every=4,
    patience=100,
)
REAL = TrainingSettings(
    fewest_steps=80,
    full=FullDepthSettings(
        head_learning_rate=1e-3,
        fewest_steps=16,
        most_steps=16,
        batch_anchors=10,
        batch_others=6,
        evaluate_every=4,
        smallest_area=0.7,
        blurred=0.0,
    ),
)
KINDS_OF_REAL = (
    *("buildings", "denseresidential", "intersection"),
    *("mediumresidential", "mobilehomepark", "sparseresidential"),
    *("storagetanks", "tenniscourt"),
)
SETTINGS = TrainingSettings(
    components=0, hidden=32, out=16, fewest_steps=30, most_steps=30, full=FULL
)
FEW = SETTINGS.model_copy(
    update={"full": FULL.model_copy(update={"fewest_steps": 6, "most_steps": 6})}
)


@dataclass(frozen=True)
class Archive:
    pixels: np.ndarray
    features: np.ndarray
    known: KnownPairs
    backbone: Backbone


@pytest.fixture(scope="module")
def archive() -> Archive:
    """Textures of four kinds under a network that never learnt anything."""
    rng = np.random.default_rng(0)
    labels = np.arange(IMAGES) % len(KINDS)
    pixels = np.stack([texture(KINDS[label], rng, 32) for label in labels])
    backbone = build_backbone("mobilenet_v2")
    measure_statistics(backbone, pixels)
    return _archive(backbone, pixels, labels, pairs=700)


def _archive(backbone: Backbone, pixels: np.ndarray, labels: np.ndarray, *, pairs: int) -> Archive:
    """What is known of random pairs of the images."""
    rng = np.random.default_rng(0)
    with torch.inference_mode():
        blocks = [
            backbone(normalised(torch.from_numpy(each))) for each in np.array_split(pixels, 5)
        ]
    rows = rng.integers(len(pixels), size=(2, pairs)).T
    rows = rows[rows[:, 0] != rows[:, 1]]
    similar = labels[rows[:, 0]] == labels[rows[:, 1]]
    known = checked_pairs(rows, similar, np.ones(len(rows)), images=len(pixels))
    return Archive(pixels, torch.cat(blocks).numpy(), known, backbone)


def _retrained(
    archive: Archive, settings: TrainingSettings = FEW, *, seed: int = 0, **options: object
) -> Retrained:
    return retrain_backbone(
        copy.deepcopy(archive.backbone),
        ResidentPixels(torch.from_numpy(archive.pixels)),
        archive.features,
        archive.known,
        settings,
        seed=seed,
        device=CPU,
        **options,  # type: ignore[arg-type]
    )


class _Stop:
    """A progress that asks for an end at a step."""

    def __init__(self, step: int) -> None:
        self._wanted = f"step {step} of"

    def __call__(self, done: float, message: str) -> None:
        if self._wanted in message and "backbone" in message:
            raise Cancelled("Stopped.")


@pytest.mark.real_data
def test_a_retrained_backbone_tells_held_out_pairs_apart_better(
    ucmerced: Path, mobilenet_weights: Path
) -> None:
    """MobileNetV2 with ImageNet's weights on eight kinds of UC Merced, at 64 px."""
    folders = [ucmerced / kind for kind in KINDS_OF_REAL]
    files = [file for folder in folders for file in sorted(folder.glob("*"))[:40]]
    pixels = np.stack([load_pixels(file, 64) for file in files])
    backbone = build_backbone("mobilenet_v2")
    load_weights(backbone, mobilenet_weights)
    labels = np.repeat(np.arange(len(folders)), 40)
    found = _retrained(_archive(backbone, pixels, labels, pairs=2000), REAL)
    assert found.is_better
    assert found.start is not None
    assert found.best is not None
    assert found.best > found.start + 0.01
    assert found.best == max(line["selection_auc"] for line in found.history)


def test_the_power_of_a_pooling_is_learnt_and_kept_with_the_best_moment(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.5, 0.7, 0.6])
    seen: list[float] = []

    def score(_: Judges, network: EmbeddingNetwork) -> float:
        seen.append(network.backbone.weights()["pool.power"].item())
        return next(scores)

    monkeypatch.setattr(Judges, "auc", score)
    backbone = build_backbone("mobilenet_v2", descriptor=Descriptor(pooling=Pooling.GEM))
    backbone.network.load_state_dict(archive.backbone.network.state_dict())
    full = FEW.full.model_copy(update={"evaluate_every": 3})
    given = replace(archive, backbone=backbone)
    found = _retrained(given, FEW.model_copy(update={"full": full}))
    first, best, last = seen
    assert first == 3
    assert len({first, best, last}) == 3
    assert found.backbone.weights()["pool.power"].item() == best


def test_where_no_step_is_better_the_backbone_stays_as_it_was(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.9, 0.8, 0.9])
    monkeypatch.setattr(Judges, "auc", lambda *_: next(scores))
    full = FEW.full.model_copy(update={"evaluate_every": 3})
    found = _retrained(archive, FEW.model_copy(update={"full": full}))
    assert not found.is_better
    assert "stays as it is" in found.note
    assert [line["selection_auc"] for line in found.history] == [0.9, 0.8, 0.9]
    assert backbone_sha256(found.backbone) == backbone_sha256(archive.backbone)


def test_the_best_moment_is_what_stays(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    scores = iter([0.5, 0.7, 0.6])

    def score(_: Judges, network: EmbeddingNetwork) -> float:
        seen.append(backbone_sha256(network.backbone))
        return next(scores)

    monkeypatch.setattr(Judges, "auc", score)
    full = FEW.full.model_copy(update={"evaluate_every": 3})
    found = _retrained(archive, FEW.model_copy(update={"full": full}))
    assert found.is_better
    assert (found.start, found.best) == (0.5, 0.7)
    assert backbone_sha256(found.backbone) == seen[1]
    assert len(set(seen)) == 3


def test_patience_ends_a_training_that_gets_no_better(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Judges, "auc", lambda *_: 0.5)
    full = FEW.full.model_copy(update={"evaluate_every": 1, "patience": 2})
    found = _retrained(archive, FEW.model_copy(update={"full": full}))
    assert found.history[-1]["step"] == 3


@pytest.mark.parametrize("stopped_at", [2, 4])
def test_an_interrupted_training_goes_on_exactly(
    archive: Archive, stopped_at: int, tmp_path: Path
) -> None:
    settings = FEW.model_copy(update={"full": FEW.full.model_copy(update={"evaluate_every": 3})})
    whole = _retrained(archive, settings)
    state = tmp_path / "state.safetensors"
    with pytest.raises(Cancelled):
        _retrained(archive, settings, state=state, progress=_Stop(stopped_at))
    told: list[str] = []
    resumed = _retrained(
        archive, settings, state=state, progress=lambda _, message: told.append(message)
    )
    steps = [message for message in told if "backbone" in message]
    assert f"step {stopped_at + 1} of" in steps[0]
    losses = [line["loss"] for line in whole.history if "loss" in line]
    last = step_in(steps[-1])
    assert last is not None
    assert last.loss in [pytest.approx(loss, abs=1e-4) for loss in losses]
    assert backbone_sha256(resumed.backbone) == backbone_sha256(whole.backbone)
    assert resumed.history == whole.history


def test_a_finished_training_is_found_finished(archive: Archive, tmp_path: Path) -> None:
    state = tmp_path / "state.safetensors"
    first = _retrained(archive, state=state)
    again = _retrained(archive, state=state, progress=_Stop(1))
    assert backbone_sha256(again.backbone) == backbone_sha256(first.backbone)


def test_a_kept_training_on_other_answers_is_not_gone_on_with(
    archive: Archive, tmp_path: Path
) -> None:
    state = tmp_path / "state.safetensors"
    with pytest.raises(Cancelled):
        _retrained(archive, state=state, progress=_Stop(2))
    fewer = replace(archive, known=archive.known.only(np.arange(len(archive.known)) > 20))
    with pytest.raises(Cancelled):  # at its own first step
        _retrained(fewer, state=state, progress=_Stop(1))


def test_a_damaged_state_counts_as_none(archive: Archive, tmp_path: Path) -> None:
    state = tmp_path / "state.safetensors"
    with pytest.raises(Cancelled):
        _retrained(archive, state=state, progress=_Stop(2))
    state.write_bytes(state.read_bytes()[:5000])
    with pytest.raises(Cancelled):
        _retrained(archive, state=state, progress=_Stop(1))


def test_the_state_is_kept_while_it_lasts(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill -9 calls nothing: what was kept before must be there."""
    monkeypatch.setattr(network_training, "KEEP_EVERY_S", 0.0)
    state = tmp_path / "state.safetensors"
    seen: list[bool] = []
    _retrained(archive, state=state, progress=lambda *_: seen.append(state.exists()))
    assert seen[-1]


def _buffers(backbone: Backbone) -> list[torch.Tensor]:
    norms = [each for each in backbone.modules() if isinstance(each, nn.BatchNorm2d)]
    return [norm.running_mean for norm in norms if norm.running_mean is not None]


@pytest.mark.parametrize(("batch_norm", "stay"), [("frozen", True), ("live", False)])
def test_batch_statistics_stay_or_follow_as_set(
    archive: Archive, batch_norm: str, stay: bool
) -> None:
    network = EmbeddingNetwork(copy.deepcopy(archive.backbone), nn.Identity())  # type: ignore[arg-type]
    network.learn(batch_norm=batch_norm)
    network(normalised(torch.from_numpy(archive.pixels[:8])))
    same = [
        torch.equal(a, b)
        for a, b in zip(_buffers(network.backbone), _buffers(archive.backbone), strict=True)
    ]
    assert all(same) is stay


def test_every_image_of_a_batch_goes_through_the_network_once(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, shown = [], []
    load, forward = network_training.NetworkTraining._load, EmbeddingNetwork.forward

    def remember(self, step):
        batch, pixels = load(self, step)
        drawn.append(batch)
        return batch, pixels

    def count(self, images):
        shown.extend([len(images)] * self.training)
        return forward(self, images)

    monkeypatch.setattr(network_training.NetworkTraining, "_load", remember)
    monkeypatch.setattr(EmbeddingNetwork, "forward", count)
    _retrained(archive)
    assert shown == [len(batch.rows) for batch in drawn]
    assert all(len(np.unique(batch.rows)) == len(batch.rows) for batch in drawn)
    known = [int((~np.isnan(batch.relevance)).sum()) // 2 for batch in drawn]
    assert min(known) > max(shown) / 2  # many relations for each image


def test_a_seed_repeats_and_another_differs(archive: Archive) -> None:
    full = FEW.full.model_copy(update={"fewest_steps": 2, "most_steps": 2})
    short = FEW.model_copy(update={"full": full})
    first, again, other = (_retrained(archive, short, seed=seed) for seed in (0, 0, 1))
    assert first.history == again.history
    assert first.history != other.history


def test_half_precision_works_on_a_cpu(archive: Archive) -> None:
    full = FEW.full.model_copy(update={"half": "yes", "most_steps": 2, "fewest_steps": 2})
    found = _retrained(archive, FEW.model_copy(update={"full": full}))
    assert all(np.isfinite(line["selection_auc"]) for line in found.history)
    assert next(iter(found.backbone.parameters())).dtype is torch.float32


def test_too_few_answers_leave_the_backbone_as_it_is(archive: Archive) -> None:
    few = replace(archive, known=archive.known.only(np.arange(len(archive.known)) < 12))
    found = _retrained(few)
    assert not found.is_better
    assert "Too few answers" in found.note


def test_a_loss_that_is_no_number_is_told(archive: Archive) -> None:
    class Broken:
        wants_turned = False

        def __call__(self, embeddings, batch, rng):
            return LossValue(embeddings.sum() * float("nan"), 1)

        def parameters(self):
            return []

    with pytest.raises(JobError, match="loss became nan at step"):
        _retrained(archive, further=Further(lambda *_: Broken()))


@pytest.mark.parametrize("chunk_images", [7, 1000])
def test_chunks_give_the_same_training(archive: Archive, chunk_images: int) -> None:
    """A chunk's gradient adds up to the batch's, but for rounding."""
    full = FEW.full.model_copy(update={"fewest_steps": 1, "most_steps": 1})
    whole = _retrained(archive, FEW.model_copy(update={"full": full}))
    full = full.model_copy(update={"chunk_images": chunk_images})
    parts = _retrained(archive, FEW.model_copy(update={"full": full}))
    assert parts.history[-1]["loss"] == pytest.approx(whole.history[-1]["loss"], abs=1e-4)
    assert parts.history[-1]["selection_auc"] == pytest.approx(
        whole.history[-1]["selection_auc"], abs=0.02
    )


def test_any_loss_on_relevance_can_be_what_is_learnt(archive: Archive, tmp_path: Path) -> None:
    osap = Further(loss_objective("osap", {}, seed=0, device=CPU))
    state = tmp_path / "state.safetensors"
    with pytest.raises(Cancelled):
        _retrained(archive, further=osap, state=state, progress=_Stop(2))
    with pytest.raises(Cancelled):  # goes on after step 2, not at 1
        _retrained(archive, further=osap, state=state, progress=_Stop(3))
    other = Further(loss_objective("triplet", {}, seed=0, device=CPU))
    with pytest.raises(Cancelled):
        _retrained(archive, further=other, state=state, progress=_Stop(1))


def test_pixels_and_features_must_be_of_the_same_images(archive: Archive) -> None:
    with pytest.raises(InputError, match="79 images have features of 80"):
        _retrained(replace(archive, pixels=archive.pixels[1:]))


def test_a_batch_in_parts_is_the_same_batch(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part's gradient adds up to the batch's, but for rounding; live statistics are of it all."""
    full = FEW.full.model_copy(update={"fewest_steps": 1, "most_steps": 1})
    live = full.model_copy(update={"batch_norm": "live"})
    found = []
    for pixels in (32 * 32 * 3, 1 << 30):
        monkeypatch.setattr(network, "CACHED_PIXELS", pixels)
        each = [_retrained(archive, FEW.model_copy(update={"full": how})) for how in (full, live)]
        found.append([one.history[-1] for one in each])
    (parts, live_parts), (whole, live_whole) = found
    assert parts["loss"] == pytest.approx(whole["loss"], abs=1e-4)
    assert parts["selection_auc"] == pytest.approx(whole["selection_auc"], abs=0.02)
    assert live_parts == live_whole
