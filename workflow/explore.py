"""The archive as a map: every image a point, where the active model sees it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from domain.arrays import BoolArray, FloatArray, IntArray
from labeling_store import images, runs
from labeling_store.pair_answers import groups_of_similar
from retrieval.projection import principal_plane
from workflow.project import Project
from workflow.run_files import read_embeddings

MOST_DRAWN = 5000  # more points hide each other and make a browser slow


@dataclass(frozen=True)
class ArchiveMap:
    """Images on a plane under one model.

    Attributes:
        image_ids: [N].
        points: [N, 2].
        shares: of the spread of the embeddings that each axis shows.
    """

    run: str
    image_ids: IntArray
    points: FloatArray
    shares: tuple[float, float]

    def inside(self, x: Sequence[float], y: Sequence[float]) -> IntArray:
        """Ids of all images in a rectangle, drawn or not, those nearest to its middle first."""
        low = np.array([min(x), min(y)])
        high = np.array([max(x), max(y)])
        found = np.flatnonzero(((self.points >= low) & (self.points <= high)).all(1))
        scale = np.maximum(high - low, np.finfo(np.float32).tiny)
        away = (((self.points[found] - (low + high) / 2) / scale) ** 2).sum(1)
        return self.image_ids[found[np.argsort(away, kind="stable")]]

    def in_groups(self, groups: Sequence["Group"]) -> BoolArray:
        """[N] whether an image is in one of the groups."""
        return np.isin(self.image_ids, [each for group in groups for each in group.image_ids])

    def spread_out(self, count: int) -> list[int]:
        """Ids of some images from all over the map, the same each time."""
        order = np.lexsort((self.points[:, 1], self.points[:, 0]))
        places = np.linspace(0, len(order) - 1, min(count, len(order))).astype(np.int64)
        return [int(each) for each in self.image_ids[order[places]]]

    def drawn(self, keep: BoolArray, most: int = MOST_DRAWN) -> IntArray:
        """Rows to draw: all if there are few, else those to keep first, the rest at random.

        The same for the same map, whoever looks.
        """
        if len(self.image_ids) <= most:
            return np.arange(len(self.image_ids))
        rng = np.random.default_rng(0)
        order = np.concatenate(
            [rng.permutation(np.flatnonzero(keep)), rng.permutation(np.flatnonzero(~keep))]
        )
        return np.sort(order[:most])


@dataclass(frozen=True)
class Group:
    """Images that people's answers put together, by ascending id."""

    image_ids: tuple[int, ...]


def active_run_name(project: Project) -> str | None:
    """The model whose map is shown; None before the first."""
    run = runs.active_run(project.store.reader())
    return None if run is None else run.name


def archive_map(project: Project, run: str) -> ArchiveMap:
    """The map of a run; about 0.3 s for 100,000 images.

    Raises:
        ModelError: its embeddings are gone or damaged.
    """
    embeddings = read_embeddings(project.runs / run)
    plane = principal_plane(embeddings.vectors)
    return ArchiveMap(run, embeddings.image_ids, plane.points, plane.shares)


def groups(project: Project) -> list[Group]:
    """Groups of at least two images that answers call similar, the largest first."""
    found = groups_of_similar(project.store)
    return [Group(each) for each in sorted(found, key=lambda each: (-len(each), each))]


def paths(project: Project, image_ids: Sequence[int]) -> dict[int, str]:
    """The path of each of some images."""
    found = images.images_by_id(project.store.reader(), image_ids)
    return {each: image.path for each, image in found.items()}
