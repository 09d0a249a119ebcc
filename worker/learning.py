"""From answers to a model: snapshot, training, embeddings, quality, run directory, store."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from annealing.components.labels import SoftLabels
from annealing.mining import similarity_quantile
from annealing.pool import pair_similarities
from annealing.uncertainty import mgue_threshold
from domain.answers import Effort, KnownRelation, Propagation
from domain.arrays import FloatArray, IntArray
from domain.clock import utc_now
from domain.config import Depth, ProjectConfig, Strategy, config_toml
from domain.images import Part
from domain.jobs import Progress
from domain.rounds import Round, RoundState, Run
from labeling_store import answers, relations, rounds, runs
from training.checkpoints import save_head
from training.group_head import group_head
from training.head import TrainedHead, frozen_head
from training.trainer import train_head
from worker.backbone import ArchiveFeatures
from worker.bands import bands_as_text
from worker.distinct import answers_of, distinct, labels_about
from worker.group_labels import kept_labels, with_copies
from worker.known_rows import inside, known_rows
from worker.quality import retrieval_quality
from worker.report import JobReport
from worker.spaces import kept_looks
from worker.succession import succession
from workflow.consistency import error_to_reckon_with
from workflow.project import Project
from workflow.run_files import (
    Embeddings,
    RunFiles,
    views_of,
    write_run,
)

FROZEN = "frozen"
FROZEN_VIEWS = "frozen-views"
_SAMPLED_ROWS = 10_000  # for a first threshold: 50 million pairs; all of 100,000 take minutes


def keep_frozen(project: Project, archive: ArchiveFeatures) -> None:
    """Make the features as they come the active run, unless there is one already.

    They are standardised with the training images' statistics and have length 1.
    """
    if runs.active_run(project.store.reader()) is None:
        _keep_frozen(project, archive, free_name(project, FROZEN))


def keep_frozen_views(project: Project, archive: ArchiveFeatures) -> bool:
    """Let the features of all views take the place of those of the single view as they come.

    Once: where there is a model of all views already, or the active one has learnt from answers,
    it stays.

    Returns:
        Whether it was done.
    """
    known = runs.list_runs(project.store.reader())
    active = runs.active_run(project.store.reader())
    if active is not None and active.depth != FROZEN:
        return False
    if any(views_of(project.runs / run.name) is archive.views for run in known):
        return False
    _keep_frozen(project, archive, FROZEN_VIEWS)
    return True


def _keep_frozen(project: Project, archive: ArchiveFeatures, name: str) -> None:
    head = frozen_head(archive.features[archive.rows_in(Part.TRAIN)])
    vectors = head.embed(archive.features)
    run = _run(project, name, 0, Effort(0, 0, 0, 0, 0, 0), 0)
    keep_run(project, archive, run, vectors, [], [], lambda path: save_head(head, path))


def train_on_answers(
    project: Project,
    archive: ArchiveFeatures,
    *,
    device: torch.device,
    report: JobReport,
    strategy: str,
    judged_in: ArchiveFeatures | None = None,
    progress: Progress,
) -> Run:
    """A head trained on all that is known now, kept as `round-NNN`.

    It becomes the active run unless the one in use may be better (`worker.succession`).

    The strategy that asks next decides what it learns: groups of images for `components`, a
    classifier of pairs as well for BCGUE, known relations otherwise.

    Args:
        judged_in: where the backbone was retrained just before, on answers that must not be known
            to judge by them: the features by the one before.
    """
    depth = Depth.HEAD if judged_in is None else Depth.FULL
    with project.store.snapshot() as db:
        current = rounds.current_round(db)
        effort = answers.effort(db)
        # Groups are learnt from the answers; all that these imply would be millions of pairs.
        groups = strategy == Strategy.COMPONENTS.value
        spread = Propagation.OFF if groups else project.config.propagation
        known = relations.known_relations(project.store, spread, part=Part.TRAIN, proofs=False)
    known = inside(archive.image_ids[archive.rows_in(Part.TRAIN)], known)
    number = 0 if current is None else current.number
    with _round_in_training(project, current):
        if groups:
            progress(0.0, "learning the groups")
            head = _learn_groups(project, archive, device)
        else:
            head = _train(project, archive, known, device, strategy, progress)
    if head.note:
        report.log(head.note)
    decided = succession(project, judged_in or archive, head, known, device=device)
    if decided is not None:
        report.log(decided.words)
    vectors = head.embed(archive.features)
    count = len(known)
    if groups:
        count = relations.known_pair_count(project.store, project.config.propagation)
    run = _run(project, free_name(project, f"round-{number:03d}"), number, effort, count)
    run = replace(run, depth=depth.value, active=decided is None or decided.takes_over)
    return keep_run(
        project,
        archive,
        run,
        vectors,
        known,
        head.history,
        lambda path: save_head(head, path),
        made_by=report.key,
        told=Told(head.labels, succession=None if decided is None else decided.as_toml()),
    )


@contextmanager
def _round_in_training(project: Project, current: Round | None) -> Iterator[None]:
    """The current round, if there is one, says within the block that a model learns from it."""
    if current is not None:
        _set_state(project, current.round_id, RoundState.TRAINING)
    try:
        yield
    finally:
        if current is not None:
            _set_state(project, current.round_id, RoundState.COLLECTING)


def _train(
    project: Project,
    archive: ArchiveFeatures,
    known: Sequence[KnownRelation],
    device: torch.device,
    strategy: str,
    progress: Progress,
) -> TrainedHead:
    training = archive.rows_in(Part.TRAIN)
    pairs = known_rows(archive.image_ids[training], known)
    return train_head(
        archive.features[training],
        pairs.rows,
        pairs.similar,
        pairs.weights,
        project.config.training,
        seed=project.config.seed,
        device=device,
        classifier=strategy.startswith("bcgue"),
        progress=progress,
    )


def _learn_groups(project: Project, archive: ArchiveFeatures, device: torch.device) -> TrainedHead:
    """A head learnt from distinct images; what it found out holds for their copies too."""
    training = archive.rows_in(Part.TRAIN)
    images = distinct([archive.records[row] for row in training])

    head = group_head(
        archive.features[training[images.first]],
        answers_of(labels_about(project, images)),
        error=error_to_reckon_with(project),
        device=device,
        find_looks=partial(kept_looks, project, images.records),
    )
    return with_copies(head, images)


def free_name(project: Project, name: str) -> str:
    """The name, with a number behind it where the round was trained before."""
    taken = taken_names(project)
    names = [name, *(f"{name}-{attempt}" for attempt in range(2, len(taken) + 2))]
    return next(each for each in names if each not in taken)


def taken_names(project: Project) -> set[str]:
    return {run.name for run in runs.list_runs(project.store.reader())}


def _run(project: Project, name: str, number: int, effort: Effort, known: int) -> Run:
    return Run(
        name=name,
        round_number=number,
        created_at=utc_now(),
        backbone=project.config.model.backbone.value,
        depth=FROZEN if name in (FROZEN, FROZEN_VIEWS) else "head",
        bits=effort.bits,
        answers=effort.answers,
        known_pairs=known,
        active=True,
    )


@dataclass(frozen=True)
class Told:
    """What a run keeps of how it was made, beside settings, relations and figures.

    Attributes:
        labels: what it learnt of groups.
        fine_tuning, succession: see `RunFiles`.
    """

    labels: SoftLabels | None = None
    fine_tuning: str | None = None
    succession: str | None = None


def keep_run(
    project: Project,
    archive: ArchiveFeatures,
    run: Run,
    vectors: FloatArray,
    known: Sequence[KnownRelation],
    log: Sequence[dict[str, float]],
    save_checkpoint: Callable[[Path], None],
    *,
    threshold: float | None = None,
    made_by: str | None = None,
    told: Told | None = None,
    activate: str | None = None,
) -> Run:
    """A run with its files, in the store.

    Args:
        run: where it is active, it takes the place of the one that was.
        threshold: similarity from which on it says similar; None: worked out from what is known.
        made_by: the key of the job that made it.
        told: what else is kept of how it was made.
        activate: another run that is in use from now on, with the same transaction; None: none.
    """
    embeddings = Embeddings(archive.image_ids, vectors)
    training = archive.rows_in(Part.TRAIN)
    metrics = retrieval_quality(archive.records, vectors)
    if threshold is not None:
        metrics["threshold"] = threshold
    elif len(training) > 1:
        metrics["threshold"] = _threshold(project, embeddings, training, known)
    told = told or Told()
    groups = None
    if told.labels is not None:
        groups = kept_labels(archive.image_ids[training], told.labels)
    files = RunFiles(
        config_toml=config_toml(_as_made(project.config, archive)),
        relations=known,
        embeddings=embeddings,
        metrics=metrics,
        log=log,
        save_checkpoint=save_checkpoint,
        groups=groups,
        fine_tuning=told.fine_tuning,
        succession=told.succession,
        backbone=archive.backbone_in,
        bands=None if archive.bands is None else bands_as_text(archive.bands),
    )
    write_run(project.runs, run.name, files)
    kept = replace(run, metrics=metrics)
    with project.store.transaction() as db:
        runs.add_run(db, kept, made_by=made_by)
        if activate is not None:
            runs.activate_run(db, activate)
    return kept


def _as_made(config: ProjectConfig, archive: ArchiveFeatures) -> ProjectConfig:
    """The settings, with the views that the features are of, and how they were made."""
    made = {"views": archive.views, "descriptor": archive.descriptor}
    model = config.model.model_copy(update=made)
    return config.model_copy(update={"model": model})


def _threshold(
    project: Project, embeddings: Embeddings, training: IntArray, known: Sequence[KnownRelation]
) -> float:
    """The similarity from which on the model says similar."""
    pairs = [(embeddings.rows[each.pair.a], embeddings.rows[each.pair.b]) for each in known]
    similarity = pair_similarities(embeddings.vectors, np.array(pairs).reshape(-1, 2))
    similar = np.array([each.similar for each in known], dtype=bool)
    settings = project.config.selection
    quantile = None
    if not known:
        step = -(-len(training) // _SAMPLED_ROWS)
        vectors = embeddings.vectors[training[::step]]
        quantile = similarity_quantile(vectors, 1 - settings.similar_share)
    return mgue_threshold(
        similarity[similar],
        similarity[~similar],
        lam=settings.lambda_,
        clip=settings.clip,
        pool_quantile=quantile,
    ).alpha


def _set_state(project: Project, round_id: int, state: RoundState) -> None:
    with project.store.transaction() as db:
        rounds.set_round_state(db, round_id, state)
