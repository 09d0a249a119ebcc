"""Quality against effort: with class folders by retrieval, always by people's answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from domain.arrays import BoolArray, FloatArray
from domain.pairs import Pair
from domain.rounds import Run
from labeling_store import answers, responses, rounds, runs
from retrieval.pair_metrics import balanced_accuracy, pair_average_precision, roc_auc
from workflow.finetuning import FineTuning, fine_tuning_of
from workflow.project import Project
from workflow.run_files import Embeddings, has_embeddings, read_embeddings
from workflow.succession import succession_of

SIMILARITY_RANGE = (-1.0, 1.0)
LONGEST_ANSWER_S = 60.0  # who took longer was not looking all the time


@dataclass(frozen=True)
class CurvePoint:
    """A model's quality at the effort it was trained with.

    Attributes:
        metrics: fractions by name. Retrieval metrics are there where folders are classes. `auc`,
            `average_precision` and `balanced_accuracy` compare the model with the answers of the
            round after it, which it has not seen; with `_random` behind their names, with that
            round's random check pairs alone. A metric that is undefined is absent.
        minutes: how long people looked at the pairs that they answered until then.
        strategy: by which the questions of its round were chosen; None before the first round.
        fine_tuning: how another model was trained further to it; None where it was not.
        kept_back: it did not take the place of the model in use, which may be better.
    """

    run: str
    round_number: int
    bits: int
    answers: int
    known_pairs: int
    metrics: Mapping[str, float]
    minutes: float = 0.0
    strategy: str | None = None
    fine_tuning: FineTuning | None = None
    kept_back: bool = False


@dataclass(frozen=True)
class SimilarityHistogram:
    """Counts of answered pairs by similarity under a run; `edges` has one more entry."""

    edges: tuple[float, ...]
    similar: tuple[int, ...]
    dissimilar: tuple[int, ...]
    threshold: float | None
    run: str


@dataclass(frozen=True)
class _Judged:
    """Pairs with people's verdict, as similarities under one model."""

    similarity: FloatArray
    similar: BoolArray


def quality_curve(project: Project) -> list[CurvePoint]:
    """One point a model, the least effort in bits first; at the same effort in order of making."""
    trained = runs.list_runs(project.store.reader())
    trained.sort(key=lambda run: (run.bits, run.round_number, run.created_at))
    return [_point(project, run) for run in trained]


def compared_losses(points: Sequence[CurvePoint]) -> dict[str, list[CurvePoint]]:
    """Models of the same answers that differ in their loss, by the name of the one they start from.

    The newest first; each list starts with that model, where it is still known.
    """
    compared: dict[str, list[CurvePoint]] = {}
    for point in points:
        if point.fine_tuning is not None:
            compared.setdefault(point.fine_tuning.parent, []).append(point)
    own = {point.run: [point] for point in points}
    return {name: [*own.get(name, []), *tuned] for name, tuned in reversed(compared.items())}


def similarity_histogram(project: Project, bins: int = 40) -> SimilarityHistogram | None:
    """How well the active model separates the answered pairs; None before model and answers."""
    db = project.store.reader()
    run = runs.active_run(db)
    labels = {
        label.pair: label.similar for label in answers.pair_labels(db) if label.similar is not None
    }
    if run is None or not labels:
        return None
    judged = _judged(read_embeddings(project.runs / run.name), labels)
    edges = np.linspace(*SIMILARITY_RANGE, bins + 1)
    similar, _ = np.histogram(judged.similarity[judged.similar], edges)
    dissimilar, _ = np.histogram(judged.similarity[~judged.similar], edges)
    return SimilarityHistogram(
        edges=tuple(edges.tolist()),
        similar=tuple(similar.tolist()),
        dissimilar=tuple(dissimilar.tolist()),
        threshold=run.metrics.get("threshold"),
        run=run.name,
    )


def answer_metrics(
    embeddings: Embeddings,
    labels: Mapping[Pair, bool],
    checks: Sequence[Pair],
    threshold: float | None,
) -> dict[str, float]:
    """How well a model agrees with answers that it has not seen (see `CurvePoint`).

    Args:
        labels: people's verdict of each pair: similar or not.
        checks: those of the pairs that were asked at random.
        threshold: similarity from which on the model says similar; None: no accuracy.
    """
    random_labels = {pair: labels[pair] for pair in checks if pair in labels}
    return {
        **_pair_metrics(_judged(embeddings, labels), threshold, ""),
        **_pair_metrics(_judged(embeddings, random_labels), threshold, "_random"),
    }


def _point(project: Project, run: Run) -> CurvePoint:
    db = project.store.reader()
    asked_by = {each.number: each.strategy for each in rounds.list_rounds(db)}
    decided = succession_of(project.runs / run.name)
    return CurvePoint(
        run=run.name,
        round_number=run.round_number,
        bits=run.bits,
        answers=run.answers,
        known_pairs=run.known_pairs,
        metrics={**run.metrics, **metrics_from_next_round(project, run)},
        minutes=answers.minutes_spent(db, first=run.answers, most_s=LONGEST_ANSWER_S),
        strategy=asked_by.get(run.round_number),
        fine_tuning=fine_tuning_of(project.runs / run.name),
        kept_back=not run.active and decided is not None and not decided.takes_over,
    )


def metrics_from_next_round(project: Project, run: Run) -> dict[str, float]:
    """How well a run agrees with the answers of the round after it; empty without embeddings."""
    if not has_embeddings(project.runs / run.name):
        return {}
    db = project.store.reader()
    following = [each for each in rounds.list_rounds(db) if each.number == run.round_number + 1]
    if not following:
        return {}
    answered = responses.answered_proposals(db, following[0].round_id)
    asked = [each for each in answered if not each.repeat]
    labels = {each.pair: each.kind.value == "similar" for each in asked if each.kind.is_label}
    if not labels:
        return {}
    checks = [each.pair for each in asked if each.check]
    embeddings = read_embeddings(project.runs / run.name)
    return answer_metrics(embeddings, labels, checks, run.metrics.get("threshold"))


def _judged(embeddings: Embeddings, labels: Mapping[Pair, bool | None]) -> _Judged:
    """Similarities of those pairs whose images the model has embedded."""
    inside = [
        (embeddings.rows[pair.a], embeddings.rows[pair.b], bool(similar))
        for pair, similar in labels.items()
        if pair.a in embeddings.rows and pair.b in embeddings.rows
    ]
    a = np.array([row for row, _, _ in inside], dtype=np.int64)
    b = np.array([row for _, row, _ in inside], dtype=np.int64)
    vectors = embeddings.vectors
    return _Judged(
        similarity=np.einsum("pd,pd->p", vectors[a], vectors[b]).astype(np.float64),
        similar=np.array([similar for _, _, similar in inside], dtype=bool),
    )


def _pair_metrics(judged: _Judged, threshold: float | None, suffix: str) -> dict[str, float]:
    found = {
        f"auc{suffix}": roc_auc(judged.similarity, judged.similar),
        f"average_precision{suffix}": pair_average_precision(judged.similarity, judged.similar),
    }
    if threshold is not None:
        found[f"balanced_accuracy{suffix}"] = balanced_accuracy(
            judged.similarity, judged.similar, threshold
        )
    return {name: value for name, value in found.items() if value is not None}
