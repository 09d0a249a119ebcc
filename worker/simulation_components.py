"""A simulation of component-first questions: chains are followed by look-up, as the queue does."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from annealing.components.choosing import next_chains
from annealing.components.evidence import Answers
from annealing.components.questions import Chain
from annealing.components.space import space_of
from annealing.transitivity import Closure
from domain.jobs import Progress, named, part_of
from domain.pairs import pair
from training.group_head import group_head
from training.head import frozen_head
from worker.simulation_curve import Row
from worker.simulation_seed import SimulationSeed


class ComponentRounds:
    """The rounds of a seed; each learns from all answers so far."""

    def __init__(self, seed: SimulationSeed) -> None:
        self._seed, self._options = seed, seed.options
        self._space = space_of(frozen_head(seed.features).embed(seed.features))
        self._said = _Said()

    def rows(self, progress: Progress) -> Iterator[Row]:
        """Frozen, after the initial set (unless there is none), then rounds 1…R."""
        total = self._options.rounds + 1
        row = self._seed.frozen()[2]
        yield row
        if self._options.initial == "class":
            drawn = self._seed.initial_set()
            for (a, b), similar in zip(drawn.pairs.tolist(), drawn.similar.tolist(), strict=True):
                self._said.add(a, b, similar)
            row = replace(self._seed.empty_row(0), bits=drawn.bits, answers=len(drawn.images))
            row = self._learnt(row)
            yield row
        started = 0 if self._options.initial == "pairs" else 1
        for number in range(started, total):
            inner = part_of(progress, number / total, (number + 1) / total)
            inner = named(inner, f"round {number} of {self._options.rounds}")
            row = self._round(row, number, inner)
            yield row

    def _round(self, row: Row, number: int, progress: Progress) -> Row:
        progress(0.0, "choosing questions")
        before, wanted = len(self._said), self._options.bits_per_round
        rng, seconds, similar = self._seed.noise_rng(number), 0.0, 0
        while (left := wanted - (len(self._said) - before)) > 0:
            began = time.perf_counter()
            chains = next_chains(
                self._space,
                self._said.answers,
                left,
                error=self._options.assumed_error,
                look_ups=not self._options.strict,
            )
            seconds += time.perf_counter() - began
            asked = self._asked(chains, left, rng)
            if not asked:
                break
            similar += sum(asked)
        answered = len(self._said) - before
        return self._learnt(
            replace(
                row,
                round=number,
                bits=row.bits + answered,
                answers=row.answers + answered,
                seconds_select=seconds,
                similar_share=similar / answered if answered else None,
                note="" if answered == wanted else "No question is left.",
            )
        )

    def _asked(self, chains: list[Chain], left: int, rng: np.random.Generator) -> list[bool]:
        """The answers to at most so many questions; strict rounds ask each chain's first only."""
        answers: list[bool] = []
        for chain in chains:
            for a, b in chain.pairs:
                if len(answers) == left:
                    return answers
                if chain.unless_implied and not self._options.strict and self._said.implied(a, b):
                    continue
                answers.append(self._answer(a, b, rng))
                if answers[-1] or self._options.strict:
                    break
        return answers

    def _answer(self, a: int, b: int, rng: np.random.Generator) -> bool:
        similar = bool(self._seed.answers(np.array([(a, b)]), rng)[0])
        self._said.add(a, b, similar)
        return similar

    def _learnt(self, row: Row) -> Row:
        began = time.perf_counter()
        head = group_head(
            self._seed.features,
            self._said.answers,
            error=self._options.assumed_error,
            device=self._seed.device,
        )
        row = replace(
            row,
            seconds_train=time.perf_counter() - began,
            known_pairs=self._said.known_pairs,
            note=" ".join(each for each in (row.note, head.note) if each),
        )
        return self._seed.measured(head, row)[1]


@dataclass
class _Said:
    """All answers in their order, and what they imply."""

    pairs: list[tuple[int, int]] = field(default_factory=list)
    similar: list[bool] = field(default_factory=list)
    closure: Closure = field(default_factory=Closure)

    def __len__(self) -> int:
        return len(self.pairs)

    def add(self, a: int, b: int, similar: bool) -> None:
        self.pairs.append((a, b))
        self.similar.append(similar)
        self.closure.add(pair(a, b), similar)

    def implied(self, a: int, b: int) -> bool:
        """Whether the answers say how this pair is related."""
        return self.closure.relation(a, b) is not None

    @property
    def answers(self) -> Answers:
        return Answers(np.array(self.pairs, np.int64).reshape(-1, 2), np.array(self.similar, bool))

    @property
    def known_pairs(self) -> int:
        """How many relations are known, answered and implied."""
        size = {root: len(self.closure.members(root)) for root in self.closure.roots()}
        inside = sum(count * (count - 1) // 2 for count in size.values())
        return inside + sum(size[a] * size[b] for a, b in self.closure.cannot_links())
