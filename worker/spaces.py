"""The space in which images are compared, kept on disk from one round to the next.

It depends on nothing but the images' features, and takes seconds to make in a large archive, for
the principal components and the graph of neighbours.
"""

import hashlib
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from scipy.sparse import csr_array

from annealing.components.graph import NeighbourGraph
from annealing.components.space import Space
from domain.arrays import FloatArray, IntArray
from domain.files import written_whole
from domain.images import ImageRecord
from training.group_head import Looks, looks_of
from training.head import Standardise, fitted_standardise
from workflow.project import Project

_FORMAT = "3"  # raised when spaces, or their graphs, are made in another way
Arrays = Mapping[str, Any]  # as NumPy reads them: it does not say of what kind each is
T = TypeVar("T")

_KEPT = 2  # while all views take the place of the single one, both are in use


def kept_space(
    project: Project,
    statistics: Standardise,
    records: Sequence[ImageRecord],
    make: Callable[[], Space],
) -> Space:
    """The space of some images: as it was kept, or made now and kept.

    Args:
        project: in whose cache it is kept; the newest few of a project are.
        statistics: mean and spread of their features.
        records: the images of its rows.
        make: makes it.

    Corner cases: a damaged file counts as none, and where it cannot be written, nothing is kept.
    """
    path = _path(project, statistics, records)
    kept = _read(path, _space)
    if kept is not None and len(kept) == len(records):
        return kept
    space = make()
    _keep(path, _space_arrays(space))
    return space


def kept_looks(project: Project, records: Sequence[ImageRecord], features: FloatArray) -> Looks:
    """The looks of some images, with the space that `kept_space` gives; see there.

    Args:
        project: in whose cache they are kept.
        records: the images of the rows.
        features: [N, F] of them.
    """
    statistics = fitted_standardise(features)
    path = _path(project, statistics, records)
    kept = _read(path, partial(_looks, statistics))
    if kept is not None and len(kept.space) == len(records):
        return kept
    looks = looks_of(features)
    axes = {"centre": looks.standardise.centre, "rotation": looks.standardise.rotation}
    _keep(path, {**_space_arrays(looks.space), **{name: axes[name].numpy() for name in axes}})
    return looks


def _path(project: Project, statistics: Standardise, records: Sequence[ImageRecord]) -> Path:
    return project.cache / "spaces" / f"{_fingerprint(statistics, records)}.npz"


def _fingerprint(statistics: Standardise, records: Sequence[ImageRecord]) -> str:
    """Of the features: what the images are, and what a network with its views made of them."""
    digest = hashlib.sha256(_FORMAT.encode())
    for values in (statistics.mean, statistics.scale):
        digest.update(values.cpu().numpy().tobytes())
    digest.update("".join(record.sha256 for record in records).encode())
    return digest.hexdigest()[:32]


def _read(path: Path, take: Callable[[Arrays], T]) -> T | None:
    """What is taken from a file's arrays; None where they are not there, or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            taken = take(arrays)
        os.utime(path)  # the one used last is kept longest
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
    return taken


def _space(arrays: Arrays) -> Space:
    unit, own = arrays["unit"], arrays["own"]
    links = csr_array(
        (arrays["data"], arrays["indices"], arrays["indptr"]), shape=(len(unit), len(unit))
    )
    return Space(unit, NeighbourGraph.of_links(links, own))


def _looks(statistics: Standardise, arrays: Arrays) -> Looks:
    axes = [torch.from_numpy(arrays[name]) for name in ("centre", "rotation")]
    return Looks(statistics.rotated(*axes).eval(), _space(arrays))


def _space_arrays(space: Space) -> dict[str, FloatArray | IntArray]:
    links = space.graph.links
    return {
        "unit": space.unit,
        "own": space.graph.own,
        "data": links.data,
        "indices": links.indices,
        "indptr": links.indptr,
    }


def _keep(path: Path, arrays: dict[str, FloatArray | IntArray]) -> None:
    with suppress(OSError):  # it only saves time
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as draft, draft.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        _drop_old(path.parent)


def _drop_old(folder: Path) -> None:
    newest_first = sorted(folder.glob("*.npz"), key=lambda path: -path.stat().st_mtime_ns)
    for path in newest_first[_KEPT:]:
        path.unlink(missing_ok=True)
