"""Search the archive with the embeddings of the active model."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from domain.arrays import FloatArray, IntArray
from domain.errors import InputError, JobError
from domain.images import ImageRecord, Part
from domain.rounds import Run
from labeling_store import images, runs
from retrieval.search import nearest
from workflow.project import Project
from workflow.run_files import Embeddings, read_embeddings


@dataclass(frozen=True)
class Hit:
    """A found image.

    Attributes:
        similarity: the cosine to the query, −1…1.
        copies: further images of the archive with the very same pixels.
    """

    image_id: int
    similarity: float
    class_name: str | None
    path: str
    part: Part
    copies: int = 0


@dataclass(frozen=True)
class Only:
    """Which images may be found: of one part, or whose path contains a text, whatever its case."""

    part: Part | None = None
    text: str = ""

    def holds(self, image: ImageRecord) -> bool:
        in_part = self.part is None or image.part is self.part
        return in_part and self.text.casefold() in image.path.casefold()


ALL = Only()


@dataclass(frozen=True)
class Browsed:
    """The images found, and how many there are in all."""

    images: tuple[ImageRecord, ...]
    total: int


def active_embeddings(project: Project) -> Embeddings:
    """Embeddings of the active model, with their image ids.

    Raises:
        JobError: no model has embedded the archive yet.
    """
    return read_embeddings(project.runs / _active_run(project).name)


def model_in_words(project: Project) -> str:
    """What the model that ranks has learnt from, and how good it was measured to be.

    Raises:
        JobError: no model has embedded the archive yet.
    """
    run = _active_run(project)
    if run.bits:
        said = f"The model has learnt from {run.bits:,} answer{'s' if run.bits > 1 else ''}."
    else:
        said = (
            "The model has learnt nothing from answers yet: it goes by looks alone. Answers teach "
            "it what counts as similar here."
        )
    quality = run.metrics.get("map_at_5_min")
    if quality is None:
        return said
    return f"{said} On images kept for measuring, its mAP@5 is {quality:.1%}."


def find_image(project: Project, image_id: int) -> ImageRecord:
    """An image of the catalogue.

    Raises:
        InputError: there is none of that id.
    """
    image = images.get_image(project.store.reader(), image_id)
    if image is None:
        raise InputError(f"There is no image {image_id} in the catalogue.", "Choose another image.")
    return image


def same_content(project: Project, sha256: str) -> ImageRecord | None:
    """The image of the archive whose file has this content; None if there is none."""
    return images.find_content(project.store.reader(), sha256)


def similar_images(project: Project, image_id: int, *, k: int = 20, only: Only = ALL) -> list[Hit]:
    """The k images most similar to an image of the archive, best first; see `nearest_to`.

    It is not found itself, nor are its copies.

    Raises:
        InputError: the catalogue has no such image, or it came after the embeddings.
        JobError: no model has embedded the archive yet.
    """
    query = find_image(project, image_id)
    embeddings = active_embeddings(project)
    rows = np.flatnonzero(embeddings.image_ids == image_id)
    if not len(rows):
        raise InputError(
            f"Image {image_id} has no embedding.",
            'If it was added later, run "python cli.py embed"; else choose another image.',
        )
    search = _Search(project, embeddings, only, without_group=query.duplicate_group)
    return search.nearest(embeddings.vectors[rows[0]], k)


def nearest_to(project: Project, vector: FloatArray, *, k: int = 20, only: Only = ALL) -> list[Hit]:
    """The k images most similar to a vector [D] of the active model, best first.

    Of images with the same pixels the first of the catalogue stands for all of them.

    Raises:
        JobError: no model has embedded the archive yet.
    """
    return _Search(project, active_embeddings(project), only).nearest(vector, k)


def browse(project: Project, text: str = "", part: Part | None = None) -> Browsed:
    """Images of a part whose path contains a text, in the order of the catalogue."""
    only = Only(part, text)
    everything = images.list_images(project.store.reader())
    found = [image for image in everything if only.holds(image)]
    return Browsed(tuple(found), total=len(everything))


def _active_run(project: Project) -> Run:
    run = runs.active_run(project.store.reader())
    if run is None:
        raise JobError(
            "The archive has no embeddings yet.",
            "The worker makes them first; see its progress on the Overview page.",
        )
    return run


class _Search:
    """One search; without a filter the catalogue is asked for what is shown only."""

    def __init__(
        self,
        project: Project,
        embeddings: Embeddings,
        only: Only,
        *,
        without_group: int | None = None,
    ) -> None:
        self._db = project.store.reader()
        self._embeddings = embeddings
        self._excluded = _rows_outside(self._db_images(), embeddings, only) if only != ALL else None
        self._without_group = without_group

    def nearest(self, vector: FloatArray, k: int) -> list[Hit]:
        """Ask for more until k different images are there: copies stand one after the other."""
        wanted = k + 1
        while True:
            rows, similarity = nearest(
                vector, self._embeddings.vectors, wanted, exclude=self._excluded, unit=True
            )
            ids = [int(self._embeddings.image_ids[row]) for row in rows]
            records = images.images_by_id(self._db, ids)
            first = self._different(ids, records)
            if len(first) >= k or len(rows) < wanted:
                break
            wanted *= 2
        similar = dict(zip(ids, similarity.tolist(), strict=True))
        return self._hits([records[each] for each in first[:k]], similar)

    def _different(self, ids: list[int], records: Mapping[int, ImageRecord]) -> list[int]:
        """The first image of each group of copies, without the query's."""
        seen = {self._without_group}
        first = []
        for image_id in ids:
            record = records.get(image_id)
            if record is not None and record.duplicate_group not in seen:
                seen.add(record.duplicate_group)
                first.append(image_id)
        return first

    def _hits(self, found: list[ImageRecord], similar: Mapping[int, float]) -> list[Hit]:
        counts = images.images_in_group(self._db, [each.duplicate_group for each in found])
        return [
            Hit(
                image_id=each.image_id,
                similarity=similar[each.image_id],
                class_name=each.class_name,
                path=each.path,
                part=each.part,
                copies=counts[each.duplicate_group] - 1,
            )
            for each in found
        ]

    def _db_images(self) -> list[ImageRecord]:
        return images.list_images(self._db)


def _rows_outside(records: list[ImageRecord], embeddings: Embeddings, only: Only) -> IntArray:
    allowed = [image.image_id for image in records if only.holds(image)]
    return np.flatnonzero(~np.isin(embeddings.image_ids, allowed))
