"""Pairs that members are asked again, unmarked, and what they said the second time."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from domain.pairs import Pair

_ANSWERED = """
    SELECT member_id, count(*) FROM event JOIN member USING (member_id)
    WHERE source = 'click' AND kind IN ('similar', 'dissimilar', 'unsure', 'skip')
        AND left_at IS NULL
    GROUP BY member_id
"""
_ASKED_AGAIN = """
    SELECT p.asked_of, count(*) FROM proposal AS p JOIN response AS r
        ON r.proposal_id = p.proposal_id AND r.member_id = p.asked_of
    WHERE p.asked_of IS NOT NULL GROUP BY p.asked_of
"""
# The answers of a member that are not among their newest, the last they said of the pair, about
# training images, and not asked again before.
_LONG_AGO = """
    SELECT e.event_id FROM event AS e
    WHERE e.member_id = :member_id AND e.source = 'click' AND e.kind IN ('similar', 'dissimilar')
        AND e.event_id < (SELECT event_id FROM event
            WHERE member_id = :member_id AND source = 'click' AND kind <> 'void'
            ORDER BY event_id DESC LIMIT 1 OFFSET :after - 1)
        AND NOT EXISTS (SELECT 1 FROM event AS n
            WHERE n.a = e.a AND n.b = e.b AND +n.member_id = e.member_id
                AND +n.event_id > e.event_id)
        AND NOT EXISTS (SELECT 1 FROM proposal AS p
            WHERE p.a = e.a AND p.b = e.b AND +p.asked_of = e.member_id AND p.state = 'closed')
        AND (SELECT count(*) FROM image AS i
             WHERE i.image_id IN (e.a, e.b) AND i.part = 'train') = 2
    ORDER BY e.event_id
"""
# With the reason of the first question: later ones, and pages where answers are given or changed,
# would tell that the pair comes again.
_EVENTS = """
    SELECT e.a, e.b,
        (SELECT p.reason FROM event AS f JOIN proposal AS p ON p.proposal_id = f.proposal_id
         WHERE f.a = e.a AND f.b = e.b AND f.member_id = e.member_id
         ORDER BY f.event_id LIMIT 1) AS reason
    FROM event AS e
    WHERE e.event_id IN (SELECT value FROM json_each(:chosen)) ORDER BY e.event_id
"""
_STANDS = """
    +{0}.kind IN ('similar', 'dissimilar') AND NOT EXISTS
        (SELECT 1 FROM event AS v WHERE v.kind = 'void' AND v.refers_to = {0}.event_id)
"""
# The few repeats come first: CROSS JOIN and + keep SQLite from searching all answers of a member.
# Of each hidden repeat the first answer that stands, and the member's last one before it.
_OUTCOMES = f"""
    SELECT member_id, count(*) AS repeated, count(*) FILTER (WHERE again <> before) AS changed
    FROM (
        SELECT e.member_id, e.similar AS again,
            (SELECT o.similar FROM event AS o
             WHERE o.a = e.a AND o.b = e.b AND +o.member_id = e.member_id
                 AND +o.event_id < e.event_id AND {_STANDS.format("o")}
             ORDER BY o.event_id DESC LIMIT 1) AS before
        FROM proposal AS p CROSS JOIN event AS e
            ON e.proposal_id = p.proposal_id AND +e.member_id = p.asked_of
        WHERE p.asked_of IS NOT NULL AND {_STANDS.format("e")}
            AND NOT EXISTS (SELECT 1 FROM event AS f
                WHERE f.proposal_id = e.proposal_id AND f.member_id = e.member_id
                    AND f.event_id < e.event_id AND {_STANDS.format("f")}))
    WHERE before IS NOT NULL GROUP BY member_id
"""  # noqa: S608 constants


@dataclass(frozen=True)
class AnsweredPair:
    """A pair that a member answered, with the reason that they were given first.

    The reason is empty where nobody asked: they searched, or imported the answer.
    """

    pair: Pair
    reason: str


@dataclass(frozen=True)
class Repeated:
    """Counts of a member's hidden repeats that got a label both times.

    Attributes:
        repeated: all of them.
        changed: those whose second answer differs from the one before.
    """

    repeated: int
    changed: int


def repeats_due(db: sqlite3.Connection, share: float) -> dict[int, int]:
    """How many more hidden repeats each member should have had, to make that share of answers.

    Nobody can ask those who left.
    """
    done = dict(db.execute(_ASKED_AGAIN).fetchall())
    due = {
        member_id: int(share * answered) - done.get(member_id, 0)
        for member_id, answered in db.execute(_ANSWERED)
    }
    return {member_id: count for member_id, count in due.items() if count > 0}


def answered_long_ago(db: sqlite3.Connection, member_id: int, *, after: int) -> list[int]:
    """The answers that a member can be asked for again, as ids of events, oldest first.

    Args:
        after: so many answers, or more, the member must have given since.
    """
    rows = db.execute(_LONG_AGO, {"member_id": member_id, "after": after})
    return [event_id for (event_id,) in rows]


def answered_pairs(db: sqlite3.Connection, event_ids: Sequence[int]) -> list[AnsweredPair]:
    """What was asked in some events, oldest first."""
    rows = db.execute(_EVENTS, {"chosen": json.dumps([*event_ids])})
    return [AnsweredPair(Pair(row["a"], row["b"]), row["reason"] or "") for row in rows]


def all_repeats(db: sqlite3.Connection) -> Repeated:
    """`repeat_outcomes` of all members together."""
    found = repeat_outcomes(db).values()
    return Repeated(sum(each.repeated for each in found), sum(each.changed for each in found))


def repeat_outcomes(db: sqlite3.Connection) -> dict[int, Repeated]:
    """How members answered the pairs they were asked again, unmarked; by member.

    A further event that mends one of the answers later changes nothing here: what is measured is
    what people say when they do not know that they are asked again. What was taken back is left
    out, as it was noticed.
    """
    return {
        row["member_id"]: Repeated(row["repeated"], row["changed"]) for row in db.execute(_OUTCOMES)
    }
