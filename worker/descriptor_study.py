"""Compares ways to make a descriptor of a network's last map, and of several sizes of an image.

Takes an archive whose folders are classes, gives retrieval by the descriptors of the network as it
is: half of each class's images ask, the other half answers. Nothing is trained.

Source: DCL, experiments on pooling and on scales: the sizes 1, 1/√2, 1/2, 1/√8 and 1/4 of the
sides, one after another added to those before.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from archive.decode import COLOUR_BANDS
from archive.scan import scan
from domain.arrays import FloatArray, IntArray
from domain.config import Backbone as BackboneName
from domain.descriptors import Descriptor, Pooling
from domain.errors import InputError
from domain.images import ScannedImage
from domain.jobs import Progress, part_of, silent
from retrieval.metrics import evaluate_retrieval
from training.backbones import Backbone, adapt_to_bands, build_backbone
from training.device import resolve_device
from training.levels import level_maps
from training.pooling import mean_direction, new_pooling, resized
from training.preprocessing import load_pixels, normalised
from training.weights import load_weights
from worker.bands import bands_of_files
from worker.kept_table import read_table, write_table
from worker.program import program_digest

CSV_NAME = "descriptors.csv"
SCALES = (1.0, 2**-0.5, 0.5, 8**-0.5, 0.25)
_BATCH_IMAGES = 16


@dataclass(frozen=True)
class DescriptorStudy:
    """What is compared.

    Attributes:
        images: the archive; only read.
        out: for the table.
        backbone, weights: of the network; weights None downloads them.
        poolings: names of `domain.descriptors.Pooling`.
        scales: of the sides; each is added to those before.
        seed: halves each class.
        size_px: sides of the images at scale 1.
        bands: of an image; 3 are red, green and blue.
        device: auto, cpu or cuda.
    """

    images: Path
    out: Path
    backbone: str = BackboneName.RESNET18.value
    weights: Path | None = None
    poolings: tuple[str, ...] = tuple(Pooling)
    scales: tuple[float, ...] = SCALES
    seed: int = 0
    size_px: int = 224
    bands: int = COLOUR_BANDS
    device: str = "auto"


@dataclass(frozen=True)
class DescriptorRow:
    """Retrieval by one kind of descriptor; fractions 0…1, as in `RetrievalScores`.

    Attributes:
        scales: how many of the scales are averaged.
    """

    pooling: str
    scales: int
    map: float
    map_at_r: float
    p_at_10: float
    recall_at_1: float

    @classmethod
    def parsed(cls, line: Mapping[str, str]) -> "DescriptorRow":
        """A row of the table."""
        shares = {name: float(line[name]) for name in COLUMNS[2:]}
        return cls(line["pooling"], int(line["scales"]), **shares)


COLUMNS = tuple(each.name for each in fields(DescriptorRow))


def compare_descriptors(study: DescriptorStudy, progress: Progress = silent) -> list[DescriptorRow]:
    """The rows of `descriptors.csv`, by pooling and number of scales.

    Poolings of an earlier comparison in the same folder are taken over where everything else is the
    same, the program included.

    Args:
        study: see there.
        progress: told how many images are done; may raise `Cancelled`.

    Raises:
        InputError: a pooling is unknown, or fewer than two classes or four images.
        ArchiveError, ModelError: the archive or the weights cannot be used.
    """
    unknown = [name for name in study.poolings if name not in tuple(Pooling)]
    if unknown:
        raise InputError(f"There is no pooling {unknown[0]}.", f"Take one of {', '.join(Pooling)}.")
    found = scan(study.images, bands=study.bands, progress=part_of(progress, 0.0, 0.2))
    images = sorted((each for each in found.images if each.class_name), key=lambda each: each.path)
    names = sorted({each.class_name or "" for each in images})
    if len(names) < 2 or len(images) < 4:
        raise InputError(
            f"{str(study.images)!r} has {len(images)} images in {len(names)} classes; four in two "
            "are needed.",
            "Name a folder with one sub-folder for each class.",
        )
    backbone = build_backbone(study.backbone, seed=0)
    identity = _identity(study, images, load_weights(backbone, study.weights).sha256)
    kept = read_table(study.out / CSV_NAME, identity, DescriptorRow.parsed)
    left = tuple(dict.fromkeys(study.poolings))
    left = tuple(name for name in left if name not in {row.pooling for row in kept})
    if left:
        labels = np.array([names.index(each.class_name or "") for each in images])
        files = [study.images / each.path for each in images]
        todo = replace(study, poolings=left)
        first = part_of(progress, 0.2, 0.25)
        bands = bands_of_files(files, study.bands, size_px=study.size_px, progress=first)
        if bands is not None:
            adapt_to_bands(backbone, bands)
        described = _described(files, backbone, todo, part_of(progress, 0.25, 1.0))
        kept += _rows(described, labels, todo)
        write_table(study.out / CSV_NAME, identity, COLUMNS, map(astuple, kept))
    return [row for name in dict.fromkeys(study.poolings) for row in kept if row.pooling == name]


def _identity(
    study: DescriptorStudy, images: Sequence[ScannedImage], weights_sha256: str
) -> dict[str, Any]:
    """All that a row depends on but its pooling."""
    return {
        "images": [[each.path, each.sha256] for each in images],
        "weights": weights_sha256,
        "scales": list(study.scales),
        "seed": study.seed,
        "size_px": study.size_px,
        "bands": study.bands,
        "program": program_digest(__name__),
    }


def _described(
    files: Sequence[Path], backbone: Backbone, study: DescriptorStudy, progress: Progress
) -> dict[tuple[str, float], Tensor]:
    """[N, D] unit vectors of each pooling and scale."""
    device = resolve_device(study.device)
    backbone.to(device)
    poolings = {name: Descriptor(pooling=Pooling(name)) for name in study.poolings}
    pools = {name: new_pooling(each).to(device) for name, each in poolings.items()}
    parts: dict[tuple[str, float], list[Tensor]] = {}
    with torch.inference_mode():
        for start in range(0, len(files), _BATCH_IMAGES):
            batch = files[start : start + _BATCH_IMAGES]
            squares = [load_pixels(file, study.size_px, bands=study.bands) for file in batch]
            shown = normalised(torch.from_numpy(np.stack(squares)).to(device), backbone.bands)
            for key, rows in _of_batch(backbone, shown, pools, study.scales):
                parts.setdefault(key, []).append(rows.cpu())
            done = start + len(batch)
            progress(done / len(files), f"described {done} of {len(files)} images")
    return {key: torch.cat(rows) for key, rows in parts.items()}


def _of_batch(
    backbone: Backbone, images: Tensor, pools: dict[str, nn.Module], scales: Sequence[float]
) -> Iterator[tuple[tuple[str, float], Tensor]]:
    for scale, each in resized(images, scales).items():
        last = level_maps(backbone.name, backbone.network, each)[-1]
        for name, pool in pools.items():
            yield (name, scale), mean_direction([pool(last)])


def _rows(
    described: dict[tuple[str, float], Tensor], labels: IntArray, study: DescriptorStudy
) -> Iterator[DescriptorRow]:
    queries = _halves(labels, study.seed)
    for pooling in study.poolings:
        scales = [scale for name, scale in described if name == pooling]
        for count in range(1, len(scales) + 1):
            vectors = mean_direction([described[pooling, scale] for scale in scales[:count]])
            yield _row(pooling, count, vectors.numpy(), labels, queries)


def _row(
    pooling: str, scales: int, vectors: FloatArray, labels: IntArray, queries: IntArray
) -> DescriptorRow:
    gallery = np.setdiff1d(np.arange(len(labels)), queries)
    found = evaluate_retrieval(vectors[queries], vectors[gallery], labels[queries], labels[gallery])
    return DescriptorRow(
        pooling,
        scales,
        map=found.map or 0.0,
        map_at_r=found.map_at_r or 0.0,
        p_at_10=found.p_at_10 or 0.0,
        recall_at_1=found.recall_at_1 or 0.0,
    )


def _halves(labels: IntArray, seed: int) -> IntArray:
    """The rows that ask: half of each class, drawn at random."""
    rng = np.random.default_rng(seed)
    halves = []
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        halves.append(rows[: len(rows) // 2])
    return np.sort(np.concatenate(halves))
