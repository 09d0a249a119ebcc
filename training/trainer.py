"""Trains the projection head on pairs whose relation is known.

Takes the frozen features of the training images and known pairs of their rows, gives a head that
embeds any image. Similar pairs are pulled together and dissimilar ones apart (contrastive loss).
Of all other pairs of training images the cosine of the frozen features is kept, and images that
are each other's nearest come a little closer. A tenth of the answered images is held out first:
where a head trained without them tells their pairs apart clearly worse than the frozen features
do, these remain the embedding.

Source: ANNEAL, section on training; all but the contrastive loss is ours.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from domain.arrays import BoolArray, FloatArray, IntArray
from domain.config import TrainingSettings
from domain.errors import InputError, JobError
from domain.jobs import Progress, part_of, silent
from training.head import (
    Projection,
    SelectionScore,
    TrainedHead,
    check_features,
    fitted_standardise,
    frozen_head,
    new_projection,
)
from training.losses.contrastive import contrastive_loss
from training.losses.structure import neighbour_loss, structure_loss
from training.neighbours import mutual_neighbours
from training.samplers import Batch, RelationBatches
from training.selection import compare_with_frozen, hold_out

__all__ = ["TrainedHead", "train_head"]

_LOG_STEPS = 20  # steps between two lines of the history


@dataclass(frozen=True)
class KnownPairs:
    """Pairs of training rows whose relation is known.

    Attributes:
        rows: [P, 2].
        similar: [P].
        weights: [P] above 0.
    """

    rows: IntArray
    similar: BoolArray
    weights: FloatArray

    def __len__(self) -> int:
        return len(self.rows)

    def only(self, chosen: BoolArray) -> "KnownPairs":
        """Those pairs that are chosen."""
        return KnownPairs(self.rows[chosen], self.similar[chosen], self.weights[chosen])


def train_head(
    features: FloatArray,
    pairs: IntArray,
    similar: BoolArray,
    weights: FloatArray,
    settings: TrainingSettings,
    *,
    seed: int,
    device: torch.device,
    progress: Progress = silent,
) -> TrainedHead:
    """A head that puts known similar pairs close and known dissimilar ones apart.

    Args:
        features: [N, D] frozen features of the training images only.
        pairs: [P, 2] rows of them; a pair that is there twice counts twice.
        similar: [P] whether each pair is similar.
        weights: [P] 0 or more; how much each pair counts in the loss.
        settings: see there.
        seed: on one kind of device the same seed gives the same head.
        device: where to train; the head stays there.
        progress: told the step and the loss; may raise `Cancelled`.

    Returns:
        The head, or the frozen features with a note that says why: no pair of one kind is
        known, or the head told held-out answers apart clearly worse.

    Raises:
        InputError: shapes do not fit, rows outside of the features, a value that is not finite.
        JobError: the loss is no longer a number.
    """
    known = _checked(features, pairs, similar, weights)
    missing = _missing_kind(known)
    if missing:
        return _on(device, frozen_head(features, note=missing))
    with _one_thread():
        return _trained(features, known, settings, seed=seed, device=device, progress=progress)


def _trained(
    features: FloatArray,
    known: KnownPairs,
    settings: TrainingSettings,
    *,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> TrainedHead:
    training = _Training(features, settings, seed, device)
    selection = training.selection(known, part_of(progress, 0.0, 0.3))
    if selection is not None and selection.is_worse:
        note = (
            f"The head told {selection.pairs} held-out pairs apart worse than the frozen features "
            f"(AUC {selection.head:.3f} against {selection.frozen:.3f}), which therefore remain "
            "the embedding. Answer more pairs."
        )
        return _on(device, replace(frozen_head(features, note=note), selection=selection))
    start = 0.0 if selection is None else 0.3
    head = training.run(known, _step_count(known, settings), part_of(progress, start, 1.0))
    return replace(head, selection=selection)


class _Training:
    """The training images, ready to train heads on different pairs of them."""

    def __init__(
        self, features: FloatArray, settings: TrainingSettings, seed: int, device: torch.device
    ) -> None:
        self._features, self._settings = features, settings
        self._seed, self._device = seed, device
        self._standardise = fitted_standardise(features, components=settings.components).to(device)
        rows = np.ascontiguousarray(features, dtype=np.float32)
        self._inputs = self._standardise(torch.from_numpy(rows).to(device))
        self._neighbours = mutual_neighbours(self._inputs, settings.neighbours)

    def selection(self, known: KnownPairs, progress: Progress) -> SelectionScore | None:
        """Head against frozen features on answers held out of a short training; None if too few."""
        found = hold_out(known.rows, known.similar, rng=np.random.default_rng((self._seed, 1)))
        if found is None:
            return None
        steps = min(self._settings.fewest_steps, self._settings.most_steps)
        trial = self.run(known.only(~found.held_out), steps, progress)
        judged = known.only(found.held_out)
        return compare_with_frozen(
            trial,
            self._features,
            judged.rows,
            judged.similar,
            components=found.components[found.held_out],
        )

    def run(self, known: KnownPairs, steps: int, progress: Progress) -> TrainedHead:
        """A head after so many steps."""
        settings, rng = self._settings, np.random.default_rng(self._seed)
        generator = torch.Generator().manual_seed(self._seed)
        head = new_projection(self._standardise, settings, generator=generator).to(self._device)
        optimiser = torch.optim.Adam(head.parameters(), lr=settings.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        batches = RelationBatches(
            known.rows, known.similar, known.weights, neighbours=self._neighbours
        )
        history: list[dict[str, float]] = []
        for step in range(1, steps + 1):
            batch = batches.draw(rng, anchors=settings.batch_anchors, others=settings.batch_others)
            loss = _batch_loss(head, self._inputs, batch, settings)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            if step % _LOG_STEPS == 0 or step == steps:
                history.append(_logged(step, loss))
                progress(step / steps, f"step {step} of {steps}, loss {history[-1]['loss']:.4f}")
        return TrainedHead(head.eval(), history)


def _step_count(known: KnownPairs, settings: TrainingSettings) -> int:
    """The more is known, the longer: epochs over the similar pairs, within bounds."""
    anchors = settings.epochs * int(known.similar.sum())
    steps = anchors // settings.batch_anchors
    return min(max(steps, settings.fewest_steps), settings.most_steps)


def _batch_loss(
    head: Projection, inputs: Tensor, batch: Batch, settings: TrainingSettings
) -> Tensor:
    """The contrastive loss of what is known, the change of other cosines, and the neighbours."""
    frozen = inputs[torch.from_numpy(batch.rows).to(inputs.device)]
    relevance = torch.from_numpy(batch.relevance).to(inputs.device)
    weights = torch.from_numpy(batch.weights).to(inputs.device)
    embeddings = head.project(frozen)
    loss = contrastive_loss(embeddings, relevance, margin=settings.margin, weights=weights)
    loss = loss + settings.structure_weight * structure_loss(embeddings, frozen, relevance)
    neighbours = torch.from_numpy(batch.neighbours).to(inputs.device)
    return loss + settings.neighbour_weight * neighbour_loss(embeddings, neighbours)


def _logged(step: int, loss: Tensor) -> dict[str, float]:
    value = float(loss.detach())
    if not np.isfinite(value):
        raise JobError(
            f"The loss became {value} at step {step}.",
            "Lower training.learning_rate in project.toml and train again.",
        )
    return {"step": float(step), "loss": value}


def _checked(
    features: FloatArray, pairs: IntArray, similar: BoolArray, weights: FloatArray
) -> KnownPairs:
    check_features(features, width=features.shape[-1])
    known = KnownPairs(
        np.asarray(pairs, dtype=np.int64).reshape(-1, 2),
        np.asarray(similar, dtype=bool),
        np.asarray(weights, dtype=np.float32),
    )
    if known.similar.shape != (len(known),) or known.weights.shape != (len(known),):
        raise InputError(
            f"{len(known)} pairs have relations of shape {known.similar.shape} and weights of "
            f"shape {known.weights.shape}; one of each a pair is needed.",
            "Pass them in the order of the pairs.",
        )
    if len(known) and not (known.rows.min() >= 0 and known.rows.max() < len(features)):
        raise InputError(
            f"Pairs name rows from {known.rows.min()} to {known.rows.max()}, but there are "
            f"{len(features)} training images.",
            "Use pairs of training images only.",
        )
    if not (np.isfinite(known.weights).all() and (known.weights >= 0).all()):
        raise InputError("A weight is negative or not a number.", "Use weights of 0 or more.")
    return known.only(known.weights > 0)


def _missing_kind(known: KnownPairs) -> str:
    """Why there is nothing to learn, in words; empty where there is."""
    similar = known.similar
    if not len(known):
        return "No pair is known yet: the frozen features are the embedding."
    if similar.all() or not similar.any():
        kind, other = ("similar", "dissimilar") if similar.all() else ("dissimilar", "similar")
        return (
            f"All {len(known)} known pairs are {kind}: a head would put everything "
            f"{'together' if kind == 'similar' else 'apart'}, so the frozen features remain the "
            f"embedding until {other} pairs are known too."
        )
    return ""


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let PyTorch compute on one core of the CPU meanwhile.

    A step takes milliseconds: threads gain little on an idle machine, and on a busy one their
    waiting for one another made a training 25 times slower (measured with two cores, load 5).
    One thread also gives the same head on machines with more and with fewer cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _on(device: torch.device, head: TrainedHead) -> TrainedHead:
    return replace(head, module=head.module.to(device))
