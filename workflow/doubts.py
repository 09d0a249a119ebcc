"""Answers that the model in use speaks against: where a second look of somebody may be worth it."""

from dataclasses import dataclass

import numpy as np

from domain.answers import PairLabel
from labeling_store import answers, runs
from workflow.project import Project
from workflow.run_files import read_embeddings


@dataclass(frozen=True)
class Doubt:
    """A label on the other side of the model's threshold than the pair's similarity.

    Attributes:
        similarity: the cosine of both images under the model.
    """

    label: PairLabel
    similarity: float
    threshold: float

    @property
    def away(self) -> float:
        """How far the similarity is on the wrong side, above 0."""
        return abs(self.similarity - self.threshold)


def doubts(project: Project) -> list[Doubt]:
    """Labels that the model in use contradicts, the farthest from its threshold first.

    Reads all labels. Empty without a model, or where it has no threshold; pairs of images that it
    has not embedded are left out.

    Raises:
        ModelError: its embeddings are gone or damaged.
    """
    db = project.store.reader()
    run = runs.active_run(db)
    threshold = None if run is None else run.metrics.get("threshold")
    if run is None or threshold is None:
        return []
    embeddings = read_embeddings(project.runs / run.name)
    rows = embeddings.rows
    labels = [
        each
        for each in answers.pair_labels(db)
        if each.similar is not None and each.pair.a in rows and each.pair.b in rows
    ]
    a, b = np.array([[rows[i] for i in each.pair] for each in labels]).reshape(-1, 2).T.astype(int)
    similarity = np.einsum("pd,pd->p", embeddings.vectors[a], embeddings.vectors[b])
    found = [
        Doubt(label, float(cosine), threshold)
        for label, cosine in zip(labels, similarity, strict=True)
        if label.similar is not bool(cosine >= threshold)
    ]
    return sorted(found, key=lambda each: (-each.away, each.label.pair))
