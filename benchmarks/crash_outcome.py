"""What must hold after a process died: looked up in the database, not in what anybody says."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from domain.clock import later, utc_now
from domain.members import Role
from labeling_store import answers, members, queue
from labeling_store.db import Store

LEASE_S = 900.0  # longer than any of the app's
LARGEST_ROUND = 1_000_000

_OPEN = """
    SELECT proposal_id FROM proposal
    WHERE round_id = :round_id AND state = 'open' AND asked_of IS NULL AND chain IS NULL
"""


@dataclass(frozen=True)
class Outcome:
    """What became of answers while processes were killed.

    Attributes:
        kills: how often a process was killed.
        acknowledged: answers of which somebody was told that they are stored.
        lost: those of them that are not in the log, or answers sent again that did not arrive.
        doubled: answers in the log beyond those given.
        stuck_leases: questions that nobody gets although every lease has run out.
        damage: what SQLite says of the file and its foreign keys; empty if nothing.
    """

    kills: int
    acknowledged: int
    lost: int
    doubled: int
    stuck_leases: int
    damage: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.doubled or self.stuck_leases or self.damage)


def examine(
    store: Store,
    round_id: int,
    *,
    kills: int,
    acknowledged: Collection[str],
    given: Collection[str],
    after: int = 0,
) -> Outcome:
    """Compare the log with what people know of it; `given` are the keys of all answers sent.

    Args:
        store: of the project, opened after the last death.
        round_id: whose questions they answered.
        kills: how often.
        acknowledged: keys.
        given: keys of answers that were sent until they arrived.
        after: the event before the first of them.
    """
    stored = Counter(event.key for event in answers.events(store.reader(), after=after))
    missing = {*acknowledged, *given} - set(stored)
    return Outcome(
        kills=kills,
        acknowledged=len(acknowledged),
        lost=len(missing),
        doubled=stored.total() - len(stored) + len(set(stored) - {*acknowledged, *given}),
        stuck_leases=stuck_leases(store, round_id),
        damage=tuple(damage(store)),
    )


def stuck_leases(store: Store, round_id: int) -> int:
    """Open questions of a round that another member does not get once all leases have run out."""
    moment = later(utc_now(), 2 * LEASE_S)
    is_open = {number for (number,) in store.reader().execute(_OPEN, {"round_id": round_id})}
    with store.transaction() as db:
        heir = members.ensure_member(db, "heir", Role.ANNOTATOR)
    got = queue.claim(
        store, heir.member_id, round_id, count=LARGEST_ROUND, now=moment, lease_s=LEASE_S
    )
    with store.transaction() as db:
        queue.release(db, member_id=heir.member_id)
    return len(is_open - {each.proposal_id for each in got})


def damage(store: Store) -> list[str]:
    """What SQLite finds wrong with a file."""
    db = store.reader()
    found = [row[0] for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
    keys = db.execute("PRAGMA foreign_key_check").fetchall()
    return [*found, *(f"{row[0]} {row[1]} refers to no {row[2]}" for row in keys)]
