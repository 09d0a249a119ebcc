"""An acknowledged answer survives the death of the process that stored it."""

import random
import signal
import subprocess
import sys
import time

from labeling_store import answers
from labeling_store.db import Store

WRITER = """
import sys
from pathlib import Path
from labeling_store.db import Store
from labeling_store import answers, members
from domain.answers import Kind, NewAnswer
from domain.members import Role
from domain.pairs import pair
store = Store.open(Path(sys.argv[1]))
with store.transaction() as db:
    me = members.ensure_member(db, sys.argv[2], Role.ANNOTATOR)
for n in range(100_000):
    key, other = f"{sys.argv[2]} {n}", 2 + n % 29
    new = [NewAnswer(key, Kind.DISSIMILAR, pair(1, other))]
    if n % 5 == 4:
        new.append(NewAnswer(f"undo {key}", Kind.VOID, pair(1, other), refers_to_key=key))
    for receipt in answers.record_answers(store, me, new):
        print(receipt.key, flush=True)
"""


def test_no_acknowledged_answer_is_lost_when_the_writer_is_killed(store):
    when = random.Random(0)
    acknowledged = []
    for life in range(6):
        command = [sys.executable, "-c", WRITER, str(store.path), f"m{life}"]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        acknowledged.append(writer.stdout.readline().strip())
        time.sleep(when.uniform(0.0, 0.3))
        writer.send_signal(signal.SIGKILL)
        rest, _ = writer.communicate()
        acknowledged += [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    opened = Store.open(store.path)
    kept = {event.key for event in answers.events(opened.reader())}
    assert len(acknowledged) > 30
    assert {key.strip() for key in acknowledged} <= kept
    assert opened.reader().execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert opened.reader().execute("PRAGMA foreign_key_check").fetchall() == []
    opened.close()
