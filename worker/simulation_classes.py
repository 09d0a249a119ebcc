"""What the paper compares with, by class labels: CAL, and the upper bound.

Source: ANNEAL, section on the compared methods.
"""

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from annealing.bits import class_label_bits, images_for_bits
from annealing.cal import least_confident_images
from annealing.pool import pool_size
from domain.arrays import IntArray
from domain.jobs import Progress, part_of
from training.class_trainer import ClassHead, train_class_head, train_on_all_relations
from training.head import frozen_head
from worker.simulation_curve import Row
from worker.simulation_seed import SimulationSeed

_WRONG_CLASS = 3  # a stream of random numbers beside those of `SimulationSeed`
_ONE_CLASS = "All labelled images are of one class: the frozen features are the embedding."


def class_label_rows(seed: SimulationSeed, progress: Progress) -> Iterator[Row]:
    """CAL: frozen features, the initial set's class labels, then R rounds of floor(H / log2 C).

    A wrong answer is any other class.

    Corner cases: while the labels are of one class there is nothing to learn, and every image is
    as doubtful as any; the frozen features are the embedding.
    """
    rounds, options = seed.options.rounds + 1, seed.options
    labels = np.full(len(seed.labels), -1)
    images = seed.initial_set().images
    labels[images] = seed.labels[images]
    yield seed.frozen()[2]
    head, row = _trained(seed, labels, seed.empty_row(0), part_of(progress, 0.0, 1 / rounds))
    yield row
    for number in range(1, rounds):
        inner = part_of(progress, number / rounds, (number + 1) / rounds)
        inner(0.0, f"round {number} of {options.rounds}: choosing images")
        began = time.perf_counter()
        chosen = least_confident_images(
            head.probabilities(seed.features),
            head.head.embed(seed.features),
            np.flatnonzero(labels >= 0),
            images_for_bits(options.bits_per_round, seed.classes),
            rng=seed.round_rng(number),
        )
        seconds = time.perf_counter() - began
        labels[chosen] = _said(seed, chosen, number)
        empty = replace(seed.empty_row(number), seconds_select=seconds)
        head, row = _trained(seed, labels, empty, inner)
        yield row


def upper_bound_rows(seed: SimulationSeed, progress: Progress) -> Iterator[Row]:
    """The frozen features, and in round 1 a head that knows every relation of the training set."""
    yield seed.frozen()[2]
    began = time.perf_counter()
    head = train_on_all_relations(
        seed.features,
        seed.labels,
        seed.options.training,
        seed=seed.seed,
        device=seed.device,
        progress=progress,
    )
    images = len(seed.labels)
    row = replace(
        seed.empty_row(1),
        bits=class_label_bits(images, seed.classes),
        answers=images,
        known_pairs=pool_size(images),
        seconds_train=time.perf_counter() - began,
    )
    yield seed.measured(head, row)[1]


def _trained(
    seed: SimulationSeed, labels: IntArray, row: Row, progress: Progress
) -> tuple[ClassHead, Row]:
    began = time.perf_counter()
    head = _class_head(seed, labels, progress)
    known = int((labels >= 0).sum())
    row = replace(
        row,
        bits=class_label_bits(known, seed.classes),
        answers=known,
        known_pairs=pool_size(known),
        seconds_train=time.perf_counter() - began,
    )
    return head, seed.measured(head.head, row)[1]


def _class_head(seed: SimulationSeed, labels: IntArray, progress: Progress) -> ClassHead:
    classes = int(seed.labels.max()) + 1
    if len(np.unique(labels[labels >= 0])) < 2:
        frozen = frozen_head(seed.features, note=_ONE_CLASS)
        return ClassHead(frozen, np.zeros((classes, seed.features.shape[1])), np.zeros(classes))
    return train_class_head(
        seed.features,
        labels,
        classes,
        seed.options.training,
        seed=seed.seed,
        device=seed.device,
        progress=progress,
    )


def _said(seed: SimulationSeed, images: IntArray, number: int) -> IntArray:
    """The oracle's classes, each another one with the chance of the noise."""
    classes = np.unique(seed.labels)
    place = np.searchsorted(classes, seed.labels[images])
    shift = seed.rng(_WRONG_CLASS, number).integers(1, len(classes), size=len(images))
    wrong = seed.noise_rng(number).random(len(images)) < seed.options.noise
    return np.asarray(classes[(place + np.where(wrong, shift, 0)) % len(classes)])
