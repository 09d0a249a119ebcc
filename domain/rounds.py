"""Rounds, the questions they ask, and the runs they leave behind."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from domain.answers import Kind
from domain.pairs import Pair


class RoundState(StrEnum):
    COLLECTING = "collecting"
    TRAINING = "training"
    DONE = "done"


@dataclass(frozen=True)
class Round:
    round_id: int
    number: int
    strategy: str
    state: RoundState
    model: str | None  # run that proposed the questions; None before the first model
    created_at: str
    target: int | None  # answers after which it can be trained on; None: all its questions
    notes: tuple[str, ...] = ()  # what was out of the ordinary in choosing its questions


@dataclass(frozen=True)
class Proposal:
    """A question for people, before it is in the queue.

    Attributes:
        score: higher = ask first; 0 is the most uncertain (the negative of the papers' value).
        reason: one sentence for the annotator: why this pair is asked.
        similarity: cosine under the proposing model, None before there is one.
        threshold: the similarity above which the model says similar.
        cluster: which diversity cluster the pair came from.
        check: asked at random, to measure the model; not chosen by the strategy.
        chain: questions handed over together with the same number are asked one after the other:
            the next opens when the one before is not similar. None: asked on its own.
        chain_position: where in its chain, ascending.
        unless_implied: not asked once other answers imply its answer; where they imply "similar",
            its chain ends. False: asked whatever they imply.
        overlap: of how many members it is asked; the round waits only for the first.
        asked_of: the only member it is asked of, who answered the pair before: a hidden repeat,
            which measures their error. None: asked of anybody.
    """

    pair: Pair
    score: float
    reason: str
    similarity: float | None = None
    threshold: float | None = None
    cluster: int | None = None
    check: bool = False
    chain: int | None = None
    chain_position: int = 0
    unless_implied: bool = False
    overlap: int = 1
    asked_of: int | None = None


@dataclass(frozen=True)
class QueuedPair:
    """A question leased to a member; `similarity` and `threshold` are the model's, for leads."""

    proposal_id: int
    pair: Pair
    reason: str
    round_id: int
    round_number: int
    model: str | None
    lease_expires_at: str
    check: bool = False
    similarity: float | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class AnsweredProposal:
    """A question of a round with what it was asked for and the label it got.

    Attributes:
        repeat: a hidden one, of a pair that its member had answered before; no strategy chose it,
            and the model may have learnt from the answer before.
    """

    pair: Pair
    kind: Kind
    similarity: float | None
    threshold: float | None
    check: bool
    repeat: bool


@dataclass(frozen=True)
class QueueStatus:
    """Counts of one round's questions.

    Attributes:
        open: can be asked now, spare ones included: single questions, and one of each chain that
            goes on and is before nobody.
        leased: are before somebody now.
        answered: answers, skips and second opinions too; more than `target` where people went on.
        target: so many answers make the round; the questions beyond it are spare, so that nobody
            waits while the model learns. Never more than there can still be: of a chain, all that
            is left of it counts, until it ends.
    """

    open: int
    leased: int
    answered: int
    target: int

    @property
    def total(self) -> int:
        """Questions that people can be sure of; chains may bring more than one each."""
        return self.open + self.leased + self.answered


@dataclass(frozen=True)
class Run:
    """One trained (or frozen) model and what it scored; its files are in `runs/<name>`.

    Attributes:
        metrics: name to value, fractions; a metric that is undefined is absent.
    """

    name: str
    round_number: int
    created_at: str
    backbone: str
    depth: str
    bits: int
    answers: int
    known_pairs: int
    active: bool
    metrics: Mapping[str, float] = field(default_factory=dict)
