"""Conflicts that people cause at the same time, and how a lead's word ends them."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from domain.answers import Conflict, Kind, NewAnswer
from domain.errors import AccessError, InputError
from domain.members import Member, Role
from domain.pairs import Pair, pair
from labeling_store import answers, members, relations, settling
from labeling_store.conflicts import count_open_conflicts, find_open_conflict, open_conflicts
from labeling_store.db import Store
from labeling_store.ledger import Ledger
from labeling_store.recording import record
from tests.labeling_store.building import NOW, said

REPETITIONS = 8
# Each process says what images of one triangle after the other are, as soon as it reads the line.
PERSON = """
import sys
from pathlib import Path
from domain.answers import Kind
from domain.members import Role
from labeling_store import answers, members
from labeling_store.db import Store
from tests.labeling_store.building import said

path, name, first, second, kind = sys.argv[1:]
store = Store.open(Path(path))
with store.transaction() as db:
    member = members.ensure_member(db, name, Role.ANNOTATOR)
for line in sys.stdin:
    base = int(line)
    new = said(f"{name} {base}", base + int(first), base + int(second), Kind(kind))
    (receipt,) = answers.record_answers(store, member, [new])
    print(receipt.status.value, flush=True)
"""
Say = Callable[..., Conflict]


def test_three_processes_at_once_make_exactly_one_conflict(store: Store) -> None:
    """Two say a~b and b~c while a third says that a and c are not similar."""
    roles = [("0", "1", "similar"), ("1", "2", "similar"), ("0", "2", "dissimilar")]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PERSON, str(store.path), f"m{number}", *role],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number, role in enumerate(roles)
    ]
    bases = range(1, 3 * REPETITIONS, 3)
    for base in bases:
        for person in started:
            person.stdin.write(f"{base}\n")
            person.stdin.flush()
        assert [person.stdout.readline() for person in started] == ["stored\n"] * 3
    for person in started:
        person.communicate(timeout=30)
    found = open_conflicts(store.reader())
    assert [base for base in bases for c in found if c.pair.a in range(base, base + 3)] == [*bases]
    assert len(found) == REPETITIONS
    for conflict in found:  # whoever came last, it is laid to them
        base = 3 * ((conflict.pair.a - 1) // 3) + 1
        triangle = {pair(base, base + 1), pair(base + 1, base + 2), pair(base, base + 2)}
        assert {conflict.pair, *conflict.evidence} == triangle
        newest = max(answers.standing_events(store.reader(), q)[-1].event_id for q in triangle)
        assert conflict.event_id == newest
    with store.snapshot() as db:
        store.ledger.catch_up(db)
    assert {c.pair for c in found} == store.ledger.findings().keys()


@pytest.fixture
def lead(store: Store) -> Member:
    with store.transaction() as db:
        return members.ensure_member(db, "lead", Role.LEAD)


@pytest.fixture
def triangle(store: Store, ann: Member) -> Conflict:
    """Ann says 1~2, 2~3 and then that 1 and 3 are not similar."""
    new = [said("1", 1, 2), said("2", 2, 3), said("3", 1, 3, Kind.DISSIMILAR)]
    answers.record_answers(store, ann, new, now=NOW)
    (found,) = open_conflicts(store.reader())
    return found


def settle(
    store: Store, actor: Member, seen: Conflict, key: str = "k", **words: bool | None
) -> None:
    said = {Pair(int(name[1]), int(name[2])): similar for name, similar in words.items()}
    settling.settle_conflict(store, actor, seen, said, key=key, reason="Because.")


def known(store: Store) -> list[bool | None]:
    return [relations.relation(store, *q) for q in ((1, 2), (2, 3), (1, 3))]


def test_a_word_on_the_pair_itself_ends_the_conflict(
    store: Store, lead: Member, triangle: Conflict
) -> None:
    settle(store, lead, triangle, p13=True)
    assert count_open_conflicts(store.reader()) == 0
    assert known(store) == [True, True, True]


def test_a_dropped_answer_lets_the_new_one_in(
    store: Store, lead: Member, triangle: Conflict
) -> None:
    settle(store, lead, triangle, p13=False, p12=None)
    assert count_open_conflicts(store.reader()) == 0
    assert known(store) == [False, True, False]  # 1 and 2 by what is left
    assert relations.proof(store, 3, 1) == (Pair(1, 3),)


def test_the_opposite_of_an_answer_lets_the_new_one_in(
    store: Store, lead: Member, triangle: Conflict
) -> None:
    settle(store, lead, triangle, p23=False)
    assert count_open_conflicts(store.reader()) == 0
    assert known(store) == [True, False, False]


def test_where_another_path_contradicts_the_conflict_goes_on_with_that(
    store: Store, ann: Member, lead: Member
) -> None:
    new = [said("1", 1, 2), said("2", 2, 3), said("3", 1, 4), said("4", 3, 4)]
    answers.record_answers(store, ann, [*new, said("5", 1, 3, Kind.DISSIMILAR)], now=NOW)
    (seen,) = open_conflicts(store.reader())
    first, *_ = seen.evidence
    settle(store, lead, seen, **{f"p{first.a}{first.b}": None})
    (found,) = open_conflicts(store.reader())
    assert (found.conflict_id, found.pair) == (seen.conflict_id, Pair(1, 3))
    assert {*found.evidence} == {each.pair for each in new} - {*seen.evidence}


def test_an_answer_let_in_can_contradict_later_ones(
    store: Store, ann: Member, lead: Member, triangle: Conflict
) -> None:
    answers.record_answers(store, ann, [said("4", 1, 4), said("5", 3, 4)], now=NOW)
    settle(store, lead, triangle, p12=None)
    (found,) = open_conflicts(store.reader())
    assert (found.pair, found.evidence) == (Pair(3, 4), (Pair(1, 3), Pair(1, 4)))


def test_a_settlement_taken_back_was_never_made(
    store: Store, lead: Member, triangle: Conflict
) -> None:
    settle(store, lead, triangle, p13=False, p12=None)
    (made,) = settling.settlements(store.reader(), limit=9)
    assert (made.pair, made.member, made.reason) == (Pair(1, 3), "lead", "Because.")
    assert [(each.pair, each.similar) for each in made.words] == [((1, 3), False), ((1, 2), None)]
    for _ in range(2):
        settling.take_settlement_back(store, lead, [each.key for each in made.words])
        (found,) = open_conflicts(store.reader())
        assert (found.pair, found.evidence) == (triangle.pair, triangle.evidence)
        assert known(store) == [True, True, True]
    assert settling.count_settlements(store.reader()) == 0
    assert settling.settlements(store.reader(), limit=9) == []


def test_a_settlement_sent_again_changes_nothing(
    store: Store, lead: Member, triangle: Conflict
) -> None:
    settle(store, lead, triangle, p13=True)
    before = answers.last_event_id(store.reader())
    settle(store, lead, triangle, p13=True)
    assert answers.last_event_id(store.reader()) == before


def test_what_changed_meanwhile_is_looked_at_again(
    store: Store, ann: Member, lead: Member, triangle: Conflict
) -> None:
    answers.record_answers(store, ann, [said("4", 1, 4), said("5", 3, 4)], now=NOW)
    settle(store, lead, triangle, key="first", p12=None)
    with pytest.raises(InputError, match="meanwhile"):
        settle(store, lead, triangle, key="second", p23=False)
    assert known(store) == [False, True, False]
    (now,) = open_conflicts(store.reader())
    settle(store, lead, now, key="second", p34=False)
    with pytest.raises(InputError, match="meanwhile"):
        settle(store, lead, now, key="third", p34=True)


def test_only_leads_settle_and_undo(
    store: Store, ann: Member, lead: Member, triangle: Conflict
) -> None:
    with pytest.raises(AccessError, match="settle conflicts"):
        settle(store, ann, triangle, p13=True)
    assert find_open_conflict(store.reader(), triangle.conflict_id) == triangle
    settle(store, lead, triangle, p13=True)
    with pytest.raises(AccessError, match="take settlements back"):
        settling.take_settlement_back(store, ann, ["k.0"])
    assert settling.count_settlements(store.reader()) == 1


def test_a_lead_whose_role_was_taken_may_not_settle(
    store: Store, lead: Member, triangle: Conflict
) -> None:
    with store.transaction() as db:
        members.set_role(db, lead, Role.ANNOTATOR)
    with pytest.raises(AccessError):
        settle(store, lead, triangle, p13=True)


def test_two_settlements_of_one_moment_are_told_apart(
    store: Store, ann: Member, lead: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = [said("1", 1, 2), said("2", 2, 3), said("3", 1, 3, Kind.DISSIMILAR)]
    new += [said("4", 5, 6), said("5", 6, 7), said("6", 5, 7, Kind.DISSIMILAR)]
    answers.record_answers(store, ann, new, now=NOW)
    monkeypatch.setattr(settling, "utc_now", lambda: NOW)
    first, second = open_conflicts(store.reader())
    settle(store, lead, first, key="a", p13=True)
    settle(store, lead, second, key="b", p57=False, p56=None)
    assert settling.count_settlements(store.reader()) == 2
    newest, oldest = settling.settlements(store.reader(), limit=2)
    assert [len(newest.words), len(oldest.words)] == [2, 1]
    assert settling.settlements(store.reader(), limit=1, offset=1) == [oldest]


def test_a_failed_write_leaves_the_ledger_with_what_is_stored(
    store: Store, ann: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers.record_answers(store, ann, [said("1", 1, 2)], now=NOW)
    with pytest.raises(RuntimeError, match="pulled"), answers.writing(store):
        raise RuntimeError("pulled")
    forgotten: list[Ledger] = []
    monkeypatch.setattr(Ledger, "forget", forgotten.append)
    assert relations.relation(store, 1, 2) is True
    assert forgotten == []


def test_what_was_not_saved_is_not_known(store: Store, ann: Member) -> None:
    answers.record_answers(store, ann, [said("1", 1, 2)], now=NOW)

    def record_and_fail() -> None:
        with answers.writing(store) as db:
            record(db, store.ledger, ann, said("2", 2, 3), now=NOW)
            assert store.ledger.relation(Pair(1, 3)) is True
            raise RuntimeError("pulled")

    with pytest.raises(RuntimeError, match="pulled"):
        record_and_fail()
    assert relations.relation(store, 1, 3) is None
    assert relations.relation(store, 1, 2) is True


def test_relations_of_an_image_with_itself_are_none(store: Store) -> None:
    assert relations.relation(store, 1, 1) is None
    assert relations.proof(store, 1, 1) == ()


def test_many_new_events_are_read_as_one_by_one(store: Store, ann: Member) -> None:
    """Beyond a bound the whole log is read; both ways know the same."""
    second = Store.open(store.path)
    relations.relation(second, 1, 2)
    pairs = [pair(a, b) for a in range(1, 31) for b in range(a + 1, 31)]
    kinds = (Kind.SIMILAR, Kind.DISSIMILAR)
    new = [
        NewAnswer(f"{turn} {q}", kinds[q.a * q.b * (turn + 1) % 2], q)
        for turn in range(3)
        for q in pairs
    ]
    answers.record_answers(store, ann, new)
    assert relations.relation(second, 1, 2) == relations.relation(store, 1, 2)
    assert second.ledger.labels() == store.ledger.labels()
    assert second.ledger.findings() == store.ledger.findings()
    second.close()
