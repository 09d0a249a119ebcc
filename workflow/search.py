"""Search the archive with the embeddings of the active model."""

from dataclasses import dataclass

from domain.arrays import FloatArray
from domain.errors import InputError, JobError
from domain.images import ImageRecord
from labeling_store import images, runs
from retrieval.search import nearest
from workflow.project import Project
from workflow.run_files import Embeddings, read_embeddings


@dataclass(frozen=True)
class Hit:
    """A found image; `similarity` is the cosine to the query, −1…1."""

    image_id: int
    similarity: float
    class_name: str | None
    path: str


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
    run = runs.active_run(project.store.reader())
    if run is None:
        raise JobError(
            "The archive has no embeddings yet.",
            "The worker makes them first; see its progress on the Overview page.",
        )
    return read_embeddings(project.runs / run.name)


def similar_images(project: Project, image_id: int, *, k: int = 20) -> list[Hit]:
    """The k images most similar to an image of the archive, without itself, best first.

    Raises:
        InputError: the catalogue has no such image, or it came after the embeddings.
        JobError: no model has embedded the archive yet.
    """
    embeddings = active_embeddings(project)
    row = embeddings.rows.get(image_id)
    if row is None:
        raise InputError(
            f"Image {image_id} has no embedding.",
            'If it was added later, run "python cli.py embed"; else choose another image.',
        )
    return _hits(project, embeddings, embeddings.vectors[row], k=k, exclude=row)


def nearest_to(project: Project, vector: FloatArray, *, k: int = 20) -> list[Hit]:
    """The k images most similar to a vector [D] of the active model, best first.

    Raises:
        JobError: no model has embedded the archive yet.
    """
    return _hits(project, active_embeddings(project), vector, k=k)


def _hits(
    project: Project,
    embeddings: Embeddings,
    vector: FloatArray,
    *,
    k: int,
    exclude: int | None = None,
) -> list[Hit]:
    rows, similarities = nearest(vector, embeddings.vectors, k, exclude=exclude)
    records = {image.image_id: image for image in images.list_images(project.store.reader())}
    ids = [int(embeddings.image_ids[found]) for found in rows]
    return [
        Hit(each, float(similarity), records[each].class_name, records[each].path)
        for each, similarity in zip(ids, similarities, strict=True)
        if each in records
    ]


def browse(project: Project, text: str = "") -> Browsed:
    """Images whose path contains a text, whatever its case, in the order of the catalogue."""
    wanted = text.casefold()
    everything = images.list_images(project.store.reader())
    found = [image for image in everything if wanted in image.path.casefold()]
    return Browsed(tuple(found), total=len(everything))
