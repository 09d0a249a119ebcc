"""The loss that settings name is what a backbone is retrained with."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from domain.config import FullDepthSettings, TrainingSettings
from domain.errors import Cancelled, InputError
from domain.jobs import silent
from training import full_depth
from training.backbones import Backbone, backbone_sha256, build_backbone
from training.fitting import Fitting
from training.full_depth import Further, Retrained, retrain_backbone
from training.head import Projection, Standardise
from training.judges import Judges
from training.loss_objectives import NewObjective, settings_objective
from training.losses.osap import OSAP
from training.losses.relevance import LossValue
from training.network import EmbeddingNetwork, adam
from training.objectives import Objective, PairObjective, RelevanceObjective
from training.pixels import ResidentPixels
from training.preprocessing import normalised
from training.proxy_objective import ProxyObjective
from training.samplers import Batch
from training.trainer import KnownPairs

CPU = torch.device("cpu")
IMAGES = 60
LABELS = np.arange(IMAGES) % 3


def settings(loss: str, **full: object) -> TrainingSettings:
    quick = {"fewest_steps": 4, "most_steps": 4, "batch_anchors": 6, "batch_others": 2}
    return TrainingSettings(
        components=0,
        hidden=16,
        out=8,
        fewest_steps=5,
        most_steps=5,
        full=FullDepthSettings(loss=loss, evaluate_every=2, **quick, **full),  # type: ignore[arg-type]
    )


def known_pairs() -> KnownPairs:
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, IMAGES, (500, 2))
    pairs = np.unique(np.sort(drawn[drawn[:, 0] != drawn[:, 1]], axis=1), axis=0)
    similar = LABELS[pairs[:, 0]] == LABELS[pairs[:, 1]]
    return KnownPairs(pairs, similar, np.ones(len(pairs)))


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    """Three colours under noise, at 32 px."""
    rng = np.random.default_rng(1)
    colour = np.zeros((IMAGES, 1, 1, 3))
    colour[np.arange(IMAGES), 0, 0, LABELS] = 60
    noisy = 90 + colour + rng.normal(0, 30, (IMAGES, 32, 32, 3))
    return torch.from_numpy(np.clip(noisy, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def start() -> Backbone:
    return build_backbone("s_cnn")


def retrained(
    pixels: Tensor, start: Backbone, wanted: TrainingSettings, **options: object
) -> Retrained:
    with torch.inference_mode():
        features = start(normalised(pixels)).numpy()
    return retrain_backbone(
        copy.deepcopy(start),
        ResidentPixels(pixels),
        features,
        known_pairs(),
        wanted,
        seed=0,
        device=CPU,
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("loss", "kind"),
    [("contrastive", PairObjective), ("osap", RelevanceObjective), ("pedc", ProxyObjective)],
)
def test_the_named_loss_is_the_objective(loss: str, kind: type) -> None:
    embeddings = np.random.default_rng(0).normal(size=(IMAGES, 8))
    new = settings_objective(settings(loss), seed=0, device=CPU)
    found = new(known_pairs(), embeddings, None)
    assert type(found) is kind
    if isinstance(found, RelevanceObjective):
        assert isinstance(found.loss, OSAP)
    if isinstance(found, ProxyObjective):
        assert len(found.proxies) == 3


def test_an_unknown_loss_is_no_setting() -> None:
    with pytest.raises(ValueError, match=r"no loss tripplet. Take one of contrastive, .*pedc"):
        FullDepthSettings(loss="tripplet")


def test_the_losses_parameters_can_be_set() -> None:
    embeddings = np.random.default_rng(0).normal(size=(IMAGES, 8))

    def made(loss: str, **parameters: float) -> Objective:
        wanted = settings(loss, parameters=parameters)
        return settings_objective(wanted, seed=0, device=CPU)(known_pairs(), embeddings, None)

    assert made("osap", omega=0.6) == RelevanceObjective(OSAP(omega=0.6))
    batch = Batch(np.arange(4), *(np.zeros((4, 4)) for _ in range(5)))
    rows = torch.nn.functional.normalize(torch.randn(8, 8, generator=torch.manual_seed(0)))
    values = [
        made("pedc", **parameters)(rows, batch, np.random.default_rng(0)).value.item()
        for parameters in ({}, {"rotation_weight": 0.0}, {"class_weight": 0.0})
    ]
    assert len(set(values)) == 3
    assert made("pedc").wants_turned
    assert not made("pedc", rotation_weight=0.0).wants_turned  # at half the time


@pytest.mark.parametrize(
    ("loss", "parameters", "words"),
    [
        ("osap", {"colour": 1.0}, "has no colour"),
        ("pedc", {"class_weight": -1.0}, "at least 0"),
        ("contrastive", {"margin": 0.3}, "training.margin"),
    ],
)
def test_parameters_that_the_loss_has_not_are_no_settings(
    loss: str, parameters: dict[str, float], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        FullDepthSettings(loss=loss, parameters=parameters)


def test_what_fuses_maps_learns_as_fast_as_the_head() -> None:
    backbone = build_backbone("resnet18_pbffn")
    network = EmbeddingNetwork(backbone, Projection(Standardise(768), 16, 8))
    optimiser = adam(network, [], FullDepthSettings())
    slow, fast = ({id(each) for each in group["params"]} for group in optimiser.param_groups)
    assert slow == {id(each) for each in backbone.trunk.parameters()}
    assert slow | fast == {id(each) for each in network.parameters()}
    assert optimiser.param_groups[0]["lr"] < optimiser.param_groups[1]["lr"]


def test_proxies_need_groups_that_differ() -> None:
    known = known_pairs()
    with pytest.raises(InputError, match="none known to be different"):
        settings_objective(settings("pedc"), seed=0, device=CPU)(
            known.only(known.similar), np.ones((IMAGES, 8)), None
        )


@pytest.mark.parametrize("loss", ["das_rhdis", "pedc"])
def test_a_backbone_learns_with_it(pixels: Tensor, start: Backbone, loss: str) -> None:
    found = retrained(pixels, start, settings(loss))
    assert all(np.isfinite(line["loss"]) for line in found.history[1:])
    assert found.best is not None
    assert found.start is not None
    assert found.best >= found.start


def test_a_training_with_proxies_goes_on_exactly(
    pixels: Tensor, start: Backbone, tmp_path: Path
) -> None:
    """The proxies are learnt beside the network: they are kept with it."""
    wanted = settings("pedc")
    whole = retrained(pixels, start, wanted)

    def stop(done: float, message: str) -> None:
        if "backbone, step 3 of" in message:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        retrained(pixels, start, wanted, state=tmp_path / "state", progress=stop)
    rest = retrained(pixels, start, wanted, state=tmp_path / "state")
    assert rest.history == whole.history
    assert backbone_sha256(rest.backbone) == backbone_sha256(whole.backbone)


def test_too_few_answers_for_proxies_leave_the_backbone_as_it_is(
    pixels: Tensor, start: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_groups(*_: object, **__: object) -> NewObjective:
        def refuses(*_: object) -> Objective:
            raise InputError("1 groups of images, none known to be different from another.", "")

        return refuses

    monkeypatch.setattr(full_depth, "settings_objective", no_groups)
    found = retrained(pixels, start, settings("pedc"))
    assert not found.is_better
    assert found.note.startswith("1 groups of images")


class Seen:
    """An objective that remembers how many embeddings it was given for how many images.

    It speaks of two of them.
    """

    wants_turned = True

    def __init__(self) -> None:
        self.times: set[float] = set()
        self.images: list[int] = []

    def __call__(self, embeddings: Tensor, batch: Batch, rng: np.random.Generator) -> LossValue:
        self.times.add(len(embeddings) / len(batch.rows))
        self.images.append(len(batch.rows))
        return LossValue(embeddings.square().mean(), 2)

    def parameters(self) -> list[nn.Parameter]:
        return []


@pytest.mark.parametrize(("turned", "times"), [(True, {2.0}), (False, {1.0})])
@pytest.mark.parametrize("chunk", [0, 5])
def test_images_are_seen_turned_where_up_has_no_meaning(
    pixels: Tensor, start: Backbone, turned: bool, times: set[float], chunk: int
) -> None:
    seen = Seen()
    wanted = settings("contrastive", chunk_images=chunk)
    found = retrained(pixels, start, wanted, further=Further(lambda *_: seen), turned=turned)
    assert seen.times == times
    shares = [line["valid_anchors"] for line in found.history[1:]]
    looked_at = [int(line["step"]) - 1 for line in found.history[1:]]
    assert shares == [2 / seen.images[step] for step in looked_at]


class Idle(Seen):
    """An objective that speaks of no image, and yet has a gradient."""

    def __call__(self, embeddings: Tensor, batch: Batch, rng: np.random.Generator) -> LossValue:
        return LossValue((embeddings * torch.arange(embeddings.shape[1])).sum(), 0)


@pytest.mark.parametrize("chunk", [0, 5])
def test_steps_that_speak_of_no_image_are_skipped(
    pixels: Tensor, start: Backbone, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rising = iter(range(100))
    monkeypatch.setattr(Judges, "auc", lambda *_: float(next(rising)))  # the last one is the best
    wanted = settings("contrastive", chunk_images=chunk)
    found = retrained(pixels, start, wanted, further=Further(lambda *_: Idle()))
    assert found.is_better
    expected = dict(start.named_parameters())
    assert all(
        torch.equal(each, expected[name]) for name, each in found.backbone.named_parameters()
    )
    head = Fitting(np.random.default_rng(0).normal(size=(IMAGES, 8)), wanted, 0, CPU)
    pairs = known_pairs().batches(head.neighbours, None)
    learnt = [head.fit(pairs, Idle(), steps, silent).module.state_dict() for steps in (1, 4)]
    assert all(torch.equal(learnt[0][name], learnt[1][name]) for name in learnt[0])


def test_without_groups_that_differ_turned_images_alone_teach(
    pixels: Tensor, start: Backbone
) -> None:
    wanted = settings("pedc")

    def of_one_kind(known: KnownPairs, *rest: object) -> Objective:
        new = settings_objective(wanted, seed=0, device=CPU, turned=True)
        return new(known.only(known.similar), np.ones((IMAGES, 8)), None)

    found = retrained(pixels, start, wanted, further=Further(of_one_kind), turned=True)
    assert [line["valid_anchors"] for line in found.history[1:]] == [1.0, 1.0]
    assert np.isfinite(found.history[-1]["loss"])


def test_images_that_a_loss_speaks_of_are_those_with_the_partners_it_needs() -> None:
    """Rows 0 and 1 are similar, 1 and 2 are not, and nobody compared row 3."""
    taught = np.full((4, 4), np.nan, np.float32)
    taught[0, 1] = taught[1, 0] = 1
    taught[1, 2] = taught[2, 1] = 0
    known = ~np.isnan(taught)
    given = Batch(np.arange(4), taught, ~known, taught, known.astype(np.float32), known)
    rows = torch.nn.functional.normalize(torch.eye(4) + 0.1)
    counts = {
        name: settings_objective(settings(name), seed=0, device=CPU)(
            known_pairs(), np.eye(4), None
        )(rows, given, np.random.default_rng(0)).valid_anchors
        for name in ("contrastive", "triplet")
    }
    assert counts == {"contrastive": 3, "triplet": 1}
