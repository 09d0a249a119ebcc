from itertools import combinations

import numpy as np
import pytest

from domain.answers import Kind, Propagation
from domain.errors import StoreError
from domain.images import Part
from domain.members import Role
from domain.pairs import Pair
from labeling_store import answers, relations
from labeling_store.coherence import coherence
from labeling_store.conflicts import count_open_conflicts
from labeling_store.db import Store
from labeling_store.members import ensure_member
from labeling_store.repeats import Repeated
from tests.labeling_store.building import NOW, catalogue, said, undo
from tests.labeling_store.test_repeats import ask_again, say_again


@pytest.fixture
def split(tmp_path):
    """Images 1 to 4 are for training, 5 and 6 for validation, 7 and 8 for test."""
    store = Store.open(tmp_path / "labels.db", create=True)
    catalogue(store, train=4, validation=2, test=2)
    yield store
    store.close()


def record(store, *new, name="ann"):
    with store.transaction() as db:
        member = ensure_member(db, name, Role.ANNOTATOR)
    return answers.record_answers(store, member, new, now=NOW)


def known(store, propagation=Propagation.CLOSURE, **options):
    found = relations.known_relations(store, propagation, **options)
    return {each.pair: (each.similar, each.implied, each.weight) for each in found}


def test_answers_spread_as_far_as_asked(split):
    record(split, said("1", 1, 2), said("2", 2, 3), said("3", 3, 4, Kind.DISSIMILAR))
    direct = {
        Pair(1, 2): (True, False, 1.0),
        Pair(2, 3): (True, False, 1.0),
        Pair(3, 4): (False, False, 1.0),
    }
    one_step = {Pair(1, 3): (True, True, 1.0), Pair(2, 4): (False, True, 1.0)}
    assert known(split, Propagation.OFF) == direct
    assert known(split, Propagation.ONE_STEP) == direct | one_step
    assert known(split) == direct | one_step | {Pair(1, 4): (False, True, 1.0)}


def test_pairs_outside_training_are_neither_used_nor_spread(split):
    record(split, said("1", 1, 5), said("2", 2, 5), said("3", 3, 4))
    assert known(split) == {Pair(3, 4): (True, False, 1.0)}
    assert Pair(1, 2) in known(split, part=None)


@pytest.mark.parametrize("propagation", list(Propagation))
def test_the_count_is_that_of_the_relations(split, propagation):
    for step in ([said("1", 1, 2)], [said("2", 2, 3)], [said("3", 1, 3, Kind.DISSIMILAR)]):
        record(split, *step)
        expected = len(relations.known_relations(split, propagation))
        assert relations.known_pair_count(split, propagation) == expected
        assert relations.known_pair_count(split, propagation) == expected


@pytest.mark.parametrize("part", [Part.TRAIN, Part.TEST, None])
def test_the_count_leaves_out_what_goes_beyond_the_part(split, part):
    record(split, said("1", 1, 2), said("2", 2, 5), said("3", 5, 3), said("4", 7, 8))
    expected = len(relations.known_relations(split, Propagation.CLOSURE, part=part))
    assert relations.known_pair_count(split, Propagation.CLOSURE, part=part) == expected


def test_an_undo_removes_exactly_what_depended_on_it(split):
    record(split, said("1", 1, 2), said("2", 2, 3))
    before = known(split)
    record(split, said("3", 3, 4, Kind.DISSIMILAR), undo("v", "3"))
    assert known(split) == before
    record(split, undo("w", "2"))
    assert known(split) == {Pair(1, 2): (True, False, 1.0)}


def test_a_conflict_halves_the_answers_and_withholds_the_rest(split):
    record(
        split,
        said("1", 1, 2),
        said("2", 2, 3),
        said("3", 3, 4),
        said("4", 1, 3, Kind.DISSIMILAR),
    )
    assert known(split) == {
        Pair(1, 2): (True, False, 0.5),
        Pair(2, 3): (True, False, 0.5),
        Pair(3, 4): (True, False, 1.0),
    }
    assert known(split, Propagation.ONE_STEP) == {
        **known(split),
        Pair(1, 3): (False, False, 0.5),
    }
    assert count_open_conflicts(split.reader()) == 1


def test_a_tie_is_no_relation(split):
    record(split, said("1", 1, 2))
    record(split, said("2", 1, 2, Kind.DISSIMILAR), name="bob")
    assert known(split) == {}


def test_two_stores_on_one_file_know_the_same(split):
    record(split, said("1", 1, 2))
    second = Store.open(split.path)
    assert known(second) == known(split)
    record(split, said("2", 2, 3))
    assert known(second) == known(split)
    assert relations.known_pair_count(second, Propagation.CLOSURE) == 3
    second.close()


@pytest.mark.parametrize(
    ("repeated", "changed", "proof"),
    [(49, 49, None), (50, 0, None), (50, 3, 7), (50, 25, 2), (1000, 20, 21)],
)
def test_proofs_are_limited_once_enough_repeats_show_errors(repeated, changed, proof):
    assert relations.trusted_proof(Repeated(repeated, changed)) == proof


def test_where_answers_are_often_wrong_long_proofs_do_not_count(split, monkeypatch):
    record(split, said("1", 1, 2), said("2", 2, 3), said("3", 3, 4))
    assert Pair(1, 4) in known(split)
    assert relations.known_pair_count(split, Propagation.CLOSURE) == 6
    monkeypatch.setattr(relations, "all_repeats", lambda db: Repeated(60, 20))
    split.ledger.forget()
    assert Pair(1, 4) not in known(split)
    assert Pair(2, 4) in known(split)
    assert relations.known_pair_count(split, Propagation.CLOSURE) == 5


@pytest.mark.parametrize("repeats", [Repeated(0, 0), Repeated(60, 20), Repeated(60, 5)])
@pytest.mark.parametrize("seed", range(4))
def test_a_relation_is_trusted_where_known_relations_have_it(store, monkeypatch, seed, repeats):
    monkeypatch.setattr(relations, "all_repeats", lambda db: repeats)
    rng = np.random.default_rng(seed)
    pairs = [Pair(a, b) for a, b in combinations(range(1, 10), 2)]
    chosen = [pairs[place] for place in rng.permutation(len(pairs))[:18]]
    kinds = [Kind.SIMILAR if rng.random() < 0.6 else Kind.DISSIMILAR for _ in chosen]
    record(store, *(said(str(q), *q, kind) for q, kind in zip(chosen, kinds, strict=True)))
    assert count_open_conflicts(store.reader()) > 0
    found = known(store, part=None)
    explained = {q: relations.explain(store, *q) for q in pairs}
    trusted = {q: each.similar for q, each in explained.items() if each and each.trusted}
    assert trusted == {q: similar for q, (similar, _, _) in found.items()}
    assert len(trusted) < sum(each is not None for each in explained.values())
    for q, each in explained.items():
        assert (each and each.similar) is relations.relation(store, *q)
        assert (each.proof if each else ()) == relations.proof(store, *q)


def test_hidden_repeats_are_counted_over_all_members(store, ann, bob):
    for member, kind in ((ann, Kind.SIMILAR), (bob, Kind.DISSIMILAR)):
        answers.record_answers(store, member, [said(f"{member.name}", 1, 2)], now=NOW)
        number = ask_again(store, member, 1, 2, number=member.member_id)
        say_again(store, member, number, 1, 2, kind, key=f"{member.name} again")
    found = coherence(store)
    assert (found.hidden, found.hidden_changed) == (2, 1)


def test_a_long_log_is_read_ahead_and_a_short_one_is_not(split, monkeypatch):
    record(split, said("1", 1, 2), said("2", 2, 3))
    second = Store.open(split.path)
    assert relations.read_ahead(second) is None
    monkeypatch.setattr(relations, "LONG_LOG", 2)
    thread = relations.read_ahead(second)
    thread.join(timeout=30)
    assert second.ledger.relation(Pair(1, 3)) is True
    assert relations.read_ahead(second) is None
    second.close()


def test_reading_ahead_from_a_broken_store_leaves_the_error_to_who_reads_next(split, monkeypatch):
    record(split, said("1", 1, 2))
    second = Store.open(split.path)
    monkeypatch.setattr(relations, "LONG_LOG", 1)

    def fail(self, db):
        raise StoreError("gone")

    monkeypatch.setattr(type(second.ledger), "catch_up", fail)
    relations.read_ahead(second).join(timeout=30)
    with pytest.raises(StoreError, match="gone"):
        relations.relation(second, 1, 2)
    second.close()


def test_an_answer_stands_for_all_pairs_between_two_groups(store, ann):
    told = [(1, 2), (2, 3), (4, 5)]
    given = [said(f"told-{a}-{b}", a, b) for a, b in told]
    answers.record_answers(store, ann, given)
    asked = [Pair(1, 4), Pair(3, 5), Pair(1, 9), Pair(8, 9)]
    assert relations.stands_for(store, asked) == [6, 6, 3, 1]


def test_a_repeat_seems_to_stand_for_as_many_pairs_as_any_question(store, ann):
    told = [said("one", 1, 2), said("two", 2, 3), said("three", 4, 5)]
    answers.record_answers(store, ann, [*told, said("no", 1, 4, Kind.DISSIMILAR)])
    assert relations.stands_for(store, [Pair(1, 4), Pair(1, 3), Pair(4, 5)]) == [6, 2, 1]
