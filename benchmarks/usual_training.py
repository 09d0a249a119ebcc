"""The usual way to learn from pairs, beside which training at full depth is measured."""

import copy
import time
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from benchmarks.training_archive import Files, implied_pairs
from domain.arrays import FloatArray, IntArray
from domain.config import TrainingSettings
from training.backbones import Backbone
from training.crops import ViewSettings, random_views
from training.features import ImageFile, features_for
from training.fitting import Fitting, one_thread
from training.full_depth import LEAST_SCALE
from training.judges import Judges
from training.losses.contrastive import pair_contrastive_loss
from training.network import EmbeddingNetwork, adam
from training.objectives import PairObjective
from training.pixels import Pixels, open_pixels
from training.trainer import KnownPairs, checked_pairs, held_out

SIAMESE_PAIRS = 32  # a batch: 64 images, of which hardly one is there twice


@dataclass(frozen=True)
class Prepared:
    """What both ways of training learn from."""

    backbone: Backbone
    pixels: Pixels
    features: FloatArray
    known: KnownPairs
    settings: TrainingSettings
    device: torch.device


@dataclass
class Turns:
    """How long each step took, without what came between.

    A GPU works on after it was asked: its time counts until it has done what it was asked.
    """

    device: torch.device

    steps: list[float] = field(default_factory=list)
    cpu_steps: list[float] = field(default_factory=list)
    began: float = 0.0
    cpu_began: float = 0.0

    @property
    def seconds(self) -> float:
        return sum(self.steps)

    @property
    def cpu_seconds(self) -> float:
        return sum(self.cpu_steps)

    def start(self) -> None:
        wait_for(self.device)
        self.began, self.cpu_began = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        wait_for(self.device)
        self.steps.append(time.perf_counter() - self.began)
        self.cpu_steps.append(time.process_time() - self.cpu_began)


class Siamese:
    """The usual loader: batches of pairs of both kinds alike, both images of each embedded.

    Attributes:
        steps: seconds of each step.
        cpu_seconds: processor time of all steps.
    """

    def __init__(self, prepared: Prepared, *, seed: int = 0) -> None:
        settings, known = prepared.settings, prepared.known
        selection = held_out(known, seed)
        if selection is None:
            raise SystemExit("Too few answers to hold any out; take more images.")
        self._known = known.only(~selection.held_out)
        fitting = Fitting(
            prepared.features, settings, seed, prepared.device, least_scale=LEAST_SCALE
        )
        batches = self._known.batches(fitting.neighbours)
        with one_thread():
            head = fitting.fit(batches, PairObjective(settings), settings.fewest_steps, _unheard)
        self._pixels, self._settings = prepared.pixels, settings
        half = settings.full.in_bfloat16(prepared.device.type)
        network = EmbeddingNetwork(copy.deepcopy(prepared.backbone), head.module, half=half)
        self._network, self._device = network.to(prepared.device), prepared.device
        self._optimiser = adam(self._network, [], settings.full)
        self._judges = Judges(selection, prepared.pixels, prepared.device, seed)
        self._rng, self._generator = (
            np.random.default_rng(seed),
            torch.Generator().manual_seed(seed),
        )
        self.steps: list[float] = []
        self.cpu_seconds = 0.0

    @property
    def seconds(self) -> float:
        return sum(self.steps)

    def step(self) -> None:
        wait_for(self._device)
        began, cpu_began = time.perf_counter(), time.process_time()
        similar = self._known.similar
        each = SIAMESE_PAIRS // 2
        drawn = [self._rng.choice(np.flatnonzero(similar == kind), each) for kind in (True, False)]
        rows = self._known.rows[np.concatenate(drawn)]
        kinds = torch.arange(SIAMESE_PAIRS, device=self._device) < each
        self._network.learn(batch_norm="frozen")
        first, second = (self._embedded(rows[:, side]) for side in (0, 1))
        cosines = (first * second).sum(1)
        loss = pair_contrastive_loss(cosines, kinds, margin=self._settings.margin)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        wait_for(self._device)
        self.steps.append(time.perf_counter() - began)
        self.cpu_seconds += time.process_time() - cpu_began

    def auc(self) -> float:
        return self._judges.auc(self._network)

    def _embedded(self, rows: IntArray) -> Tensor:
        size_px = self._pixels.size_px
        views = ViewSettings.at_full_depth(self._settings.full, size_px=size_px)
        pixels = self._pixels.of(rows).to(self._device)
        embedded: Tensor = self._network(random_views(pixels, views, self._generator))
        return embedded


def prepared_of(
    backbone: Backbone,
    files: Files,
    size_px: int,
    settings: TrainingSettings,
    *,
    answers: int,
    device: torch.device,
) -> Prepared:
    """Pixels and features of an archive, and all that so many answers imply of its images."""
    features = features_of(backbone, files.files, size_px, device)
    rows, similar = implied_pairs(features, files.kinds, answers)
    known = checked_pairs(rows, similar, np.ones(len(rows)), images=len(files.files))
    pixels = open_pixels(files.files, size_px=size_px, device=device, resident_mb=2048)
    return Prepared(backbone, pixels, features, known, settings, device)


def features_of(
    backbone: Backbone, files: list[ImageFile], size_px: int, device: torch.device
) -> FloatArray:
    return features_for(files, backbone, cache=None, device=device, size_px=size_px)


def wait_for(device: torch.device) -> None:
    """Until it has done what it was asked: a GPU answers before it has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _unheard(done: float, message: str) -> None:
    """The head alone learns."""
