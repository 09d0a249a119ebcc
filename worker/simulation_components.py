"""A simulation of component-first questions: chains are followed by look-up, as the queue does.

With grids a chain is answered at one look, as the annotate page's second layout does. With repeats
a share of the answers is given to pairs for the second time, as projects hide them among others.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from annealing.components.choosing import next_chains
from annealing.components.evidence import Answers
from annealing.components.questions import Chain
from annealing.components.space import Space, space_of
from annealing.expansion import known_up_to
from annealing.reliability import reckoned_error
from annealing.transitivity import Closure
from domain.answers import KnownRelation
from domain.arrays import BoolArray, FloatArray, IntArray
from domain.jobs import Progress, named, part_of
from domain.pairs import pair
from training.group_head import Looks, group_head, looks_of
from training.guesses import Guesses, guesses_of
from training.head import TrainedHead, frozen_head
from worker.simulation_curve import Row
from worker.simulation_depth import Relearnt
from worker.simulation_seed import SimulationSeed, pairs_of


@dataclass(frozen=True)
class GroupState:
    """What is known after a round: all answers, how many of them may be wrong, and their head."""

    answers: Answers
    error: float
    head: TrainedHead
    row: Row


class ComponentRounds:
    """The rounds of a seed; each learns from all answers so far."""

    def __init__(self, seed: SimulationSeed) -> None:
        self._seed, self._options = seed, seed.options
        self._space = _space(seed.features)
        self._said = _Said()
        self._screens, self._tiles = 0, 0

    def states(self, progress: Progress) -> Iterator[GroupState]:
        """Frozen, after the initial set (unless there is none), then rounds 1…R."""
        total = self._options.rounds + 1
        head, _, row = self._seed.frozen()
        state = GroupState(self._said.answers, self._error, head, row)
        yield state
        if self._options.initial == "class":
            drawn = self._seed.initial_set()
            for (a, b), similar in zip(drawn.pairs.tolist(), drawn.similar.tolist(), strict=True):
                self._said.add(a, b, similar)
            row = replace(self._seed.empty_row(0), bits=drawn.bits, answers=len(drawn.images))
            state = self._learnt(row, part_of(progress, 0.0, 1 / total))
            yield state
        started = 0 if self._options.initial == "pairs" else 1
        for number in range(started, total):
            inner = part_of(progress, number / total, (number + 1) / total)
            inner = named(inner, f"round {number} of {self._options.rounds}")
            state = self._round(state.row, number, inner)
            yield state

    def _round(self, row: Row, number: int, progress: Progress) -> GroupState:
        progress(0.0, "choosing questions")
        before, wanted = self._said.given, self._options.bits_per_round
        rng, seconds = self._seed.noise_rng(number), 0.0
        similar = self._repeat(round(self._options.repeat_share * wanted), rng)
        while (left := wanted - (self._said.given - before)) > 0:
            began = time.perf_counter()
            chains = next_chains(
                self._space,
                self._said.answers,
                left,
                error=self._error,
                look_ups=not self._options.strict,
            )
            seconds += time.perf_counter() - began
            asked = self._asked(chains, left, rng)
            if not asked:
                break
            similar += sum(asked)
        answered = self._said.given - before
        return self._learnt(
            replace(
                row,
                round=number,
                bits=row.bits + answered,
                answers=row.answers + answered,
                seconds_select=seconds,
                similar_share=similar / answered if answered else None,
                screens=self._screens,
                tiles=self._tiles,
                note="" if answered == wanted else "No question is left.",
            ),
            progress,
        )

    def _asked(self, chains: list[Chain], left: int, rng: np.random.Generator) -> list[bool]:
        """The answers to at most so many questions."""
        answers: list[bool] = []
        for chain in chains:
            if len(answers) == left:
                break
            passed_over = chain.unless_implied and not self._options.strict
            if passed_over and self._said.implied(*chain.pairs[0]):
                continue
            answers += self._of_chain(chain, left - len(answers), rng)
        return answers

    def _of_chain(self, chain: Chain, left: int, rng: np.random.Generator) -> list[bool]:
        """Answers up to the first "similar"; of strict rounds one.

        Of grids also the other "similar" ones that are shown with it: they are marked, and so
        sent. "Dissimilar" ones behind it are not, as nobody would have been asked.
        """
        pairs = chain.pairs[:1] if self._options.strict else chain.pairs
        most = max(1, self._options.grids)
        answers: list[bool] = []
        for start in range(0, len(pairs), most):
            if any(answers) or len(answers) == left:
                break
            shown = pairs[start : start + most]
            answers += self._of_screen(shown, left - len(answers), rng)
            self._screens += 1
            self._tiles += len(shown)
        return answers

    def _of_screen(
        self, shown: Sequence[tuple[int, int]], left: int, rng: np.random.Generator
    ) -> list[bool]:
        answers: list[bool] = []
        for a, b in shown:
            if len(answers) == left:
                break
            similar = bool(self._seed.answers(np.array([(a, b)]), rng)[0])
            if similar or not any(answers):
                self._said.add(a, b, similar)
                answers.append(similar)
        return answers

    def _repeat(self, count: int, rng: np.random.Generator) -> int:
        """Ask answered pairs again, each once; the later answer counts. How many are similar."""
        places = rng.permutation(self._said.asked_once)[:count].tolist()
        answers = self._seed.answers(
            np.array([self._said.pairs[each] for each in places], np.int64).reshape(-1, 2), rng
        )
        for place, similar in zip(places, answers.tolist(), strict=True):
            self._said.answer_again(place, similar)
        self._screens += len(places)
        self._tiles += len(places)
        return int(answers.sum())

    @cached_property
    def _looks(self) -> Looks:
        """Of the frozen features; they depend on no answer."""
        return looks_of(self._seed.features)

    @property
    def _error(self) -> float:
        """The share of wrong answers that is reckoned with."""
        assumed, said = self._options.assumed_error, self._said
        if not said.repeated:
            return assumed
        return reckoned_error(assumed, repeated=len(said.repeated), changed=said.changed)

    def _learnt(self, row: Row, progress: Progress) -> GroupState:
        began, seed = time.perf_counter(), self._seed
        relearnt = Relearnt(seed.archive.features)
        if seed.is_full:
            known = relations_of(self._said.answers)
            relearnt = seed.relearnt(pairs_of(known), row.round, progress, guessing=self._guessed)
            self._space = _space(relearnt.features[seed.parts.train])
        head = group_head(
            relearnt.features[seed.parts.train],
            self._said.answers,
            error=self._error,
            device=seed.device,
            find_looks=looks_of if seed.is_full else lambda _: self._looks,
        )
        asked = replace(
            row,
            seconds_train=time.perf_counter() - began,
            known_pairs=self._said.known_pairs,
        )
        measured = seed.measured(head, asked, relearnt)[1]
        notes = " ".join(each for each in (row.note, measured.note) if each)
        return GroupState(self._said.answers, self._error, head, replace(measured, note=notes))

    def _guessed(self, held_out: BoolArray) -> Guesses | None:
        """What the groups say of other pairs, had nobody answered about some images."""
        head = group_head(
            self._seed.features,
            self._said.answers.without(held_out),
            error=self._error,
            device=self._seed.device,
            find_looks=lambda _: self._looks,
        )
        return guesses_of(head.labels, weight=self._options.training.full.guess_weight)


def relations_of(answers: Answers) -> list[KnownRelation]:
    """All relations that answers give; of a pair that was asked twice the last counts.

    As in projects, with very many each answer implies one step only.
    """
    said = zip(answers.pairs.tolist(), answers.similar.tolist(), strict=True)
    labels = {pair(a, b): similar for (a, b), similar in said}
    return known_up_to(labels)


def _space(features: FloatArray) -> Space:
    return space_of(frozen_head(features).embed(features))


@dataclass
class _Said:
    """All answers in their order, and what they imply."""

    pairs: list[tuple[int, int]] = field(default_factory=list)
    similar: list[bool] = field(default_factory=list)
    closure: Closure = field(default_factory=Closure)
    repeated: set[int] = field(default_factory=set)  # places of pairs
    changed: int = 0  # of the repeated ones

    @property
    def given(self) -> int:
        """How many answers people gave, repeats included."""
        return len(self.pairs) + len(self.repeated)

    @property
    def asked_once(self) -> IntArray:
        """Places of pairs that were not repeated."""
        return np.setdiff1d(np.arange(len(self.pairs)), list(self.repeated))

    def add(self, a: int, b: int, similar: bool) -> None:
        self.pairs.append((a, b))
        self.similar.append(similar)
        self.closure.add(pair(a, b), similar)

    def answer_again(self, place: int, similar: bool) -> None:
        self.repeated.add(place)
        if similar == self.similar[place]:
            return
        self.changed += 1
        self.similar[place] = similar
        self.closure = Closure()
        for (a, b), said in zip(self.pairs, self.similar, strict=True):
            self.closure.add(pair(a, b), said)

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
