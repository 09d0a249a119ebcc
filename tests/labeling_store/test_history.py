"""The answer log a page at a time, against the whole log read and sorted in Python."""

from itertools import product

import numpy as np
import pytest

from domain.answers import Kind, Source
from domain.history import LogFilter
from domain.members import Role
from domain.pairs import Pair
from domain.rounds import Proposal
from labeling_store import answers, members, queue, rounds
from labeling_store.history import answered_pairs, find_logged, logged_events
from tests.labeling_store.building import NOW, ask, said, undo

NO, YES = Kind.DISSIMILAR, Kind.SIMILAR
FILTERS = [
    LogFilter(),
    LogFilter(member_id=1),
    LogFilter(kind=YES),
    LogFilter(kind=Kind.SKIP, member_id=2),
    LogFilter(source=Source.IMPORT),
    LogFilter(round_number=0),
    LogFilter(round_number=3, kind=NO),
    LogFilter(pair=Pair(1, 3)),
    LogFilter(kind=Kind.VOID),
]


@pytest.fixture
def log(store, ann, bob):
    """A store with some hundred events: answers of two people, imports, voids."""
    rng = np.random.default_rng(0)
    kinds = [YES, NO, Kind.UNSURE, Kind.SKIP]
    for number in range(160):
        a, b = sorted(rng.choice(range(1, 8), 2, replace=False).tolist())
        who = (ann, bob)[rng.integers(2)]
        source = Source.IMPORT if rng.random() < 0.2 else Source.CLICK
        given = int(rng.choice([0, 1, 3]))
        new = said(str(number), a, b, kinds[rng.integers(4)], source=source, round_number=given)
        answers.record_answers(store, who, [new], now=NOW)
        if rng.random() < 0.4:
            answers.record_answers(store, who, [undo(f"v{number}", str(number))], now=NOW)
    return store


def fits(event, wanted, names):
    return (
        (wanted.member_id is None or event.member == names[wanted.member_id])
        and (wanted.kind in (None, event.kind))
        and (wanted.source in (None, event.source))
        and (wanted.round_number in (None, event.round_number))
        and (wanted.pair in (None, event.pair))
    )


@pytest.mark.parametrize("wanted", FILTERS, ids=str)
@pytest.mark.parametrize("voids", [True, False])
def test_events_that_fit_come_newest_first_page_by_page(log, wanted, voids):
    db = log.reader()
    everything = [e for e in answers.events(db) if fits(e, wanted, {1: "ann", 2: "bob"})]
    expected = [e for e in everything[::-1] if voids or e.kind is not Kind.VOID]
    found = [
        each.event
        for skip in range(0, len(expected) + 7, 7)
        for each in logged_events(db, wanted, limit=7, skip=skip, voids=voids)
    ]
    assert found == expected


@pytest.mark.parametrize("wanted", FILTERS, ids=str)
def test_pairs_come_by_their_newest_standing_event_that_fits(log, wanted):
    db = log.reader()
    everything = list(answers.events(db))
    gone = {event.refers_to for event in everything if event.kind is Kind.VOID}
    standing = [e for e in everything if e.event_id not in gone and e.kind is not Kind.VOID]
    fitting = [e.pair for e in standing[::-1] if fits(e, wanted, {1: "ann", 2: "bob"})]
    expected = list(dict.fromkeys(fitting))
    assert answered_pairs(db, wanted, limit=1000) == expected
    assert answered_pairs(db, wanted, limit=3, skip=2) == expected[2:5]


def test_an_event_says_who_took_it_back(store, ann, owner):
    answers.record_answers(store, ann, [said("k", 1, 2)], now=NOW)
    assert find_logged(store.reader(), "k").stands
    answers.record_answers(store, owner, [undo("v", "k")], now=NOW)
    found = find_logged(store.reader(), "k")
    assert (found.taken_back_by, found.taken_back_at, found.stands) == ("owner", NOW, False)
    assert find_logged(store.reader(), "nothing") is None


def test_an_event_says_what_the_model_thought_and_whether_it_was_a_repeat(store, ann, bob):
    ask(store, 1)
    with store.transaction() as db:
        opened = rounds.create_round(db, number=2, strategy="mgue", model="r1")
        thought = Proposal(Pair(2, 3), 0.0, "", similarity=0.4, threshold=0.5)
        again = Proposal(Pair(1, 2), 0.0, "", asked_of=ann.member_id)
        queue.add_proposals(db, opened.round_id, [thought, again])
    new = [said("t", 2, 3, proposal_id=2), said("a", 1, 2, proposal_id=3)]
    answers.record_answers(store, ann, new, now=NOW)
    answers.record_answers(store, bob, [said("b", 2, 3)], now=NOW)
    found = {each.event.key: each for each in logged_events(store.reader(), LogFilter(), limit=9)}
    figures = [(found[key].similarity, found[key].threshold) for key in "tab"]
    assert figures == [(0.4, 0.5), (None, None), (None, None)]
    assert [found[key].hidden_repeat for key in "tab"] == [False, True, False]


def test_a_pair_s_history_has_settling_and_taking_back(store, ann, owner):
    answers.record_answers(store, ann, [said("k", 1, 2)], now=NOW)
    verdict = said("verdict", 1, 2, Kind.RESOLUTION, similar=False)
    answers.record_answers(store, owner, [verdict, undo("v", "k")], now=NOW)
    wanted = LogFilter(pair=Pair(1, 2))
    found = logged_events(store.reader(), wanted, limit=9, voids=True)
    assert [each.event.kind for each in found] == [Kind.VOID, Kind.RESOLUTION, YES]


def test_only_pairs_in_open_conflicts_are_listed_as_such(store, ann):
    new = [said("1", 1, 2), said("2", 2, 3), said("3", 1, 3, NO), said("4", 5, 6)]
    answers.record_answers(store, ann, new, now=NOW)
    wanted = LogFilter(in_conflict=True)
    assert answered_pairs(store.reader(), wanted, limit=9) == [Pair(1, 3)]
    answers.record_answers(store, ann, [undo("v", "2")], now=NOW)
    assert answered_pairs(store.reader(), wanted, limit=9) == []


def test_a_full_page_of_a_long_log_reads_little_of_it(store):
    """Steps of SQLite's machine, not time: the log's length must not matter."""
    with store.transaction() as db:
        members.ensure_member(db, "ann", Role.ANNOTATOR)
        rows = [
            (f"k{n}", a, b, NOW)
            for n, (a, b) in enumerate(product(range(1, 15), range(15, 31)))
            for _ in range(1)
        ]
        for copy in range(20):
            db.executemany(
                "INSERT INTO event (key, kind, source, a, b, similar, member_id, answered_at, "
                "stored_at) VALUES (?, 'similar', 'click', ?, ?, 1, 1, ?4, ?4)",
                [(f"{copy} {key}", a, b, now) for key, a, b, now in rows],
            )
    steps = 0

    def count():
        nonlocal steps
        steps += 1

    db = store.reader()
    db.set_progress_handler(count, 1)
    try:
        assert len(logged_events(db, LogFilter(member_id=1), limit=20)) == 20
        of_events, steps = steps, 0
        assert len(answered_pairs(db, LogFilter(), limit=20)) == 20
        of_pairs = steps
    finally:
        db.set_progress_handler(None, 0)
    assert of_events < 4_000  # the log has 4,480 events, each of which costs ten steps or more
    assert of_pairs < 6_000
