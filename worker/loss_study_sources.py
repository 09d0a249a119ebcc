"""What a comparison of losses starts from, seed by seed: features, relations and a checkpoint.

Three sources: answers by simulation on an archive whose folders are classes, class labels of
such an archive, or the answers of a project.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from annealing.expansion import known_relations
from domain.answers import Propagation
from domain.arrays import BoolArray, FloatArray, IntArray
from domain.config import TrainingSettings
from domain.jobs import Progress
from domain.rounds import Run
from retrieval.leave_one_out import evaluate_leave_one_out
from training.checkpoint_comparison import Retrain
from training.checkpoints import load_head
from training.class_trainer import train_on_all_relations
from training.device import resolve_device
from training.finetuning import pair_checkpoint
from training.group_head import GroupHead, group_head
from training.head import TrainedHead
from training.trainer import KnownPairs
from worker.backbone import ArchiveFeatures
from worker.quality import retrieval_quality
from worker.run_training import RunTraining
from worker.simulation_archive import SimulationArchive
from worker.simulation_components import ComponentRounds, relations_of
from worker.simulation_options import COMPONENTS, SimulationOptions
from worker.simulation_seed import PairRounds, SimulationSeed, pairs_of
from workflow.project import Project
from workflow.run_files import CHECKPOINT, read_relations

Measure = Callable[[TrainedHead], Mapping[str, float]]


@dataclass(frozen=True)
class Source:
    """Where the fine-tunings of a seed start.

    Attributes:
        features: [N, D] of the training images.
        known: pairs of them.
        start: the checkpoint.
        retrain: makes it without some images' answers; remembers the last it made.
        training: how heads are trained.
        measure: figures of images that no training has seen, by name.
    """

    features: FloatArray
    known: KnownPairs
    start: TrainedHead
    retrain: Retrain
    training: TrainingSettings
    measure: Measure


@dataclass(frozen=True)
class Images:
    """Which images of an archive learn, and what is known of them.

    Attributes:
        train, test: rows of the archive, each in ascending order.
        known: pairs of places in `train`.
    """

    train: IntArray
    test: IntArray
    known: KnownPairs


def answered_images(
    archive: SimulationArchive,
    options: SimulationOptions,
    spread: Propagation,
    seed: int,
    progress: Progress,
) -> Images:
    """What the answers of a simulation say; see `answers_source`. No test image takes part."""
    own = SimulationSeed(archive, options, seed)
    parts = own.parts
    test = np.sort(np.concatenate([parts.queries, parts.gallery]))
    if options.strategies[0] == COMPONENTS:
        *_, grouped = ComponentRounds(own).states(progress)
        return Images(parts.train, test, pairs_of(relations_of(grouped.answers)))
    (variant,) = options.variants()[:1]
    *_, last = PairRounds(own, variant).states(progress)
    known = pairs_of(known_relations(last.answers, spread, proofs=False))
    return Images(parts.train, test, known)


def classed_images(archive: SimulationArchive, train_share: float, seed: int) -> Images:
    """All relations between a share of each class; near duplicates stay on one side."""
    train = _training_images(archive, train_share, seed)
    labels = archive.labels[train]
    rows = np.stack(np.triu_indices(len(labels), 1), axis=1)
    similar = labels[rows[:, 0]] == labels[rows[:, 1]]
    known = KnownPairs(rows, similar, np.ones(len(rows), np.float32))
    return Images(np.flatnonzero(train), np.flatnonzero(~train), known)


def answers_source(
    archive: SimulationArchive,
    options: SimulationOptions,
    spread: Propagation,
    seed: int,
    progress: Progress,
) -> Source:
    """The last round of a simulation: its head, and its answers with what they imply.

    Args:
        spread: how far the answers imply others for the losses; the head knows as much as the
            simulation's own propagation says. Groups are learnt by closure, whatever it is.
    """
    own = SimulationSeed(archive, options, seed)
    if options.strategies[0] == COMPONENTS:
        return _groups_source(own, progress)
    (variant,) = options.variants()[:1]
    *_, last = PairRounds(own, variant).states(progress)
    retrain = pair_checkpoint(
        own.features, pairs_of(last.known), options.training, seed=seed, device=own.device
    )
    known = pairs_of(known_relations(last.answers, spread, proofs=False))

    # Where the head did worse than the frozen features, the simulation went on with these.
    start = retrain(np.zeros(len(own.features), bool)) if last.head.is_frozen else last.head

    return Source(
        own.features,
        known,
        start,
        remembered(retrain),
        options.training,
        partial(_measured, own),
    )


def _groups_source(own: SimulationSeed, progress: Progress) -> Source:
    """The same, where answers sort images into groups: losses learn all that they imply."""
    *_, last = ComponentRounds(own).states(progress)

    def retrain(held_out: BoolArray) -> TrainedHead:
        kept = last.answers.without(held_out)
        return group_head(own.features, kept, error=last.error, device=own.device)

    known = pairs_of(relations_of(last.answers))
    return Source(
        own.features,
        known,
        last.head,
        remembered(retrain),
        own.options.training,
        partial(_measured, own),
    )


def _measured(own: SimulationSeed, head: TrainedHead) -> Mapping[str, float]:
    row = own.measured(head, own.empty_row(0))[1]
    names = ("map", "map_at_5_min", "map_at_5_hits", "p_at_5", "p_at_10", "recall_at_1")
    found = {name: getattr(row, name) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def classes_source(
    archive: SimulationArchive, options: SimulationOptions, train_share: float, seed: int
) -> Source:
    """All relations between training images, split by class; test images query one another."""
    images = classed_images(archive, train_share, seed)
    features, labels = archive.features[images.train], archive.labels[images.train]
    device = resolve_device(options.device)
    retrain = _class_checkpoint(features, labels, options.training, seed=seed, device=device)

    def measure(head: TrainedHead) -> Mapping[str, float]:
        return by_classes(archive, head.embed(archive.features[images.test]), images.test)

    start = retrain(np.zeros(len(labels), dtype=bool))
    return Source(features, images.known, start, remembered(retrain), options.training, measure)


def project_source(
    project: Project, archive: ArchiveFeatures, parent: Run, seed: int, *, device: torch.device
) -> Source:
    """The answers that a run has learnt from, and its head; seeds hold other images out."""
    folder = project.runs / parent.name
    training = RunTraining(project, archive, read_relations(folder), seed=seed, device=device)
    start = training.labelled(load_head(folder / CHECKPOINT, device=str(device)), folder)

    def measure(head: TrainedHead) -> Mapping[str, float]:
        return retrieval_quality(archive.records, head.embed(archive.features))

    return Source(
        training.features,
        training.known(groups=isinstance(start.module, GroupHead)),
        start,
        remembered(training.retrain(start)),
        project.config.training,
        measure,
    )


def remembered(retrain: Retrain) -> Retrain:
    """The same, which gives the head that it made last without making it again."""
    last: dict[bytes, TrainedHead] = {}

    def again(held_out: BoolArray) -> TrainedHead:
        key = held_out.tobytes()
        if key not in last:
            head = retrain(held_out)
            last.clear()
            last[key] = head
        return last[key]

    return again


def _training_images(archive: SimulationArchive, share: float, seed: int) -> BoolArray:
    """[N] a share of each class at random; near duplicates stay on one side."""
    rng = np.random.default_rng([seed, 7])
    train = np.zeros(len(archive.labels), dtype=bool)
    for label in np.unique(archive.labels):
        rows = np.flatnonzero(archive.labels == label)
        groups = rng.permutation(np.unique(archive.split_groups[rows]))
        wanted = round(share * len(rows))
        for group in groups:
            if train[rows].sum() >= wanted:
                break
            train[rows[archive.split_groups[rows] == group]] = True
    return train


def _class_checkpoint(
    features: FloatArray,
    labels: IntArray,
    settings: TrainingSettings,
    *,
    seed: int,
    device: torch.device,
) -> Retrain:
    def retrain(held_out: BoolArray) -> TrainedHead:
        left = np.where(held_out, -1, labels)
        return train_on_all_relations(features, left, settings, seed=seed, device=device)

    return retrain


def by_classes(
    archive: SimulationArchive, vectors: FloatArray, rows: IntArray
) -> Mapping[str, float]:
    """Figures of images in these rows of the archive, each queried against the others."""
    labels = archive.labels[rows]
    found = evaluate_leave_one_out(vectors, labels)
    own = evaluate_leave_one_out(vectors, labels, include_self=True)
    figures = {f"p_at_{k}": value for k, value in found.precision.items()}
    if found.map is not None and own.map is not None:
        figures |= {"map": found.map, "map_with_self": own.map}
    figures |= {f"p_at_{k}_with_self": value for k, value in own.precision.items()}
    names = archive.class_names
    return figures | {f"map of {names[c]}": value for c, value in found.map_by_class.items()}
