"""A log of a million answers: opening it, asking it, going on with it, handing it out.

Each figure is taken in a process of its own, so that the memory stated is that figure's alone.
"""

import multiprocessing
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow.parquet as pq

from benchmarks import store_world
from domain.answers import Kind, NewAnswer
from domain.clock import later, utc_now
from domain.config import ArchiveSettings, ProjectConfig, project_toml
from domain.members import Member
from domain.pairs import Pair
from domain.rounds import Proposal, QueuedPair
from labeling_store import answers, queue, rounds
from labeling_store.db import Store
from workflow.exchange import export_file
from workflow.project import CONFIG_NAME, open_project

ANSWERS_PER_ROUND = 100
ANSWERS_PER_IMAGE = 20
GROUPS = 500
OPEN_QUESTIONS = 1000
CHAIN = 5  # questions in a row about one image
PEOPLE = 16
ASKED = 100_000  # relations
CLAIMS = 200
SECONDS_PER_ANSWER = 2
BEGIN = "2026-01-01T00:00:00.000+00:00"
LEASE_S = 900.0

_ADD_ROUND = """
    INSERT INTO round (round_id, number, strategy, state, model, created_at)
    VALUES (?, ?, 'components', 'done', ?, ?)
"""
_ADD_PROPOSAL = """
    INSERT INTO proposal (proposal_id, round_id, a, b, rank, state, score, reason, is_check)
    VALUES (?, ?, ?, ?, ?, 'closed', ?, ?, 0)
"""
_ADD_EVENT = """
    INSERT INTO event (event_id, key, kind, source, a, b, similar, member_id, answered_at,
        stored_at, shown_at, answer_ms, proposal_id, round_number, model, reason, uncertainty)
    VALUES (?, ?, ?, 'click', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ADD_RESPONSE = "INSERT INTO response (proposal_id, member_id, event_id) VALUES (?, ?, ?)"

T = TypeVar("T")


@dataclass(frozen=True)
class Figures:
    """Times at `rebuild_answers` answers.

    Attributes:
        rebuild_s: opening the store and working out the closure.
        relation_us: whether two images are similar, by answer or by implication.
        claim_ms: the next question for a member, leased, with many open; median.
        claim_chain_ms: the same where the open questions stand in chains.
        answer_ms: storing one answer durably, with all that follows from it; median.
        rebuild_peak_mb, export_peak_mb: most memory of the process, the program's own included.
    """

    rebuild_answers: int
    rebuild_s: float
    rebuild_peak_mb: int
    relation_us: float
    claim_ms: float
    claim_chain_ms: float
    answer_ms: float
    export_s: float
    export_peak_mb: int
    database_mb: int


def measure(folder: Path, count: int) -> Figures:
    """Figures of a project with `count` answers, made in the folder."""
    world = _make_project(folder, count)
    opened = _apart(_open, folder, count)
    asked = [_apart(_go_on, folder, world, chained) for chained in (False, True)]
    exported = _apart(_export, folder, count)
    return Figures(
        rebuild_answers=count,
        rebuild_s=round(opened.seconds, 2),
        rebuild_peak_mb=opened.peak_mb,
        relation_us=round(opened.relation_us, 2),
        claim_ms=round(asked[0].claim_ms, 2),
        claim_chain_ms=round(asked[1].claim_ms, 2),
        answer_ms=round(asked[0].answer_ms, 2),
        export_s=round(exported.seconds, 2),
        export_peak_mb=exported.peak_mb,
        database_mb=round((folder / "labels.db").stat().st_size / 1e6),
    )


# --- what each process measures -------------------------------------------------------------


@dataclass(frozen=True)
class _Opened:
    seconds: float
    peak_mb: int
    relation_us: float


@dataclass(frozen=True)
class _Asked:
    claim_ms: float
    answer_ms: float


@dataclass(frozen=True)
class _Exported:
    seconds: float
    peak_mb: int


def _open(folder: Path, count: int) -> _Opened:
    begin_s = time.perf_counter()
    store = Store.open(folder / "labels.db")
    with store.ledger.lock, store.snapshot() as db:
        store.ledger.catch_up(db)
    took_s = time.perf_counter() - begin_s
    peak_mb = _peak_mb()
    images = np.random.default_rng(1).integers(1, count // ANSWERS_PER_IMAGE + 1, (ASKED, 2))
    pairs = [Pair(a, b) for a, b in np.sort(images).tolist()]
    begin_s = time.perf_counter()
    for each in pairs:
        store.ledger.relation(each)
    relation_us = (time.perf_counter() - begin_s) / ASKED * 1e6
    store.close()
    return _Opened(took_s, peak_mb, relation_us)


def _go_on(folder: Path, world: store_world.World, chained: bool) -> _Asked:
    """Claim questions and answer them, one after the other, in a new round of many."""
    store = Store.open(folder / "labels.db")
    people = store_world.enrol(store, PEOPLE)
    round_id = _ask(store, world, chained)
    claims_s, answers_s = [], []
    _claim(store, people[0], round_id)  # the first one reads the whole log
    for turn in range(CLAIMS):
        member = people[turn % PEOPLE]
        begin_s = time.perf_counter()
        (question,) = _claim(store, member, round_id)
        claimed_s = time.perf_counter()
        answers.record_answers(store, member, [_said(world, question)])
        claims_s.append(claimed_s - begin_s)
        answers_s.append(time.perf_counter() - claimed_s)
    store.close()
    return _Asked(float(np.median(claims_s)) * 1000, float(np.median(answers_s)) * 1000)


def _export(folder: Path, count: int) -> _Exported:
    project = open_project(folder)
    out = folder / "answers.parquet"
    begin_s = time.perf_counter()
    export_file(project, out, what="answers", fmt="parquet")
    took_s = time.perf_counter() - begin_s
    project.close()
    if pq.read_metadata(out).num_rows < count:
        raise RuntimeError(f"{out} has not all answers.")
    return _Exported(took_s, _peak_mb())


def _claim(store: Store, member: Member, round_id: int) -> list[QueuedPair]:
    return queue.claim(store, member.member_id, round_id, count=1, now=utc_now(), lease_s=LEASE_S)


def _said(world: store_world.World, question: QueuedPair) -> NewAnswer:
    return NewAnswer(
        key=f"go on {question.proposal_id}",
        kind=world.truth(question.pair),
        pair=question.pair,
        proposal_id=question.proposal_id,
        round_id=question.round_id,
        reason=question.reason,
    )


def _apart(work: Callable[..., T], *given: object) -> T:
    """What the function returns in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, given)


def _peak_mb() -> int:
    """Most memory of this process; what `getrusage` says includes its parent's."""
    status = Path("/proc/self/status").read_text()
    return round(int(status.split("VmHWM:")[1].split()[0]) / 1024)


# --- the project ---------------------------------------------------------------------------


def _make_project(folder: Path, count: int) -> store_world.World:
    """A project of that many answers, as years of work leave it."""
    config = ProjectConfig(name="A long log", archive=ArchiveSettings(images=folder))
    (folder / CONFIG_NAME).write_text(project_toml(config), encoding="utf-8")
    Store.open(folder / "jobs.db", create=True).close()
    store = Store.open(folder / "labels.db", create=True, checkpoints=True)
    groups = min(GROUPS, count // ANSWERS_PER_IMAGE)
    world = store_world.World(count // ANSWERS_PER_IMAGE // groups * groups, groups)
    store_world.catalogue(store, world)
    people = store_world.enrol(store, PEOPLE)
    pairs = world.pairs(count, np.random.default_rng(2))
    with store.transaction() as db:
        _write_rounds(db, count)
        db.executemany(_ADD_PROPOSAL, _proposals(pairs))
        db.executemany(_ADD_EVENT, _events(world, people, pairs))
        db.executemany(_ADD_RESPONSE, _responses(people, count))
    store.checkpoint()
    store.close()
    return world


def _write_rounds(db: sqlite3.Connection, count: int) -> None:
    numbers = range(1, 2 + count // ANSWERS_PER_ROUND)
    db.executemany(_ADD_ROUND, [(number, number, f"r{number:05}", BEGIN) for number in numbers])


def _proposals(pairs: Sequence[Pair]) -> Iterator[tuple[object, ...]]:
    for at, each in enumerate(pairs):
        round_id = 1 + at // ANSWERS_PER_ROUND
        yield at + 1, round_id, *each, at % ANSWERS_PER_ROUND, -0.01, _reason(at)


def _events(
    world: store_world.World, people: Sequence[Member], pairs: Sequence[Pair]
) -> Iterator[tuple[object, ...]]:
    for at, each in enumerate(pairs):
        kind, number = world.truth(each), 1 + at // ANSWERS_PER_ROUND
        shown, answered = (later(BEGIN, SECONDS_PER_ANSWER * at + wait) for wait in (0.0, 0.8))
        said = (f"key-{at:026}", kind.value, *each, int(kind is Kind.SIMILAR))
        who = (people[at % len(people)].member_id, answered, answered, shown, 800)
        yield at + 1, *said, *who, at + 1, number, f"r{number:05}", _reason(at), 0.01


def _responses(people: Sequence[Member], count: int) -> Iterator[tuple[int, int, int]]:
    for at in range(count):
        yield at + 1, people[at % len(people)].member_id, at + 1


def _reason(at: int) -> str:
    return f"Its answer would settle {at % 97} pairs; the model is least sure here."


def _ask(store: Store, world: store_world.World, chained: bool) -> int:
    """A round with many open questions, single or in chains; its id."""
    pairs = world.pairs(OPEN_QUESTIONS, np.random.default_rng(3 + chained))
    proposals = [
        Proposal(
            each,
            0.0,
            "Its answer would settle 12 pairs.",
            chain=at // CHAIN if chained else None,
            chain_position=at % CHAIN,
        )
        for at, each in enumerate(pairs)
    ]
    with store.transaction() as db:
        before = rounds.current_round(db)
        number = before.number + 1 if before else 1
        opened = rounds.create_round(db, number=number, strategy="components", model="r1")
        queue.add_proposals(db, opened.round_id, proposals)
    return opened.round_id
