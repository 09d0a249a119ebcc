"""The writer thread: what arrives together is stored together, and nothing ends the thread."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from domain.answers import Kind, NewAnswer, Receipt, ReceiptStatus
from domain.errors import StoreError
from domain.members import Member, Role
from domain.pairs import pair
from labeling_store import answers, members
from ui import writer
from ui.writer import AnswerWriter
from workflow.project import Project, local_owner
from workflow.questions import next_questions

Parcels = Sequence[tuple[Member, Sequence[NewAnswer]]]
Store = Callable[[Project, Parcels], list[list[Receipt]]]


class Gate:
    """Holds the storing up until it is opened, and keeps the keys of each go."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.goes: list[list[str]] = []
        self.opened = threading.Event()

    def __call__(self, project: Project, parcels: Parcels) -> list[list[Receipt]]:
        self.goes.append([each.key for _, new in parcels for each in new])
        self.opened.wait(10)
        return self.store(project, parcels)

    def wait_for_first(self) -> None:
        deadline_s = time.monotonic() + 10
        while not self.goes and time.monotonic() < deadline_s:
            time.sleep(0.005)
        assert self.goes


@pytest.fixture
def answer_writer() -> Iterator[AnswerWriter]:
    made = AnswerWriter()
    yield made
    made.close()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    made = Gate(writer.submit_parcels)
    monkeypatch.setattr(writer, "submit_parcels", made)
    return made


def new_answers(
    project: Project, count: int, prefix: str, member: Member | None = None
) -> list[NewAnswer]:
    asked = next_questions(project, member or local_owner(project), count=count)
    return [
        NewAnswer(
            key=f"{prefix}-{each.proposal_id}",
            kind=Kind.SKIP,
            pair=pair(each.image_a, each.image_b),
            proposal_id=each.proposal_id,
        )
        for each in asked
    ]


def stored_by(project: Project) -> dict[str, str]:
    """Who gave which answer, by key."""
    return {each.key: each.member for each in answers.events(project.store.reader())}


def test_answers_that_arrive_together_are_committed_together(
    answer_writer: AnswerWriter, project: Project, gate: Gate
) -> None:
    owner = local_owner(project)
    new = new_answers(project, 6, "together")
    waiting = [answer_writer.submit(project, owner, new[:1])]
    gate.wait_for_first()
    waiting += [answer_writer.submit(project, owner, [each]) for each in new[1:]]
    gate.opened.set()
    keys = [future.result(timeout=10).receipts[0].key for future in waiting]
    assert keys == [each.key for each in new]
    assert [len(go) for go in gate.goes] == [1, 5]


def test_people_who_answer_in_the_same_moment_share_a_commit(
    answer_writer: AnswerWriter, project: Project, gate: Gate
) -> None:
    owner = local_owner(project)
    with project.store.transaction() as db:
        ann = members.ensure_member(db, "ann", Role.ANNOTATOR)
    first, mine = new_answers(project, 2, "mine")
    hers = new_answers(project, 2, "hers", ann)
    waiting = [answer_writer.submit(project, owner, [first])]
    gate.wait_for_first()
    waiting += [answer_writer.submit(project, ann, hers)]
    waiting += [answer_writer.submit(project, owner, [mine])]
    gate.opened.set()
    keys = [[each.key for each in future.result(timeout=10).receipts] for future in waiting]
    assert keys == [[first.key], [each.key for each in hers], [mine.key]]
    assert [len(go) for go in gate.goes] == [1, 3]
    authors = stored_by(project)
    assert [authors[each.key] for each in (*hers, mine)] == ["ann", "ann", "owner"]


def test_one_request_that_fails_takes_no_other_with_it(
    answer_writer: AnswerWriter, project: Project, gate: Gate
) -> None:
    def picky(project: Project, parcels: Parcels) -> list[list[Receipt]]:
        if any(each.key == bad.key for _, new in parcels for each in new):
            raise StoreError("Not this one.")
        return store(project, parcels)

    store, gate.store = gate.store, picky
    owner = local_owner(project)
    first, bad, last = new_answers(project, 3, "picky")
    waiting = [answer_writer.submit(project, owner, [each]) for each in (first, bad, last)]
    gate.opened.set()
    assert waiting[0].result(timeout=10).receipts[0].key == first.key
    assert waiting[2].result(timeout=10).receipts[0].key == last.key
    with pytest.raises(StoreError):
        waiting[1].result(timeout=10)


def test_a_bug_in_storing_is_reported_and_the_thread_lives_on(
    answer_writer: AnswerWriter, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(project: Project, parcels: Parcels) -> list[list[Receipt]]:
        raise ZeroDivisionError

    owner = local_owner(project)
    new = new_answers(project, 1, "bug")
    with monkeypatch.context() as patch:
        patch.setattr(writer, "submit_parcels", broken)
        with pytest.raises(ZeroDivisionError):
            answer_writer.submit(project, owner, new).result(timeout=10)
    assert (
        answer_writer.submit(project, owner, new).result(timeout=10).receipts[0].key == new[0].key
    )


@pytest.mark.parametrize("problem", [None, StoreError("The disk is full."), ZeroDivisionError()])
def test_a_request_that_was_given_up_does_not_end_the_thread(
    answer_writer: AnswerWriter, project: Project, gate: Gate, problem: Exception | None
) -> None:
    def fail_one(project: Project, parcels: Parcels) -> list[list[Receipt]]:
        if problem and any(each.key == waiting.key for _, new in parcels for each in new):
            raise problem
        return store(project, parcels)

    store, gate.store = gate.store, fail_one
    owner = local_owner(project)
    first, waiting, last = new_answers(project, 3, f"gone-{type(problem).__name__}")
    running = answer_writer.submit(project, owner, [first])
    gate.wait_for_first()
    assert answer_writer.submit(project, owner, [waiting]).cancel()
    assert not running.cancel()
    gate.opened.set()
    assert running.result(timeout=10).receipts[0].status is ReceiptStatus.STORED
    after = answer_writer.submit(project, owner, [last]).result(timeout=10)
    assert after.receipts[0].key == last.key
    assert (waiting.key in stored_by(project)) == (problem is None)
