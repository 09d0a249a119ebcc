"""The space in which images are compared, kept on disk from one round to the next.

It depends on nothing but the images' features, and takes seconds to make in a large archive, most
of them for the graph of neighbours.
"""

import hashlib
import os
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from annealing.components.graph import NeighbourGraph
from annealing.components.space import Space
from domain.files import written_whole
from domain.images import ImageRecord
from training.head import Standardise
from workflow.project import Project

_FORMAT = "1"  # raised when spaces, or their graphs, are made in another way
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
    folder = project.cache / "spaces"
    path = folder / f"{_fingerprint(statistics, records)}.npz"
    space = _read(path)
    if space is not None and len(space) == len(records):
        return space
    space = make()
    with suppress(OSError):  # it only saves time
        folder.mkdir(parents=True, exist_ok=True)
        _write(path, space)
        _drop_old(folder)
    return space


def _fingerprint(statistics: Standardise, records: Sequence[ImageRecord]) -> str:
    """Of the features: what the images are, and what a network with its views made of them."""
    digest = hashlib.sha256(_FORMAT.encode())
    for values in (statistics.mean, statistics.scale):
        digest.update(values.cpu().numpy().tobytes())
    digest.update("".join(record.sha256 for record in records).encode())
    return digest.hexdigest()[:32]


def _read(path: Path) -> Space | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            unit, own = held["unit"], held["own"]
            links = csr_array(
                (held["data"], held["indices"], held["indptr"]), shape=(len(unit), len(unit))
            )
        os.utime(path)  # the one used last is kept longest
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
    return Space(unit, NeighbourGraph.of_links(links, own))


def _write(path: Path, space: Space) -> None:
    links = space.graph.links
    with written_whole(path) as draft, draft.open("wb") as file:
        np.savez(
            file,
            unit=space.unit,
            own=space.graph.own,
            data=links.data,
            indices=links.indices,
            indptr=links.indptr,
        )


def _drop_old(folder: Path) -> None:
    newest_first = sorted(folder.glob("*.npz"), key=lambda path: -path.stat().st_mtime_ns)
    for path in newest_first[_KEPT:]:
        path.unlink(missing_ok=True)
