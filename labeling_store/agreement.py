"""What the log says about the people: who labelled the same pairs, how much, how quickly."""

import sqlite3
from dataclasses import asdict
from typing import NamedTuple

from domain.pairs import Pair
from domain.people import Activity, Agreement, PeopleReport
from labeling_store.repeats import Repeated, repeat_outcomes

# Of each member the last word on a pair, which `unsure` takes away; `max` picks its row.
_COMMON = """
    WITH word AS (
        SELECT e.a, e.b, e.member_id, e.similar, max(e.event_id) FROM event AS e
        WHERE e.kind IN ('similar', 'dissimilar', 'unsure') AND NOT EXISTS
            (SELECT 1 FROM event AS v WHERE v.kind = 'void' AND v.refers_to = e.event_id)
        GROUP BY e.a, e.b, e.member_id)
    SELECT a, b, member_id, similar FROM word
    WHERE similar IS NOT NULL AND (a, b) IN
        (SELECT a, b FROM word WHERE similar IS NOT NULL GROUP BY a, b HAVING count(*) > 1)
    ORDER BY a, b, member_id
"""
_ACTIVITY = """
    SELECT e.member_id, count(*) AS answers,
        count(DISTINCT substr(e.answered_at, 1, 10)) AS days,
        count(*) FILTER (WHERE e.kind = 'unsure') AS unsure,
        count(*) FILTER (WHERE e.kind = 'skip') AS skipped,
        count(v.event_id) AS taken_back,
        max(e.answered_at) AS last_answered_at
    FROM event AS e LEFT JOIN event AS v ON v.kind = 'void' AND v.refers_to = e.event_id
    WHERE e.source = 'click' AND e.kind IN ('similar', 'dissimilar', 'unsure', 'skip')
    GROUP BY e.member_id ORDER BY e.member_id
"""
_MEDIANS = """
    SELECT member_id, answer_ms FROM (
        SELECT member_id, answer_ms,
            row_number() OVER (PARTITION BY member_id ORDER BY answer_ms) AS place,
            count(*) OVER (PARTITION BY member_id) AS among
        FROM event WHERE source = 'click' AND answer_ms IS NOT NULL)
    WHERE place = (among + 1) / 2
"""
_FORGET = ("DELETE FROM agreement", "DELETE FROM member_report", "DELETE FROM people_report")
_KEEP_REPORT = """
    INSERT INTO people_report (report_id, computed_at, last_event_id, pairs, agreed, kappa)
    VALUES (1, :computed_at, :last_event_id, :pairs, :agreed, :kappa)
"""
_KEEP_ACTIVITY = """
    INSERT INTO member_report (member_id, answers, days, unsure, skipped, taken_back, median_ms,
        last_answered_at, repeated, changed)
    VALUES (:member_id, :answers, :days, :unsure, :skipped, :taken_back, :median_ms,
        :last_answered_at, :repeated, :changed)
"""
_KEEP_AGREEMENT = """
    INSERT INTO agreement (first_id, second_id, pairs, agreed, kappa)
    VALUES (:first_id, :second_id, :pairs, :agreed, :kappa)
"""
_REPORT = "SELECT computed_at, last_event_id, pairs, agreed, kappa FROM people_report"
_ACTIVITIES = """
    SELECT member_id, answers, days, unsure, skipped, taken_back, median_ms, last_answered_at,
        repeated, changed
    FROM member_report ORDER BY member_id
"""
_AGREEMENTS = """
    SELECT first_id, second_id, pairs, agreed, kappa FROM agreement ORDER BY first_id, second_id
"""


class Word(NamedTuple):
    """What a member says of a pair now."""

    pair: Pair
    member_id: int
    similar: bool


def common_words(db: sqlite3.Connection) -> list[Word]:
    """The labels of pairs that two members or more labelled, by pair and member."""
    return [
        Word(Pair(row["a"], row["b"]), row["member_id"], bool(row["similar"]))
        for row in db.execute(_COMMON)
    ]


def activities(db: sqlite3.Connection) -> tuple[Activity, ...]:
    """What each member did, by ascending id; nobody without an answer."""
    medians = dict(db.execute(_MEDIANS).fetchall())
    repeats = repeat_outcomes(db)
    return tuple(
        Activity(
            **dict(row),
            **asdict(repeats.get(row["member_id"], Repeated(0, 0))),
            median_ms=medians.get(row["member_id"]),
        )
        for row in db.execute(_ACTIVITY)
    )


def keep_report(db: sqlite3.Connection, report: PeopleReport) -> None:
    """Put a report in the place of the one before; inside a transaction."""
    for statement in _FORGET:
        db.execute(statement)
    db.execute(_KEEP_REPORT, vars(report))
    db.executemany(_KEEP_ACTIVITY, [vars(each) for each in report.activities])
    db.executemany(_KEEP_AGREEMENT, [vars(each) for each in report.agreements])


def newest_report(db: sqlite3.Connection) -> PeopleReport | None:
    """The report that was kept last, None before the first."""
    row = db.execute(_REPORT).fetchone()
    if row is None:
        return None
    return PeopleReport(
        **dict(row),
        activities=tuple(Activity(**dict(each)) for each in db.execute(_ACTIVITIES)),
        agreements=tuple(Agreement(**dict(each)) for each in db.execute(_AGREEMENTS)),
    )
