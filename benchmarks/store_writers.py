"""Sixteen processes that answer at once, beside the same processes inserting bare rows.

Every answer is a durable transaction of its own, with the event, the end of its lease, the closure
and the conflicts; every bare row too. Both take turns, so that a noisy machine hits both.
"""

import math
import multiprocessing
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np

from benchmarks import store_world
from domain.answers import Kind, NewAnswer, ReceiptStatus
from domain.clock import utc_now
from domain.errors import StoreError
from domain.members import Member
from domain.rounds import QueuedPair
from labeling_store import answers, queue
from labeling_store.db import BUSY_TIMEOUT_S, Store

PROCESSES = 16
TURNS = 4  # of each kind
LEASE_S = 3600.0
SENT_AGAIN = 10  # answers of each process, as after a lost acknowledgement
CHECKPOINT_EVERY_S = 5.0
START_PATIENCE_S = 300.0
WORLD = store_world.World(images=2000, groups=40)

_ADD_BARE = "INSERT INTO answer (member_id, a, b, similar) VALUES (?, ?, ?, ?)"


@dataclass(frozen=True)
class _Report:
    """What one process did; moments on the clock that all processes share."""

    bare: Sequence[tuple[float, float]]  # begin and end of each turn
    own: Sequence[tuple[float, float]]
    longest_wait_s: float
    errors: int


@dataclass(frozen=True)
class Figures:
    answers_ratio_to_bare_16: float
    answers_per_s_16: float
    bare_per_s_16: float
    longest_wait_s: float
    errors: int
    doubled: int


def measure(folder: Path, count: int) -> Figures:
    """Let sixteen processes give `count` answers and as many bare rows."""
    own, bare = folder / "labels.db", folder / "bare.db"
    store = Store.open(own, create=True, checkpoints=True)
    store_world.catalogue(store, WORLD)
    people = store_world.enrol(store, PROCESSES)
    pairs = WORLD.pairs(count, np.random.default_rng(0))
    round_id = store_world.ask(store, pairs)
    _make_bare(bare)
    reports = _run(store, bare, people, round_id, count // PROCESSES)
    stored = Counter(event.pair for event in answers.events(store.reader()))
    store.close()
    lost = count // PROCESSES * PROCESSES - len(stored)
    own_s, bare_s = (_busy_s([getattr(each, kind) for each in reports]) for kind in ("own", "bare"))
    return Figures(
        answers_ratio_to_bare_16=round(bare_s / own_s, 3),
        answers_per_s_16=round(stored.total() / own_s, 1),
        bare_per_s_16=round(count / bare_s, 1),
        longest_wait_s=round(max(each.longest_wait_s for each in reports), 2),
        errors=sum(each.errors for each in reports) + lost,
        doubled=stored.total() - len(stored),
    )


def _run(
    store: Store, bare: Path, people: Sequence[Member], round_id: int, share: int
) -> list[_Report]:
    spawn = multiprocessing.get_context("spawn")
    together = spawn.Barrier(PROCESSES, timeout=START_PATIENCE_S)
    with spawn.Pool(PROCESSES, initializer=_remember, initargs=(together,)) as pool:
        work = [(store.path, bare, member, round_id, share) for member in people]
        waiting = pool.starmap_async(_work, work, chunksize=1)
        while not waiting.ready():  # as the worker does
            waiting.wait(CHECKPOINT_EVERY_S)
            store.checkpoint()
        return waiting.get()


_together: list[Barrier] = []  # of this process; pools hand it over when they start one


def _remember(together: Barrier) -> None:
    _together.append(together)


def _work(path: Path, bare: Path, member: Member, round_id: int, share: int) -> _Report:
    """The life of one process: bare rows and answers in turns, all processes at once."""
    store, plain = Store.open(path), _bare(bare)
    questions = queue.claim(
        store, member.member_id, round_id, count=share, now=utc_now(), lease_s=LEASE_S
    )
    turns = np.array_split(np.arange(share), TURNS)
    bare_turns, own_turns, waits_s, errors = [], [], [0.0], share - len(questions)
    for rows in turns:
        bare_turns.append(_insert(plain, member, [questions[row] for row in rows]))
        own, failed = _answer(store, member, [questions[row] for row in rows], waits_s)
        own_turns.append(own)
        errors += failed
    errors += _send_again(store, member, questions[:SENT_AGAIN])
    plain.close()
    store.close()
    return _Report(bare_turns, own_turns, max(waits_s), errors)


def _answer(
    store: Store, member: Member, questions: Sequence[QueuedPair], waits_s: list[float]
) -> tuple[tuple[float, float], int]:
    errors = 0
    _together[0].wait()
    begin_s = time.monotonic()
    for question in questions:
        asked_s = time.monotonic()
        try:
            (receipt,) = answers.record_answers(store, member, [_said(member, question)])
            errors += receipt.status is not ReceiptStatus.STORED or receipt.conflict
        except StoreError:
            errors += 1
        waits_s.append(time.monotonic() - asked_s)
    return (begin_s, time.monotonic()), errors


def _insert(
    plain: sqlite3.Connection, member: Member, questions: Sequence[QueuedPair]
) -> tuple[float, float]:
    _together[0].wait()
    begin_s = time.monotonic()
    for question in questions:
        similar = WORLD.truth(question.pair) is Kind.SIMILAR
        plain.execute("BEGIN IMMEDIATE")
        plain.execute(_ADD_BARE, (member.member_id, *question.pair, similar))
        plain.execute("COMMIT")
    return begin_s, time.monotonic()


def _send_again(store: Store, member: Member, questions: Sequence[QueuedPair]) -> int:
    """How many of these answers are not recognised as known."""
    again = [_said(member, question) for question in questions]
    receipts = answers.record_answers(store, member, again)
    return sum(receipt.status is not ReceiptStatus.REPEATED for receipt in receipts)


def _said(member: Member, question: QueuedPair) -> NewAnswer:
    return NewAnswer(
        key=f"{member.member_id}-{question.proposal_id}",
        kind=WORLD.truth(question.pair),
        pair=question.pair,
        proposal_id=question.proposal_id,
        round_id=question.round_id,
        reason=question.reason,
        answer_ms=800,
    )


def _make_bare(path: Path) -> None:
    plain = _bare(path)
    plain.execute("PRAGMA journal_mode = WAL").fetchall()
    plain.execute(
        "CREATE TABLE answer (answer_id INTEGER PRIMARY KEY, member_id INTEGER NOT NULL, "
        "a INTEGER NOT NULL, b INTEGER NOT NULL, similar INTEGER NOT NULL) STRICT"
    )
    plain.close()


def _bare(path: Path) -> sqlite3.Connection:
    plain = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    plain.execute("PRAGMA synchronous = FULL")
    return plain


def _busy_s(processes: Sequence[Sequence[tuple[float, float]]]) -> float:
    """How long the turns lasted, each from the first process's begin to the last one's end."""
    turns = zip(*processes, strict=True)
    return math.fsum(
        max(end for _, end in turn) - min(begin for begin, _ in turn) for turn in turns
    )
