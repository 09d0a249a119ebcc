"""One seed of a simulation: its split, its oracle, and the rounds of questions about pairs."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from annealing.expansion import known_relations
from annealing.implications import implications
from annealing.initial_set import InitialSet, initial_set
from annealing.pool import joined, keys_within_groups, pair_keys
from annealing.strategies import propose
from domain.answers import KnownRelation
from domain.arrays import BoolArray, FloatArray, IntArray
from domain.jobs import Progress, named, part_of
from domain.pairs import Pair, pair
from domain.vectors import unit_rows
from retrieval.metrics import evaluate_retrieval
from training.device import resolve_device
from training.guesses import Guessing
from training.head import TrainedHead, frozen_head
from training.trainer import KnownPairs, train_head
from worker.simulation_archive import SeedSplit, SimulationArchive, split
from worker.simulation_curve import FROZEN_ROUND, Row
from worker.simulation_depth import FullDepth, Relearnt
from worker.simulation_options import SimulationOptions, Variant

_METRICS = ("map_at_5_hits", "map_at_5_min", "map", "p_at_5", "p_at_10", "recall_at_1")

# Independent streams of random numbers within a seed.
_INITIAL, _NOISE, _ROUND = 1, 2, 1000
_BACKBONE_SHARE = 0.95  # of a training's progress, at full depth


class SimulationSeed:
    """A seed's split, oracle and streams of random numbers, and what a head of it is worth."""

    def __init__(
        self,
        archive: SimulationArchive,
        options: SimulationOptions,
        seed: int,
        *,
        unfinished: Path | None = None,
    ) -> None:
        """A seed.

        Args:
            unfinished: at full depth, where its curve keeps what an interrupted one goes on with.
        """
        self.archive, self.options, self.seed = archive, options, seed
        self.parts: SeedSplit = split(archive, seed)
        self.labels: IntArray = archive.labels[self.parts.train]
        self.features: FloatArray = archive.features[self.parts.train]
        self.copies = keys_within_groups(archive.copies[self.parts.train])
        self.device = resolve_device(options.device)
        self._depth: FullDepth | None = None
        if unfinished is not None:
            train = self.parts.train
            self._depth = FullDepth(archive, options, seed=seed, train=train, folder=unfinished)

    @property
    def is_full(self) -> bool:
        """Whether the backbone is retrained after each round."""
        return self._depth is not None

    @property
    def classes(self) -> int:
        """C, how many classes the training images have."""
        return len(np.unique(self.labels))

    def initial_set(self) -> InitialSet:
        """The images whose class is known before the first round, and their pairs."""
        return initial_set(self.labels, rng=self.rng(_INITIAL))

    def noise_rng(self, number: int) -> np.random.Generator:
        """What chance decides about a round's answers."""
        return self.rng(_NOISE, number)

    def answers(self, pairs: IntArray, rng: np.random.Generator) -> BoolArray:
        """[P] the oracle's answers to pairs [P, 2] of training rows, some of them wrong.

        Each is wrong with the chance of the noise; "similar" is said of two kinds that look
        alike with the chance of that noise, where it is larger.
        """
        labels = self.labels[pairs]
        same = labels[:, 0] == labels[:, 1]
        alike = self._look_alike[labels[:, 0], labels[:, 1]]
        chance = np.where(
            alike, max(self.options.noise, self.options.confusion), self.options.noise
        )
        return np.asarray(same ^ (rng.random(len(pairs)) < chance))

    @cached_property
    def _look_alike(self) -> BoolArray:
        """[C, C] whether one class is the nearest of the other, by the means of their features."""
        unit = frozen_head(self.features).embed(self.features)
        count = int(self.archive.labels.max()) + 1
        centre = np.zeros((count, unit.shape[1]))
        np.add.at(centre, self.labels, unit)
        likeness = unit_rows(centre) @ unit_rows(centre).T
        np.fill_diagonal(likeness, -np.inf)
        nearest = np.zeros((count, count), dtype=bool)
        nearest[np.arange(count), likeness.argmax(axis=1)] = True
        return np.asarray(nearest | nearest.T)

    def round_rng(self, number: int) -> np.random.Generator:
        """What chance decides in a round."""
        return self.rng(_ROUND + number)

    def rng(self, *stream: int) -> np.random.Generator:
        """Random numbers of their own."""
        return np.random.default_rng([self.seed, *stream])

    def empty_row(self, number: int) -> Row:
        """A row without any figure."""
        nothing: dict[str, Any] = dict.fromkeys(_METRICS)
        return Row("", self.seed, number, bits=0.0, answers=0, known_pairs=0, **nothing)

    def frozen(self) -> tuple[TrainedHead, FloatArray, Row]:
        """Round −1: the standardised frozen features."""
        head = frozen_head(self.features)
        return head, *self.measured(head, self.empty_row(FROZEN_ROUND))

    def relearnt(
        self,
        known: KnownPairs,
        number: int,
        progress: Progress,
        *,
        guessing: Guessing | None = None,
    ) -> Relearnt:
        """The archive's features after a round: at head depth the frozen ones."""
        if self._depth is None:
            return Relearnt(self.archive.features)
        first = part_of(progress, 0.0, _BACKBONE_SHARE)
        return self._depth.relearnt(known, number, first, guessing=guessing)

    def after_backbone(self, progress: Progress) -> Progress:
        """What is left of a training's progress for the head."""
        return progress if self._depth is None else part_of(progress, _BACKBONE_SHARE, 1.0)

    def measured(
        self, head: TrainedHead, row: Row, relearnt: Relearnt | None = None
    ) -> tuple[FloatArray, Row]:
        """The archive's embeddings, and the row with the metrics of validation against test.

        Args:
            relearnt: the features that the head reads; None: the frozen ones.
        """
        began = time.perf_counter()
        found = Relearnt(self.archive.features) if relearnt is None else relearnt
        vectors = retrieval = head.embed(found.features)
        if self.options.ranks_by_backbone:
            retrieval = frozen_head(found.features[self.parts.train]).embed(found.features)
        parts, labels = self.parts, self.archive.labels
        scores = evaluate_retrieval(
            retrieval[parts.queries],
            retrieval[parts.gallery],
            labels[parts.queries],
            labels[parts.gallery],
        )
        return vectors, replace(
            row,
            **{name: getattr(scores, name) for name in _METRICS},
            seconds_evaluate=time.perf_counter() - began,
            selection_auc=None if head.selection is None else head.selection.head,
            selection_auc_frozen=None if head.selection is None else head.selection.frozen,
            note=" ".join(dict.fromkeys(each for each in (found.note, head.note) if each)),
        )


@dataclass(frozen=True)
class State:
    """What is known after a round: answers in their order, the head they gave, what they cost."""

    answers: Mapping[Pair, bool]
    known: Sequence[KnownRelation]
    head: TrainedHead
    vectors: FloatArray
    row: Row
    last_answers: BoolArray | None = None


class PairRounds:
    """The rounds of a strategy that asks about pairs."""

    def __init__(self, seed: SimulationSeed, variant: Variant) -> None:
        self._seed, self._options, self._variant = seed, seed.options, variant

    def states(self, progress: Progress) -> Iterator[State]:
        """Frozen, after the initial set (unless there is none), then rounds 1…R."""
        total = self._options.rounds + 1
        state = State({}, (), *self._seed.frozen())
        yield state
        if self._options.initial == "class":
            state = self._from_classes(progress)
            yield state
        elif self._options.initial == "pairs":
            state = self._round(state, "mgue", 0, part_of(progress, 0.0, 1 / total))
            yield state
        for number in range(1, total):
            inner = part_of(progress, number / total, (number + 1) / total)
            inner = named(inner, f"round {number} of {self._options.rounds}")
            state = self._round(state, self._variant.strategy, number, inner)
            yield state

    def _from_classes(self, progress: Progress) -> State:
        drawn = self._seed.initial_set()
        answers = {
            pair(int(a), int(b)): bool(similar)
            for (a, b), similar in zip(drawn.pairs, drawn.similar, strict=True)
        }
        row = replace(self._seed.empty_row(0), bits=drawn.bits, answers=len(drawn.images))
        return self._trained(answers, row, progress)

    def _round(self, state: State, strategy: str, number: int, progress: Progress) -> State:
        """Choose questions with the model so far, answer them, learn from all answers."""
        progress(0.0, "choosing questions")
        seed, options = self._seed, self._options
        began = time.perf_counter()
        chosen = propose(
            strategy,
            state.vectors[seed.parts.train],
            np.array([each.pair for each in state.known], dtype=np.int64).reshape(-1, 2),
            np.array([each.similar for each in state.known], dtype=bool),
            options.bits_per_round,
            rng=seed.round_rng(number),
            settings=options.selection(self._variant),
            excluded=joined(seed.copies, self._keys(state.answers)),
            settles=implications(state.answers, options.spread),
            classifier=state.head.classifier,
            last_answers=state.last_answers,
            device=seed.device.type,
            progress=part_of(progress, 0.0, 0.2),
        )
        seconds = time.perf_counter() - began
        said = self._asked(chosen.pairs, number)
        row = replace(
            state.row,
            round=number,
            bits=state.row.bits + len(said),
            answers=state.row.answers + len(said),
            seconds_select=seconds,
            similar_share=sum(said.values()) / len(said) if said else None,
            threshold=None if chosen.threshold is None else chosen.threshold.alpha,
        )
        trained = self._trained({**state.answers, **said}, row, part_of(progress, 0.2, 1.0))
        notes = " ".join(each for each in (*chosen.notes, trained.row.note) if each)
        answers = np.array(list(said.values()), dtype=bool)
        return replace(trained, row=replace(trained.row, note=notes), last_answers=answers)

    def _asked(self, pairs: IntArray, number: int) -> dict[Pair, bool]:
        """The oracle's answers, each wrong with the chance of the noise."""
        said = self._seed.answers(pairs, self._seed.noise_rng(number))
        return {
            pair(int(a), int(b)): bool(similar) for (a, b), similar in zip(pairs, said, strict=True)
        }

    def _trained(self, answers: Mapping[Pair, bool], row: Row, progress: Progress) -> State:
        seed, options = self._seed, self._options
        began = time.perf_counter()
        known = known_relations(answers, options.spread, proofs=False)
        pairs = pairs_of(known)
        relearnt = seed.relearnt(pairs, row.round, progress)
        head = train_head(
            relearnt.features[seed.parts.train],
            pairs.rows,
            pairs.similar,
            pairs.weights,
            options.training,
            seed=seed.seed,
            device=seed.device,
            classifier=self._variant.has_classifier,
            progress=seed.after_backbone(progress),
        )
        row = replace(row, seconds_train=time.perf_counter() - began, known_pairs=len(known))
        return State(answers, known, head, *seed.measured(head, row, relearnt))

    def _keys(self, answers: Mapping[Pair, bool]) -> IntArray:
        pairs = np.array(list(answers), dtype=np.int64).reshape(-1, 2)
        return pair_keys(pairs, len(self._seed.labels))


def pairs_of(relations: Sequence[KnownRelation]) -> KnownPairs:
    """Relations of training images, named by their rows."""
    return KnownPairs(
        np.array([each.pair for each in relations], dtype=np.int64).reshape(-1, 2),
        np.array([each.similar for each in relations], dtype=bool),
        np.array([each.weight for each in relations], dtype=np.float32),
    )
