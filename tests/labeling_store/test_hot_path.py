"""What runs at every key press takes no longer in a long project, and waits only where it must."""

import re
import sqlite3
import time

import pytest

from labeling_store import answers, chains, following, holding, queue
from labeling_store.db import BUSY_TIMEOUT_S, Store
from tests.labeling_store.building import ask, claim, said

FULL = 2  # of SQLite's levels of `synchronous`


@pytest.mark.parametrize(
    "statement",
    [
        queue._STATUS,
        queue._LEASED_PAIRS,
        queue.MAY_HAVE + queue.OF_HELD,
        queue.MAY_HAVE + queue._OF_OPEN,
        queue.MAY_HAVE + queue._OF_ANSWERED,
        holding._ANSWERED,
        following._QUESTIONS,
        chains._HAS_CHAINS,
        chains._LINKS,
        chains._LEASES,
    ],
)
def test_what_runs_at_every_answer_never_looks_through_a_whole_table(store, statement):
    values = dict.fromkeys(re.findall(r":(\w+)", statement), 1)
    plan = store.reader().execute(f"EXPLAIN QUERY PLAN {statement}", values)
    steps = [row["detail"] for row in plan]
    assert not [step for step in steps if re.match("SCAN (p|l|e|r|proposal|lease|event)", step)]
    assert "event_member" not in " ".join(steps)  # the events of one person are very many


def test_a_claim_does_not_wait_for_the_disk_and_an_answer_does(store, ann):
    round_id = ask(store, 2)
    statements = []
    store.reader().set_trace_callback(statements.append)
    claim(store, ann, round_id)
    answers.record_answers(store, ann, [said("k", 1, 2, proposal_id=1)])
    store.reader().set_trace_callback(None)
    found = [each for each in statements if each.startswith(("PRAGMA", "COMMIT"))]
    assert found == [
        "PRAGMA synchronous = NORMAL",
        "COMMIT",
        "PRAGMA synchronous = FULL",
        "COMMIT",
    ]


@pytest.mark.parametrize(("behind", "before"), [(20, 0), (21, 1)])
def test_what_others_said_meanwhile_is_read_before_others_have_to_wait(store, ann, behind, before):
    answers.record_answers(store, ann, [said(f"k{n}", 1, 2 + n) for n in range(behind)])
    second = Store.open(store.path)
    statements = []
    second.reader().set_trace_callback(lambda each: statements.append(" ".join(each.split())))
    answers.record_answers(second, ann, [said("k", 2, 3)])
    lock = statements.index("BEGIN IMMEDIATE")
    read = [each.startswith("SELECT event_id, a, b, kind") for each in statements]
    assert sum(read[:lock]) == before
    assert second.ledger.last_event_id == behind + 1
    second.close()


def test_after_a_claim_that_failed_answers_wait_for_the_disk_again(store):
    def fail():
        with store.transaction(durable=False) as db:
            db.execute("INSERT INTO lease VALUES (1, 1, '', '')")

    with pytest.raises(sqlite3.IntegrityError):
        fail()
    assert store.reader().execute("PRAGMA synchronous").fetchone()[0] == FULL


def test_a_checkpoint_beside_a_long_reader_keeps_no_answer_waiting(store, ann):
    keeper = Store.open(store.path, checkpoints=True)
    reader = Store.open(store.path)
    began = time.monotonic()
    with reader.snapshot() as db:
        assert answers.last_event_id(db) == 0
        answers.record_answers(store, ann, [said("a key of its own", 1, 2)])
        keeper.checkpoint()
        assert answers.last_event_id(db) == 0
    assert time.monotonic() - began < BUSY_TIMEOUT_S / 2
    (timeout_ms,) = keeper.reader().execute("PRAGMA busy_timeout").fetchone()
    assert timeout_ms == BUSY_TIMEOUT_S * 1000
    assert b"a key of its own" not in store.path.read_bytes()
    keeper.checkpoint()
    assert b"a key of its own" in store.path.read_bytes()
    reader.close()
    keeper.close()
