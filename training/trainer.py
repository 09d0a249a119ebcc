"""Trains the projection head on pairs whose relation is known.

Takes the frozen features of the training images and known pairs of their rows, gives a head that
embeds any image. Similar pairs are pulled together and dissimilar ones apart (contrastive loss),
and a classifier of pairs is trained along with it where one is wanted. A tenth of the answered
images is held out first: where a head trained without them tells their pairs apart clearly worse
than the frozen features do, these remain the embedding.

Source: ANNEAL, section on training; the held-out check is ours.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.sparse import csr_array

from domain.arrays import BoolArray, FloatArray, IntArray
from domain.config import TrainingSettings
from domain.errors import InputError
from domain.jobs import Progress, part_of, silent
from training.fitting import Fitting, one_thread
from training.guesses import Guesses
from training.head import SelectionScore, TrainedHead, check_features, frozen_head
from training.losses.relevance import RelevanceLoss
from training.objectives import JointObjective, PairObjective, RelevanceObjective
from training.samplers import RelationBatches
from training.selection import SHARE, SelectionSet, compare_with_frozen, hold_out

__all__ = ["TrainedHead", "train_head"]

_CLASSIFIER_SEED = 1_000_003  # apart from the head's, so that the head starts the same without one


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

    def batches(self, neighbours: csr_array, guesses: Guesses | None = None) -> RelationBatches:
        """Batches of these pairs; neighbours and guesses as for `RelationBatches`."""
        return RelationBatches(
            self.rows, self.similar, self.weights, neighbours=neighbours, guesses=guesses
        )


def train_head(
    features: FloatArray,
    pairs: IntArray,
    similar: BoolArray,
    weights: FloatArray,
    settings: TrainingSettings,
    *,
    seed: int,
    device: torch.device,
    classifier: bool = False,
    against_frozen: bool = True,
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
        classifier: also train a classifier of pairs, on the head's output, for BCGUE.
        against_frozen: first compare a head with the frozen features on held-out answers.
        progress: told the step and the loss; may raise `Cancelled`.

    Returns:
        The head, or the frozen features with a note that says why: no pair of one kind is
        known, or the head told held-out answers apart clearly worse.

    Raises:
        InputError: shapes do not fit, rows outside of the features, a value that is not finite.
        JobError: the loss is no longer a number.
    """
    known = checked_pairs(pairs, similar, weights, images=len(features))
    check_features(features, width=features.shape[-1])
    missing = missing_kind(known)
    if missing:
        return _on(device, frozen_head(features, note=missing))
    with one_thread():
        return _trained(
            features,
            known,
            settings,
            classifier=classifier,
            against_frozen=against_frozen,
            seed=seed,
            device=device,
            progress=progress,
        )


def _trained(
    features: FloatArray,
    known: KnownPairs,
    settings: TrainingSettings,
    *,
    classifier: bool,
    against_frozen: bool,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> TrainedHead:
    training = _PairTraining(Fitting(features, settings, seed, device))
    selection = None
    if against_frozen:
        selection = training.selection(
            features, known, classifier=classifier, progress=part_of(progress, 0.0, 0.3)
        )
    if selection is not None and selection.is_worse:
        note = (
            f"The head told {selection.pairs} held-out pairs apart worse than the frozen features "
            f"(AUC {selection.head:.3f} against {selection.frozen:.3f}), which therefore remain "
            "the embedding. Answer more pairs."
        )
        return _on(device, replace(frozen_head(features, note=note), selection=selection))
    rest = part_of(progress, 0.0 if selection is None else 0.3, 1.0)
    steps = _step_count(known, settings)
    head = training.run(known, steps, classifier=classifier, progress=rest)
    return replace(head, selection=selection)


class _PairTraining:
    """Heads for known pairs, with or without a classifier of pairs."""

    def __init__(self, fitting: Fitting) -> None:
        self._fitting, self._settings, self._seed = fitting, fitting.settings, fitting.seed

    def selection(
        self, features: FloatArray, known: KnownPairs, *, classifier: bool, progress: Progress
    ) -> SelectionScore | None:
        """Head against frozen features on answers held out of a short training; None if too few."""
        found = held_out(known, self._seed)
        if found is None:
            return None
        steps = min(self._settings.fewest_steps, self._settings.most_steps)
        kept = known.only(~found.held_out)
        trial = self.run(kept, steps, classifier=classifier, progress=progress)
        return compare_with_frozen(trial, features, found)

    def run(
        self, known: KnownPairs, steps: int, *, classifier: bool, progress: Progress
    ) -> TrainedHead:
        """A head after so many steps."""
        batches = self._batches(known)
        if not classifier:
            return self._fitting.fit(batches, PairObjective(self._settings), steps, progress)
        generator = torch.Generator().manual_seed(self._seed + _CLASSIFIER_SEED)
        joint = JointObjective(self._settings, generator=generator, device=self._fitting.device)
        head = self._fitting.fit(batches, joint, steps, progress)
        symmetric = self._settings.classifier_symmetric
        return replace(head, classifier=joint.network.classifier(symmetric=symmetric))

    def with_loss(
        self,
        known: KnownPairs,
        loss: RelevanceLoss,
        steps: int,
        guesses: Guesses | None,
        progress: Progress,
    ) -> TrainedHead:
        """A head after so many steps of another loss."""
        batches = known.batches(self._fitting.neighbours, guesses)
        return self._fitting.fit(batches, RelevanceObjective(loss), steps, progress)

    def _batches(self, known: KnownPairs) -> RelationBatches:
        return known.batches(self._fitting.neighbours)


def _step_count(known: KnownPairs, settings: TrainingSettings) -> int:
    """The more is known, the longer: epochs over the similar pairs, within bounds."""
    anchors = settings.epochs * int(known.similar.sum())
    steps = anchors // settings.batch_anchors
    return min(max(steps, settings.fewest_steps), settings.most_steps)


def train_with_loss(
    features: FloatArray,
    known: KnownPairs,
    loss: RelevanceLoss,
    settings: TrainingSettings,
    *,
    steps: int,
    seed: int,
    device: torch.device,
    guesses: Guesses | None = None,
    progress: Progress = silent,
) -> TrainedHead:
    """A head that one loss alone has trained from its start, to compare losses.

    Whatever the loss, the same seed gives the same first weights and the same batches, and nothing
    is held out to choose by.

    Args:
        features: [N, D] frozen features of the training images only.
        known: pairs of their rows.
        loss: of a batch's embeddings and relevance matrix.
        settings: of heads; what is not known keeps its structure as in `train_head`.
        steps: of training.
        guesses: about pairs that are not known.
        seed, device, progress: see `train_head`.

    Raises:
        InputError: no pair is known, or features that are not finite.
        JobError: the loss is no longer a number.
    """
    check_features(features, width=features.shape[-1])
    with one_thread():
        training = _PairTraining(Fitting(features, settings, seed, device))
        return training.with_loss(known, loss, steps, guesses, progress)


def judge_features(
    features: FloatArray,
    known: KnownPairs,
    settings: TrainingSettings,
    *,
    seed: int,
    device: torch.device,
    progress: Progress = silent,
) -> SelectionScore | None:
    """How well held-out answers are told apart by features, and by a head trained without them.

    Args:
        features: [N, D] of the training images only.
        known: pairs of their rows.
        settings, seed, device, progress: see `train_head`, which holds out the same answers.

    Returns:
        None where there are too few answers, or all are of one kind.
    """
    if missing_kind(known):
        return None
    with one_thread():
        training = _PairTraining(Fitting(features, settings, seed, device))
        return training.selection(features, known, classifier=False, progress=progress)


def held_out(known: KnownPairs, seed: int, *, among: IntArray | None = None) -> SelectionSet | None:
    """The selection set of a training: the same for the same knowledge, whatever is trained.

    Args:
        known: pairs of rows.
        seed: draws the images.
        among: rows of images; only these are held out, as many as there would be of all. None: any.
    """
    share = SHARE
    if among is not None:
        answered = np.unique(known.rows)
        share = min(1.0, SHARE * len(answered) / max(int(np.isin(among, answered).sum()), 1))
    rng = np.random.default_rng((seed, 1))
    return hold_out(known.rows, known.similar, rng=rng, share=share, among=among)


def checked_pairs(
    pairs: IntArray, similar: BoolArray, weights: FloatArray, *, images: int
) -> KnownPairs:
    """Pairs of training rows, those of weight 0 left out; see `train_head`.

    Raises:
        InputError: shapes do not fit, rows outside of the images, a weight that is not allowed.
    """
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
    if len(known) and not (known.rows.min() >= 0 and known.rows.max() < images):
        raise InputError(
            f"Pairs name rows from {known.rows.min()} to {known.rows.max()}, but there are "
            f"{images} training images.",
            "Use pairs of training images only.",
        )
    if not (np.isfinite(known.weights).all() and (known.weights >= 0).all()):
        raise InputError("A weight is negative or not a number.", "Use weights of 0 or more.")
    return known.only(known.weights > 0)


def missing_kind(known: KnownPairs) -> str:
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


def _on(device: torch.device, head: TrainedHead) -> TrainedHead:
    return replace(head, module=head.module.to(device))
