"""The store's writer, killed at random: several at once, one after the other dies."""

import multiprocessing
import random
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from benchmarks import store_world
from benchmarks.crash_outcome import LEASE_S, Outcome, examine
from domain.answers import Kind, NewAnswer, ReceiptStatus
from domain.clock import utc_now
from domain.members import Member
from domain.rounds import QueuedPair
from labeling_store import answers, queue
from labeling_store.db import Store

AT_ONCE = 3
LONGEST_LIFE_S = 0.25  # after the first acknowledgement
QUESTIONS_PER_KILL = 100
WORLD = store_world.World(images=400, groups=8)
TAKEN_BACK = 7  # every so many answers, one is
SENT, STORED = "sent", "stored"

# Starts in milliseconds, from a process that never had a connection its children could share.
_LIVES = multiprocessing.get_context("forkserver")


@dataclass
class _Person:
    """Who answers, life after life, and what they know of it; keeps what was not acknowledged."""

    member: Member
    given: dict[str, NewAnswer] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)

    @property
    def unsent(self) -> list[NewAnswer]:
        return [answer for key, answer in self.given.items() if key not in self.acknowledged]

    def hear(self, words: tuple[str, NewAnswer]) -> None:
        what, answer = words
        self.given[answer.key] = answer
        if what == STORED:
            self.acknowledged.add(answer.key)


def measure(folder: Path, kills: int, rng: random.Random) -> Outcome:
    """Kill writers that often; afterwards what was not acknowledged is sent again."""
    path = folder / "labels.db"
    people, round_id = _make(path, QUESTIONS_PER_KILL * kills)
    _LIVES.set_forkserver_preload([__name__])
    for killed in range(0, kills, AT_ONCE):
        with ExitStack() as dying:
            for person in people[: kills - killed]:
                life_s = rng.uniform(0, LONGEST_LIFE_S)
                dying.enter_context(_Life(path, person, round_id, life_s))
    store = Store.open(path)
    for person in people:
        answers.record_answers(store, person.member, person.unsent)
    outcome = examine(
        store,
        round_id,
        kills=kills,
        acknowledged={key for person in people for key in person.acknowledged},
        given={key for person in people for key in person.given},
    )
    store.close()
    return outcome


class _Life:
    """A process that answers as a person from the block's begin until it is killed at its end."""

    def __init__(self, path: Path, person: _Person, round_id: int, life_s: float) -> None:
        self._person = person
        self._life_s = life_s
        self._ear, mouth = multiprocessing.Pipe(duplex=False)
        work = (path, person.member, round_id, person.unsent, mouth)
        self._process = _LIVES.Process(target=_answer, args=work, daemon=True)
        self._process.start()
        mouth.close()

    def __enter__(self) -> "_Life":
        return self

    def __exit__(self, *_: object) -> None:
        self._listen(1)
        time.sleep(self._life_s)
        self._process.kill()
        self._process.join()
        self._listen(None)

    def _listen(self, words: int | None) -> None:
        """Hear so many words, or all until the process is gone."""
        heard = 0
        try:
            while words is None or heard < words:
                self._person.hear(self._ear.recv())
                heard += 1
        except EOFError:
            if words is not None:
                raise RuntimeError("A writer ended before it was killed.") from None


def _answer(
    path: Path, member: Member, round_id: int, unsent: Sequence[NewAnswer], mouth: Connection
) -> None:
    """The whole life of a writer."""
    store = Store.open(path)
    for answer in chain(unsent, _new_answers(store, member, round_id)):
        _say(store, member, answer, mouth)


def _new_answers(store: Store, member: Member, round_id: int) -> Iterator[NewAnswer]:
    while questions := _claim(store, member, round_id):
        for question in questions:
            key = f"{member.name} {question.proposal_id} {uuid.uuid4().hex}"
            kind = WORLD.truth(question.pair)
            yield NewAnswer(key, kind, question.pair, proposal_id=question.proposal_id)
            if question.proposal_id % TAKEN_BACK == 0:
                yield NewAnswer(f"undo {key}", Kind.VOID, question.pair, refers_to_key=key)


def _claim(store: Store, member: Member, round_id: int) -> list[QueuedPair]:
    return queue.claim(store, member.member_id, round_id, count=5, now=utc_now(), lease_s=LEASE_S)


def _say(store: Store, member: Member, answer: NewAnswer, mouth: Connection) -> None:
    mouth.send((SENT, answer))
    (receipt,) = answers.record_answers(store, member, [answer])
    if receipt.status is ReceiptStatus.REJECTED:
        raise RuntimeError(receipt.message)
    mouth.send((STORED, answer))


def _make(path: Path, questions: int) -> tuple[list[_Person], int]:
    """A store with questions for everybody, and who answers them."""
    store = Store.open(path, create=True)
    store_world.catalogue(store, WORLD)
    people = [_Person(member) for member in store_world.enrol(store, AT_ONCE)]
    round_id = store_world.ask(store, WORLD.pairs(questions, np.random.default_rng(0)))
    store.close()
    return people, round_id
