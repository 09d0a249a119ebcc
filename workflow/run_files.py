"""The directory of a run: what a model was trained with and what it gives; written whole or not.

`config.toml`, `pairs.parquet`, `checkpoint.safetensors`, `embeddings.npy` + `image_ids.npy`,
`metrics.json`, `log.jsonl`, `groups.parquet` + `groups_alike.npy` where it was learnt from groups,
`backbone.safetensors` and `retrained.toml` where it reads a retrained one, `bands.json` where
images have other bands than red, green and blue, `finetuning.toml` where another model was trained
further, and `succession.toml` where it was decided whether it is used. What is large, embeddings
and groups, can be dropped, and the embeddings made again. Nothing here loads PyTorch or unpickles;
the checkpoint is written and read by `training.checkpoints`, the backbone by `training.weights`.
"""

import json
import os
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from domain.answers import KnownRelation
from domain.arrays import FloatArray, IntArray
from domain.config import Views
from domain.descriptors import Descriptor
from domain.errors import ModelError
from domain.files import sync, written_whole
from domain.pairs import pair

BANDS = "bands.json"
CHECKPOINT, RUN_CONFIG = "checkpoint.safetensors", "config.toml"
BACKBONE, RETRAINED = "backbone.safetensors", "retrained.toml"
LEARNT = "learnt"  # under it, ids of the images whose answers a retrained backbone has learnt
FINE_TUNING, SUCCESSION, PAIRS = "finetuning.toml", "succession.toml", "pairs.parquet"
_EMBEDDINGS, _IDS = "embeddings.npy", "image_ids.npy"
_GROUPS, _ALIKE = "groups.parquet", "groups_alike.npy"
# What is small.
DESCRIPTION = (
    *(RUN_CONFIG, BANDS, FINE_TUNING, SUCCESSION, RETRAINED),
    *("metrics.json", "log.jsonl", PAIRS),
)
FILES = (*DESCRIPTION, CHECKPOINT, BACKBONE, _EMBEDDINGS, _IDS, _GROUPS, _ALIKE)


@dataclass(frozen=True)
class Embeddings:
    """Unit vectors of images under one model.

    Attributes:
        image_ids: [N] int64.
        vectors: [N, D] float32, rows of length 1.
    """

    image_ids: IntArray
    vectors: FloatArray

    @cached_property
    def rows(self) -> dict[int, int]:
        """Row of each image id."""
        return {int(image_id): row for row, image_id in enumerate(self.image_ids)}


@dataclass(frozen=True)
class GroupLabels:
    """Soft labels that a model was trained on; one row an image and a group it may belong to.

    Attributes:
        image_ids: [L].
        groups: [L] numbers that only tell groups of this run apart.
        probability: [L] of the image to belong to the group.
        weight: [L] how much all that is said of the image is to be trusted.
        alike: [C, C] how alike groups are that nobody compared; 0 where they were told apart.
    """

    image_ids: IntArray
    groups: IntArray
    probability: FloatArray
    weight: FloatArray
    alike: FloatArray


@dataclass(frozen=True)
class RunFiles:
    """What goes into a run directory.

    Attributes:
        relations: the snapshot of known relations that the model was trained on.
        metrics: name to fraction.
        log: one mapping a line, such as the loss of an epoch.
        save_checkpoint: writes the model's weights to a path.
        groups: what it learnt of groups; None where it learnt from pairs.
        fine_tuning: how it was fine-tuned, as TOML; None where it was not.
        succession: why it is in use, or is not, as TOML; None where there was nothing to decide.
        backbone: folder with the retrained backbone that it reads; None where it reads the
            project's.
        bands: what the bands of images are normalised with, as JSON; None for red, green and blue.
    """

    config_toml: str
    relations: Sequence[KnownRelation]
    embeddings: Embeddings
    metrics: Mapping[str, float]
    log: Sequence[Mapping[str, Any]]
    save_checkpoint: Callable[[Path], None]
    groups: GroupLabels | None = None
    fine_tuning: str | None = None
    succession: str | None = None
    backbone: Path | None = None
    bands: str | None = None


def write_run(runs: Path, name: str, files: RunFiles) -> Path:
    """The finished directory `runs/name`; a directory of that name is replaced.

    It appears complete or not at all, also after a crash of the machine.
    """
    runs.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=runs))
    try:
        _fill(draft, files)
        for path in draft.iterdir():
            sync(path)
        draft.chmod(0o755)  # mkdtemp's is for its owner alone; colleagues read runs too
        sync(draft)
        target = runs / name
        if target.exists():
            shutil.rmtree(target)
        draft.rename(target)
        sync(runs)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def is_usable(folder: Path) -> bool:
    """Whether a run has the files that search and further rounds need."""
    needed = [CHECKPOINT, _EMBEDDINGS, _IDS, *[BACKBONE] * reads_own_backbone(folder)]
    return all((folder / name).is_file() for name in needed)


def reads_own_backbone(folder: Path) -> bool:
    """Whether the model of a run reads a backbone that was retrained, and is kept with it."""
    return (folder / RETRAINED).is_file()


def learnt_images(folder: Path) -> frozenset[int] | None:
    """Ids of the images whose answers the retrained backbone of a run has learnt.

    None where the run reads the project's backbone, which has learnt nothing, and where an earlier
    version did not note it.
    """
    try:
        told = tomllib.loads((folder / RETRAINED).read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError):
        return None
    return frozenset(told[LEARNT]) if LEARNT in told else None


def read_embeddings(folder: Path) -> Embeddings:
    """The embeddings of a run; vectors stay on disk until they are used.

    Raises:
        ModelError: a file is missing or damaged, or the two do not belong together.
    """
    try:
        image_ids = np.load(folder / _IDS, allow_pickle=False)
        vectors = np.load(folder / _EMBEDDINGS, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(
            f"The embeddings of run {folder.name} cannot be read: {error}.",
            "Activate another run, or train again.",
        ) from error
    if vectors.ndim != 2 or image_ids.shape != vectors.shape[:1]:
        raise ModelError(
            f"Run {folder.name} has {image_ids.shape[0]} image ids for {vectors.shape} embeddings.",
            "Activate another run, or train again.",
        )
    return Embeddings(image_ids, vectors)


def has_embeddings(folder: Path) -> bool:
    """Whether a run has its embeddings, or they were dropped."""
    return (folder / _EMBEDDINGS).is_file()


def drop_embeddings(folder: Path) -> None:
    """Take from a run what is large; its model, settings and figures stay."""
    for name in (_EMBEDDINGS, _GROUPS, _ALIKE):
        (folder / name).unlink(missing_ok=True)


def write_embeddings(folder: Path, embeddings: Embeddings) -> None:
    """Give embeddings to a run whose own were dropped; they count once both files are there."""
    for name, array in ((_IDS, embeddings.image_ids), (_EMBEDDINGS, embeddings.vectors)):
        with written_whole(folder / name) as draft, draft.open("wb") as file:
            np.save(file, array, allow_pickle=False)


def views_of(folder: Path) -> Views:
    """Of which views the features are that a run was made from.

    Runs of versions that knew no other were made from the single view; so it says of a run without
    settings, whose model then refuses features of another length.
    """
    return Views(_model_settings(folder).get("views", Views.SINGLE))


def descriptor_of(folder: Path) -> Descriptor:
    """How the features were made that a run was made from, beside its views.

    Of a retrained backbone the pooling stands with its weights. Runs of versions that knew nothing
    else pooled by the mean, at one scale.
    """
    return Descriptor.model_validate(_model_settings(folder).get("descriptor", {}))


def _model_settings(folder: Path) -> dict[str, Any]:
    try:
        settings = tomllib.loads((folder / RUN_CONFIG).read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError):
        return {}
    found: dict[str, Any] = settings.get("model", {})
    return found


def read_relations(folder: Path) -> list[KnownRelation]:
    """The relations that a run was trained on, without their proofs."""
    return [
        KnownRelation(
            pair=pair(row["image_a"], row["image_b"]),
            similar=row["similar"],
            implied=row["implied"],
            weight=row["weight"],
        )
        for row in pq.read_table(folder / PAIRS).to_pylist()
    ]


def _fill(draft: Path, files: RunFiles) -> None:
    (draft / RUN_CONFIG).write_text(files.config_toml, encoding="utf-8")
    write_relations(files.relations, draft / PAIRS)
    if files.bands is not None:
        (draft / BANDS).write_text(files.bands, encoding="utf-8")
    if files.fine_tuning is not None:
        (draft / FINE_TUNING).write_text(files.fine_tuning, encoding="utf-8")
    if files.succession is not None:
        (draft / SUCCESSION).write_text(files.succession, encoding="utf-8")
    if files.groups is not None:
        write_groups(draft, files.groups)
    files.save_checkpoint(draft / CHECKPOINT)
    if files.backbone is not None:
        for name in (BACKBONE, RETRAINED):
            _take(files.backbone / name, draft / name)
    np.save(draft / _EMBEDDINGS, files.embeddings.vectors, allow_pickle=False)
    np.save(draft / _IDS, files.embeddings.image_ids, allow_pickle=False)
    (draft / "metrics.json").write_text(json.dumps(dict(files.metrics), indent=1))
    lines = "".join(json.dumps(dict(line)) + "\n" for line in files.log)
    (draft / "log.jsonl").write_text(lines, encoding="utf-8")


def _take(source: Path, target: Path) -> None:
    """The same file under a second name where that can be, so that it costs nothing; else a copy.

    It is never written to again.
    """
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def write_relations(relations: Sequence[KnownRelation], path: Path) -> None:
    """What `read_relations` reads from the file `pairs.parquet` of a folder."""
    pq.write_table(_pair_table(relations), path)


def write_groups(folder: Path, groups: GroupLabels) -> None:
    """What `read_groups` reads from a folder; it counts once both files are there."""
    columns = ("image_ids", "groups", "probability", "weight")
    with written_whole(folder / _ALIKE) as draft, draft.open("wb") as file:
        np.save(file, groups.alike.astype(np.float32), allow_pickle=False)
    with written_whole(folder / _GROUPS) as draft:
        pq.write_table(pa.table({name: getattr(groups, name) for name in columns}), draft)


def read_groups(folder: Path) -> GroupLabels | None:
    """What the model of a folder learnt of groups; None where it did not, or that was dropped."""
    if not ((folder / _GROUPS).is_file() and (folder / _ALIKE).is_file()):
        return None
    columns = {name: each.to_numpy() for name, each in _columns(folder / _GROUPS)}
    return GroupLabels(**columns, alike=np.load(folder / _ALIKE, allow_pickle=False))


def _columns(path: Path) -> Iterator[tuple[str, pa.ChunkedArray]]:
    table = pq.read_table(path)
    return zip(table.column_names, table.columns, strict=True)


def _pair_table(relations: Sequence[KnownRelation]) -> pa.Table:
    return pa.table(
        {
            "image_a": pa.array([each.pair.a for each in relations], pa.int64()),
            "image_b": pa.array([each.pair.b for each in relations], pa.int64()),
            "similar": pa.array([each.similar for each in relations], pa.bool_()),
            "implied": pa.array([each.implied for each in relations], pa.bool_()),
            "weight": pa.array([each.weight for each in relations], pa.float32()),
        }
    )
