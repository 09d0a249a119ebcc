"""Compares ways to choose triplets on an archive whose images have several labels each.

Takes an archive and a table of labels, gives how far the labels of retrieved images agree with
those of queries, for each choice of triplets and each seed, and how many triplets it took to nine
tenths of that. Heads are trained on cached frozen features, or whole networks; queries and gallery
are held out, and decide nothing.

Source: DAS-RHDIS, experiments: 60/20/20 of the images, the first 10 retrieved.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch

from archive.splits import assign_parts
from domain.arrays import BoolArray, FloatArray, IntArray
from domain.config import FullDepthSettings, Views
from domain.images import Part
from domain.jobs import Progress, named, part_of, silent
from retrieval.multilabel_metrics import MultilabelScores, evaluate_multilabel
from training.device import resolve_device
from training.head import frozen_head
from training.losses.catalogue import new_loss
from training.losses.relevance import RelevanceLoss
from training.multilabel_network import LabelledImages, train_multilabel_network
from training.multilabel_trainer import MultilabelCourse, MultilabelSettings, train_multilabel_head
from training.network import EmbeddingNetwork, embed_images
from worker.kept_table import read_table, write_table
from worker.labelled_archive import LabelledArchive, given_network, read_labelled
from worker.program import program_digest
from worker.simulation_options import SimulationOptions

CSV_NAME = "triplets.csv"
FROZEN = "frozen"
_SHARES = {Part.TRAIN: 0.6, Part.VALIDATION: 0.2, Part.TEST: 0.2}
_TRIPLETS = "das_rhdis"
_SCORES = tuple(each.name for each in fields(MultilabelScores))
_COUNTS = ("triplets", "triplets_90", "triplets_90_gain")

Embed = Callable[[IntArray], FloatArray]
"""The embeddings of images of the archive, by row."""


@dataclass(frozen=True)
class Cell:
    """One training: a choice of triplets or a loss, a seed and the length of an embedding."""

    method: str
    seed: int
    out: int

    @property
    def words(self) -> str:
        """As progress tells it."""
        return f"{self.method}, seed {self.seed}, length {self.out}"


@dataclass(frozen=True)
class TripletStudy:
    """What is compared.

    Attributes:
        archive: images, backbone, weights, views, cache, device, and `out` for the table.
        labels: file of `archive.label_sets`; its images are named by path, file name or stem.
        methods: names of losses, or choices of triplets such as `das+rhdis`.
        seeds: each redraws split, batches and first weights.
        settings: of the heads, or networks; its length of an embedding is one of `sizes`.
        sizes: lengths of an embedding.
        full: how whole networks learn, in place of heads; an image is one view then, and with
            several views of the archive it may be turned in training.
        k: how many are retrieved.
    """

    archive: SimulationOptions
    labels: Path
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: MultilabelSettings
    sizes: tuple[int, ...] = (MultilabelSettings().out,)
    full: FullDepthSettings | None = None
    k: int = 10


@dataclass(frozen=True)
class TripletRow:
    """One training.

    Attributes:
        method: as asked for, or `frozen`: the standardised features.
        out: length of the embedding.
        scores: of the queries against the gallery.
        triplets: seen in all. None where the loss chooses none; so are the next two.
        triplets_90: until the F1 reached nine tenths of its last value, as the paper counts.
        triplets_90_gain: until it had gained nine tenths of what it gained over `frozen`: good
            features alone may be beyond nine tenths of the last value. None without a gain.
    """

    method: str
    seed: int
    out: int
    scores: MultilabelScores
    triplets: int | None = None
    triplets_90: int | None = None
    triplets_90_gain: int | None = None

    def cells(self) -> dict[str, object]:
        """Column to value, as in the table."""
        named_values = asdict(self)
        scores = named_values.pop("scores")
        return {**named_values, **scores}

    @classmethod
    def parsed(cls, line: Mapping[str, str]) -> "TripletRow":
        """What `cells` gave, as text."""
        counts = {name: int(line[name]) if line[name] else None for name in _COUNTS}
        shares = {name: float(line[name]) for name in _SCORES if name != "queries"}
        scores = MultilabelScores(**shares, queries=int(line["queries"]))
        return cls(line["method"], int(line["seed"]), int(line["out"]), scores, **counts)


def compare_triplets(study: TripletStudy, progress: Progress = silent) -> list[TripletRow]:
    """The rows of `triplets.csv`, which is written anew after each training.

    Rows of an earlier comparison in the same folder are taken over where everything but methods,
    seeds and lengths is the same, the program included; so an interrupted one goes on.

    Args:
        study: see there.
        progress: told what is trained; may raise `Cancelled`, what is done by then is kept.

    Raises:
        InputError: a method is unknown, or the table does not fit the archive.
        ArchiveError, ModelError: the archive or the weights cannot be used.
    """
    for method in study.methods:
        _loss_of(method)
    data = read_labelled(study.archive, study.labels, study.full, part_of(progress, 0.0, 0.1))
    identity = {
        "data": data.digest(),
        "settings": asdict(replace(study.settings, out=0)),  # lengths are in the rows
        "full": None if study.full is None else study.full.model_dump(mode="json"),
        "views": study.archive.views,
        "k": study.k,
        "program": program_digest(__name__),
    }
    table = study.archive.out / CSV_NAME
    cells = _cells(study, data.features.shape[1])
    read = read_table(table, identity, TripletRow.parsed)
    found = {Cell(row.method, row.seed, row.out): row for row in read}
    rest, todo = part_of(progress, 0.1, 1.0), [cell for cell in cells if cell not in found]
    for cell, row in _rows(data, study, todo, rest):
        found[cell] = row
        done = [found[cell].cells() for cell in cells if cell in found]
        write_table(table, identity, list(row.cells()), (list(line.values()) for line in done))
    return [found[cell] for cell in cells]


def mean_rows(rows: Sequence[TripletRow]) -> list[TripletRow]:
    """One row a method and length, the mean of its seeds; its seed is the number of them."""
    found = []
    for method, out in dict.fromkeys((row.method, row.out) for row in rows):
        of_method = [row for row in rows if (row.method, row.out) == (method, out)]
        found.append(
            TripletRow(
                method,
                len(of_method),
                out,
                _mean_scores([row.scores for row in of_method]),
                _mean_count([row.triplets for row in of_method]),
                _mean_count([row.triplets_90 for row in of_method]),
                _mean_count([row.triplets_90_gain for row in of_method]),
            )
        )
    return found


def _mean_scores(scores: Sequence[MultilabelScores]) -> MultilabelScores:
    return MultilabelScores(
        accuracy=float(np.mean([each.accuracy for each in scores])),
        precision=float(np.mean([each.precision for each in scores])),
        recall=float(np.mean([each.recall for each in scores])),
        f1_macro=float(np.mean([each.f1_macro for each in scores])),
        f1_pairwise=float(np.mean([each.f1_pairwise for each in scores])),
        queries=sum(each.queries for each in scores),
    )


def _mean_count(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return round(sum(known) / len(known)) if known else None


def _cells(study: TripletStudy, width: int) -> list[Cell]:
    """Seed by seed the features as they are, of some width, and each training once."""
    cells = []
    for seed in study.seeds:
        cells.append(Cell(FROZEN, seed, width))
        cells += [Cell(method, seed, out) for out in study.sizes for method in study.methods]
    return list(dict.fromkeys(cells))


def _rows(
    data: LabelledArchive, study: TripletStudy, cells: Sequence[Cell], progress: Progress
) -> Iterator[tuple[Cell, TripletRow]]:
    for place, cell in enumerate(cells):
        part = part_of(progress, place / len(cells), (place + 1) / len(cells))
        yield cell, _row(data, study, cell, named(part, cell.words))


def _row(data: LabelledArchive, study: TripletStudy, cell: Cell, progress: Progress) -> TripletRow:
    parts = assign_parts(data.split_groups.tolist(), seed=cell.seed, shares=_SHARES)
    train, queries, gallery = (
        np.flatnonzero([each is part for each in parts])
        for part in (Part.TRAIN, Part.VALIDATION, Part.TEST)
    )

    def scores(embed: Embed) -> MultilabelScores:
        labels = data.labels
        return evaluate_multilabel(
            embed(queries), embed(gallery), labels[queries], labels[gallery], k=study.k
        )

    frozen = frozen_head(data.features[train])
    start = scores(lambda rows: frozen.embed(data.features[rows]))
    if cell.method == FROZEN:
        return TripletRow(cell.method, cell.seed, cell.out, start)
    task = _Task(data, study, cell, train, scores)
    if study.full is None:
        course, embed = _head(task, progress)
    else:
        course, embed = _network(task, study.full, progress)
    counted = course.triplets[-1] > 0
    return TripletRow(
        cell.method,
        cell.seed,
        cell.out,
        scores(embed),
        triplets=course.triplets[-1] if counted else None,
        triplets_90=course.triplets_until() if counted else None,
        triplets_90_gain=course.triplets_until(above=start.f1_macro) if counted else None,
    )


@dataclass(frozen=True)
class _Task:
    """What one cell of the table has to learn from, and how it is measured."""

    data: LabelledArchive
    study: TripletStudy
    cell: Cell
    train: IntArray
    scores: Callable[[Embed], MultilabelScores]

    @property
    def labels(self) -> BoolArray:
        return self.data.labels[self.train]

    @property
    def features(self) -> FloatArray:
        return self.data.features[self.train]

    @property
    def loss(self) -> RelevanceLoss:
        return _loss_of(self.cell.method)

    @property
    def settings(self) -> MultilabelSettings:
        return replace(self.study.settings, out=self.cell.out)

    @property
    def device(self) -> torch.device:
        return resolve_device(self.study.archive.device)


def _head(task: _Task, progress: Progress) -> tuple[MultilabelCourse, Embed]:
    """How a head learnt, and what it makes of images."""
    features = task.data.features
    found = train_multilabel_head(
        task.features,
        task.labels,
        task.loss,
        task.settings,
        score=lambda head: task.scores(lambda rows: head.embed(features[rows])).f1_macro,
        seed=task.cell.seed,
        device=task.device,
        progress=progress,
    )
    return found.course, lambda rows: found.head.embed(features[rows])


def _network(
    task: _Task, full: FullDepthSettings, progress: Progress
) -> tuple[MultilabelCourse, Embed]:
    """How a whole network learnt, and what it makes of images."""
    device, pixels, archive = task.device, task.data.pixels, task.study.archive

    def embed_by(network: EmbeddingNetwork) -> Embed:
        return lambda rows: embed_images(network, pixels, rows, device=device)

    found = train_multilabel_network(
        given_network(archive, task.data.bands),
        LabelledImages(pixels, task.train, task.features, task.labels),
        task.loss,
        task.settings,
        full=full,
        score=lambda network: task.scores(embed_by(network)).f1_macro,
        seed=task.cell.seed,
        device=device,
        turned=archive.views == Views.MULTI.value,
        progress=progress,
    )
    return found.course, embed_by(found.network)


def _loss_of(method: str) -> RelevanceLoss:
    anchors, plus, images = method.partition("+")
    return new_loss(_TRIPLETS, {"anchors": anchors, "images": images}) if plus else new_loss(method)
