"""One seed of a simulation: its split, its oracle, its rounds."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from annealing.expansion import known_relations
from annealing.initial_set import initial_set
from annealing.pool import joined, pair_keys
from annealing.strategies import propose
from domain.answers import KnownRelation, Propagation
from domain.arrays import FloatArray, IntArray
from domain.jobs import Progress, part_of
from domain.pairs import Pair, pair
from retrieval.metrics import evaluate_retrieval
from training.device import resolve_device
from training.head import TrainedHead, frozen_head
from training.trainer import train_head
from worker.simulation_archive import SeedSplit, SimulationArchive, copy_pairs, split
from worker.simulation_curve import FROZEN_ROUND, Row
from worker.simulation_options import SimulationOptions

_METRICS = ("map_at_5_hits", "map_at_5_min", "map", "p_at_5", "p_at_10", "recall_at_1")

# Independent streams of random numbers within a seed.
_INITIAL, _NOISE, _ROUND = 1, 2, 1000


@dataclass(frozen=True)
class State:
    """What is known after a round: answers in their order, the head they gave, what they cost."""

    answers: Mapping[Pair, bool]
    known: Sequence[KnownRelation]
    head: TrainedHead
    vectors: FloatArray
    row: Row


class SeedRun:
    """One seed: its split, its oracle and its streams of random numbers."""

    def __init__(self, archive: SimulationArchive, options: SimulationOptions, seed: int) -> None:
        self._archive, self._options, self._seed = archive, options, seed
        self._parts: SeedSplit = split(archive, seed)
        self._labels: IntArray = archive.labels[self._parts.train]
        self._features = archive.features[self._parts.train]
        self._copies = copy_pairs(archive.copies[self._parts.train])
        self._device = resolve_device(options.device)

    def frozen(self) -> State:
        """Round −1: the standardised frozen features."""
        return self._state({}, (), frozen_head(self._features), self._row(FROZEN_ROUND))

    def initial(self, frozen: State, progress: Progress) -> State:
        """Round 0: after the initial set."""
        if self._options.initial == "pairs":
            return self._round(frozen, "mgue", 0, progress)
        drawn = initial_set(self._labels, rng=self._rng(_INITIAL))
        answers = {
            pair(int(a), int(b)): bool(similar)
            for (a, b), similar in zip(drawn.pairs, drawn.similar, strict=True)
        }
        row = replace(self._row(0), bits=drawn.bits, answers=len(drawn.images))
        return self._trained(answers, row, progress)

    def rounds(self, start: State, strategy: str, progress: Progress) -> Iterator[State]:
        """Rounds 1…R of a strategy."""
        state = start
        for number in range(1, self._options.rounds + 1):
            done = (number - 1) / self._options.rounds
            inner = part_of(progress, done, number / self._options.rounds)
            name = f"{strategy}, seed {self._seed}, round {number} of {self._options.rounds}"
            state = self._round(state, strategy, number, _named(inner, name))
            yield state

    def _round(self, state: State, strategy: str, number: int, progress: Progress) -> State:
        """Choose questions with the model so far, answer them, learn from all answers."""
        progress(0.0, "choosing questions")
        began = time.perf_counter()
        closed = joined(self._copies, self._keys(state.answers))
        chosen = propose(
            strategy,
            state.vectors[self._parts.train],
            np.array([each.pair for each in state.known], dtype=np.int64).reshape(-1, 2),
            np.array([each.similar for each in state.known], dtype=bool),
            self._options.bits_per_round,
            rng=self._rng(_ROUND + number),
            settings=self._options.selection,
            excluded=closed,
            device=self._device.type,
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
        return self._trained({**state.answers, **said}, row, progress)

    def _asked(self, pairs: IntArray, number: int) -> dict[Pair, bool]:
        """The oracle's answers, each wrong with the chance of the noise."""
        wrong = self._rng(_NOISE, number).random(len(pairs)) < self._options.noise
        same = self._labels[pairs[:, 0]] == self._labels[pairs[:, 1]]
        return {
            pair(int(a), int(b)): bool(similar)
            for (a, b), similar in zip(pairs, same ^ wrong, strict=True)
        }

    def _trained(self, answers: Mapping[Pair, bool], row: Row, progress: Progress) -> State:
        began = time.perf_counter()
        propagation = Propagation(self._options.propagation)
        known = known_relations(answers, propagation, proofs=False)
        head = train_head(
            self._features,
            np.array([each.pair for each in known], dtype=np.int64).reshape(-1, 2),
            np.array([each.similar for each in known], dtype=bool),
            np.array([each.weight for each in known], dtype=np.float32),
            self._options.training,
            seed=self._seed,
            device=self._device,
            progress=progress,
        )
        row = replace(row, seconds_train=time.perf_counter() - began, known_pairs=len(known))
        return self._state(answers, known, head, row)

    def _state(
        self,
        answers: Mapping[Pair, bool],
        known: Sequence[KnownRelation],
        head: TrainedHead,
        row: Row,
    ) -> State:
        """A round's end: embeddings of the archive and the metrics of validation against test."""
        began = time.perf_counter()
        vectors = head.embed(self._archive.features)
        retrieval = vectors
        if self._options.retrieval_space == "backbone":
            retrieval = frozen_head(self._features).embed(self._archive.features)
        parts, labels = self._parts, self._archive.labels
        scores = evaluate_retrieval(
            retrieval[parts.queries],
            retrieval[parts.gallery],
            labels[parts.queries],
            labels[parts.gallery],
        )
        row = replace(
            row,
            **{name: getattr(scores, name) for name in _METRICS},
            seconds_evaluate=time.perf_counter() - began,
            selection_auc=None if head.selection is None else head.selection.head,
            selection_auc_frozen=None if head.selection is None else head.selection.frozen,
            note=head.note,
        )
        return State(answers, known, head, vectors, row)

    def _row(self, number: int) -> Row:
        nothing: dict[str, Any] = dict.fromkeys(_METRICS)
        return Row(
            strategy="",
            seed=self._seed,
            round=number,
            bits=0.0,
            answers=0,
            known_pairs=0,
            **nothing,
        )

    def _keys(self, answers: Mapping[Pair, bool]) -> IntArray:
        pairs = np.array(list(answers), dtype=np.int64).reshape(-1, 2)
        return pair_keys(pairs, len(self._parts.train))

    def _rng(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *stream])


def _named(progress: Progress, name: str) -> Progress:
    def report(done: float, message: str) -> None:
        progress(done, f"{name}: {message}")

    return report
