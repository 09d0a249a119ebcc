"""Two models side by side: for which images the search got better, and for which worse."""

from dataclasses import dataclass

import numpy as np

from domain.arrays import FloatArray
from domain.errors import InputError
from domain.images import ImageRecord, Part
from labeling_store import answers, images, runs
from retrieval.metrics import precision_sum, rank_gallery
from retrieval.pair_metrics import roc_auc
from workflow.project import Project
from workflow.run_files import Embeddings, has_embeddings, read_embeddings

RANKED = 5  # as many results as mAP@5 looks at


@dataclass(frozen=True)
class Change:
    """An image as query under two models; figures are fractions, higher is better."""

    image_id: int
    before: float
    after: float


@dataclass(frozen=True)
class Comparison:
    """What changed between two models.

    Attributes:
        by_classes: figures are the mAP@5 of validation queries in the test gallery; else the share
            of an image's answered pairs that the model puts in the right order.
        better, worse: the greatest change first.
        same: how many images have the same figure.
    """

    by_classes: bool
    better: tuple[Change, ...]
    worse: tuple[Change, ...]
    same: int


def comparable_runs(project: Project) -> list[str]:
    """Names of the models that still have embeddings, newest first."""
    found = runs.list_runs(project.store.reader())
    return [run.name for run in reversed(found) if has_embeddings(project.runs / run.name)]


def compare_runs(project: Project, before: str, after: str) -> Comparison:
    """How each query changed from one model to another.

    Raises:
        InputError: one of them is no model of the project.
        ModelError: the embeddings of one of them are gone.
    """
    names = {run.name for run in runs.list_runs(project.store.reader())}
    for name in (before, after):
        if name not in names:
            raise InputError(f'There is no model "{name}".', "Choose one of those listed.")
    models = [read_embeddings(project.runs / name) for name in (before, after)]
    records = images.list_images(project.store.reader())
    first, second = (_by_classes(records, model) for model in models)
    by_classes = bool(first)
    if not by_classes:
        first, second = (_by_answers(project, model) for model in models)
    changes = [Change(each, first[each], second[each]) for each in first if each in second]
    changes.sort(key=lambda each: (each.before - each.after, each.image_id))
    better = [each for each in changes if each.after > each.before]
    worse = [each for each in reversed(changes) if each.after < each.before]
    same = len(changes) - len(better) - len(worse)
    return Comparison(by_classes, tuple(better), tuple(worse), same)


def _by_classes(records: list[ImageRecord], model: Embeddings) -> dict[int, float]:
    """AP@5 of each validation query; empty where folders are not classes."""
    usable = [each for each in records if each.class_name and each.image_id in model.rows]
    queries = [each for each in usable if each.part is Part.VALIDATION]
    gallery = [each for each in usable if each.part is Part.TEST]
    if not queries or not gallery or len({each.class_name for each in usable}) < 2:
        return {}
    ranked = rank_gallery(_vectors(model, queries), _vectors(model, gallery))
    kinds = np.array([each.class_name for each in gallery])
    relevant = kinds[ranked] == np.array([each.class_name for each in queries])[:, None]
    possible = np.minimum(relevant.sum(1), RANKED)
    found = precision_sum(relevant, RANKED) / np.maximum(possible, 1)
    return {
        each.image_id: float(value)
        for each, value, most in zip(queries, found, possible, strict=True)
        if most
    }


def _by_answers(project: Project, model: Embeddings) -> dict[int, float]:
    """For each image with both kinds of answers: how often a similar one is ranked above."""
    said: dict[int, list[tuple[int, bool]]] = {}
    for label in answers.pair_labels(project.store.reader()):
        if label.similar is not None and {*label.pair} <= model.rows.keys():
            for query, other in (label.pair, label.pair[::-1]):
                said.setdefault(query, []).append((other, label.similar))
    figures = {query: _order(model, query, pairs) for query, pairs in sorted(said.items())}
    return {query: value for query, value in figures.items() if value is not None}


def _order(model: Embeddings, query: int, pairs: list[tuple[int, bool]]) -> float | None:
    others = model.vectors[[model.rows[other] for other, _ in pairs]]
    similarity = others @ model.vectors[model.rows[query]]
    similar = np.array([each for _, each in pairs])
    return roc_auc(similarity.astype(np.float64), similar)


def _vectors(model: Embeddings, of: list[ImageRecord]) -> FloatArray:
    vectors: FloatArray = model.vectors[[model.rows[each.image_id] for each in of]]
    return vectors
