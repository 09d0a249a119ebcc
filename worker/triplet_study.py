"""Compares ways to choose triplets on an archive whose images have several labels each.

Takes an archive and a table of labels, gives how far the labels of retrieved images agree with
those of queries, for each choice of triplets and each seed, and how many triplets it took to nine
tenths of that. Heads are trained on cached frozen features; queries and gallery are held out, and
decide nothing.

Source: DAS-RHDIS, experiments: 60/20/20 of the images, the first 10 retrieved.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath

import numpy as np

from archive.duplicates import split_groups
from archive.label_sets import LabelSets, read_label_sets
from archive.scan import scan
from archive.splits import assign_parts
from domain.arrays import BoolArray, FloatArray, IntArray
from domain.errors import InputError, shortened
from domain.images import Part, ScannedImage
from domain.jobs import Progress, named, part_of, silent
from retrieval.multilabel_metrics import MultilabelScores, evaluate_multilabel
from training.device import resolve_device
from training.head import TrainedHead, frozen_head
from training.losses.catalogue import new_loss
from training.losses.relevance import RelevanceLoss
from training.multilabel_trainer import MultilabelSettings, train_multilabel_head
from worker.kept_table import read_table, write_table
from worker.simulation_archive import archive_features
from worker.simulation_options import SimulationOptions, program_digest

CSV_NAME = "triplets.csv"
FROZEN = "frozen"
_SHARES = {Part.TRAIN: 0.6, Part.VALIDATION: 0.2, Part.TEST: 0.2}
_TRIPLETS = "das_rhdis"
_SCORES = tuple(each.name for each in fields(MultilabelScores))
_COUNTS = ("triplets", "triplets_90", "triplets_90_gain")


@dataclass(frozen=True)
class TripletStudy:
    """What is compared.

    Attributes:
        archive: images, backbone, weights, views, cache, device, and `out` for the table.
        labels: file of `archive.label_sets`; its images are named by path, file name or stem.
        methods: names of losses, or choices of triplets such as `das+rhdis`.
        seeds: each redraws split, batches and first weights.
        settings: of the heads.
        k: how many are retrieved.
    """

    archive: SimulationOptions
    labels: Path
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: MultilabelSettings
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


@dataclass(frozen=True)
class _Data:
    """Images that have labels."""

    features: FloatArray
    labels: BoolArray
    split_groups: IntArray

    def digest(self) -> str:
        """Equal for the same images, features and labels."""
        found = hashlib.sha256()
        for values in (self.features.astype("<f4"), self.labels, self.split_groups):
            found.update(np.ascontiguousarray(values).tobytes())
        return found.hexdigest()


def compare_triplets(study: TripletStudy, progress: Progress = silent) -> list[TripletRow]:
    """The rows of `triplets.csv`, which is written anew after each training.

    Rows of an earlier comparison in the same folder are taken over where everything but methods
    and seeds is the same, the program included; so an interrupted one goes on.

    Args:
        study: see there.
        progress: told method and seed; may raise `Cancelled`, what is done by then is kept.

    Raises:
        InputError: a method is unknown, or the table does not fit the archive.
        ArchiveError, ModelError: the archive or the weights cannot be used.
    """
    for method in study.methods:
        _loss_of(method)
    data = _read(study, part_of(progress, 0.0, 0.1))
    identity = {
        "data": data.digest(),
        "settings": asdict(study.settings),
        "k": study.k,
        "program": program_digest(),
    }
    table = study.archive.out / CSV_NAME
    cells = [(method, seed) for seed in study.seeds for method in (FROZEN, *study.methods)]
    found = {(row.method, row.seed): row for row in read_table(table, identity, TripletRow.parsed)}
    rest, todo = part_of(progress, 0.1, 1.0), [cell for cell in cells if cell not in found]
    for row in _rows(data, study, todo, rest):
        found[row.method, row.seed] = row
        done = [found[cell].cells() for cell in cells if cell in found]
        write_table(table, identity, list(row.cells()), (list(line.values()) for line in done))
    return [found[cell] for cell in cells]


def mean_rows(rows: Sequence[TripletRow]) -> list[TripletRow]:
    """One row a method, the mean of its seeds; its seed is the number of them."""
    found = []
    for method in dict.fromkeys(row.method for row in rows):
        of_method = [row for row in rows if row.method == method]
        found.append(
            TripletRow(
                method,
                len(of_method),
                of_method[0].out,
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


def _read(study: TripletStudy, progress: Progress) -> _Data:
    found = scan(study.archive.images, progress=part_of(progress, 0.0, 0.3))
    table = read_label_sets(study.labels)
    images, labels = _matched(found.images, table)
    features, _ = archive_features(study.archive, images, part_of(progress, 0.3, 1.0))
    groups = split_groups(
        [image.pixel_sha256 for image in images], [image.perceptual_hash for image in images]
    )
    return _Data(features, labels, np.array(groups))


def _matched(
    images: Sequence[ScannedImage], table: LabelSets
) -> tuple[list[ScannedImage], BoolArray]:
    """The images in the table, by path, and their labels.

    Raises:
        InputError: an image of the table is not in the archive.
    """
    row_of = {name: row for row, name in enumerate(table.images)}
    found = []
    for image in sorted(images, key=lambda each: each.path):
        path = PurePosixPath(image.path)
        names = [name for name in (image.path, path.name, path.stem) if name in row_of]
        found += [(image, row_of[names[0]])] if names else []
    missing = set(range(len(table.images))) - {row for _, row in found}
    if missing or len(found) != len(table.images):
        raise InputError(
            f"Of {len(table.images)} images with labels {len(missing)} are not in the archive "
            f"({shortened([table.images[row] for row in sorted(missing)])}), and {len(found)} "
            "files have their names.",
            "Name each image by its path in the archive, or by a file name that occurs once.",
        )
    return [image for image, _ in found], table.values[[row for _, row in found]]


def _rows(
    data: _Data, study: TripletStudy, cells: Sequence[tuple[str, int]], progress: Progress
) -> Iterator[TripletRow]:
    for place, (method, seed) in enumerate(cells):
        part = part_of(progress, place / len(cells), (place + 1) / len(cells))
        yield _row(data, study, method, seed, named(part, f"{method}, seed {seed}"))


def _row(
    data: _Data, study: TripletStudy, method: str, seed: int, progress: Progress
) -> TripletRow:
    parts = assign_parts(data.split_groups.tolist(), seed=seed, shares=_SHARES)
    train, queries, gallery = (
        np.flatnonzero([each is part for each in parts])
        for part in (Part.TRAIN, Part.VALIDATION, Part.TEST)
    )

    def scores(head: TrainedHead) -> MultilabelScores:
        return evaluate_multilabel(
            head.embed(data.features[queries]),
            head.embed(data.features[gallery]),
            data.labels[queries],
            data.labels[gallery],
            k=study.k,
        )

    frozen = frozen_head(data.features[train])
    start = scores(frozen)
    if method == FROZEN:
        return TripletRow(method, seed, frozen.module.out, start)
    trained = train_multilabel_head(
        data.features[train],
        data.labels[train],
        _loss_of(method),
        study.settings,
        score=lambda head: scores(head).f1_macro,
        seed=seed,
        device=resolve_device(study.archive.device),
        progress=progress,
    )
    counted = trained.triplets[-1] > 0
    return TripletRow(
        method,
        seed,
        study.settings.out,
        scores(trained.head),
        triplets=trained.triplets[-1] if counted else None,
        triplets_90=trained.triplets_until() if counted else None,
        triplets_90_gain=trained.triplets_until(above=start.f1_macro) if counted else None,
    )


def _loss_of(method: str) -> RelevanceLoss:
    anchors, plus, images = method.partition("+")
    return new_loss(_TRIPLETS, {"anchors": anchors, "images": images}) if plus else new_loss(method)
